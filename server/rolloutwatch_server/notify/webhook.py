"""A message as signed JSON, posted to an address that is not one of an internal network."""

import base64
import http.client
import math
import re
import ssl
from typing import Any, NamedTuple

import msgspec

from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_server import __version__
from rolloutwatch_server.notify.addresses import AddressError, Resolve, resolve, vetted
from rolloutwatch_server.notify.events import Content, Links
from rolloutwatch_server.notify.signature import sign
from rolloutwatch_server.notify.targets import Target
from rolloutwatch_server.notify.wire import Deadline, post
from rolloutwatch_server.store import Event

VERSION = 1
SECONDS_OF_AN_EXCHANGE = 5.0
MOST_SECONDS_TO_WAIT = 300.0
_TRY_AGAIN = (408, 429)


class Outcome(NamedTuple):
    """How an attempt went: `error` says why not, '' if it did; `is_final` if another one would go no better.

    `wait` is for how many seconds the receiver wants to be left alone.
    """

    error: str = ""
    is_final: bool = False
    wait: float = 0.0


def payload(key: str, content: Content, links: Links, picture: bytes | None, now: float) -> bytes:
    """Return the body of a webhook; a value that is not finite becomes null."""
    run = content.run
    body = {
        "id": key,
        "version": VERSION,
        "test": content.is_test,
        "sent_at": now,
        "run": run,
        "project": split_run_id(run)[0],
        "run_url": links.run(run, content.worst.step),
        "other_alerts_firing": content.others,
        "events": [_event(one, content, links) for one in content.events],
        "diagnosis": None if content.diagnosis is None else _diagnosis(content.diagnosis, links),
        "picture": None if picture is None else base64.b64encode(picture).decode(),
    }
    return msgspec.json.encode(body)


def _event(event: Event, content: Content, links: Links) -> dict[str, Any]:
    return {
        "id": event.id,
        "alert": event.alert,
        "change": event.change.value,
        "rule": event.rule,
        "severity": event.severity.word,
        "epoch": event.epoch,
        "step": event.step,
        "time": event.time,
        "firing_step": event.firing_step,
        "values": {name: value if math.isfinite(value) else None for name, value in event.values.items()},
        "condition": event.condition,
        "summary": event.summary,
        "cure": event.cure,
        "guide_url": links.guide(event.guide) or None,
        "run_url": links.run(event.run, event.step),
        "reason": event.reason,
        "late": event.late,
        "over": content.ended_meanwhile(event),
    }


def _diagnosis(found: Diagnosis, links: Links) -> dict[str, Any]:
    causes = [msgspec.structs.asdict(one) | {"guide": links.guide(one.guide)} for one in found.causes]
    about = {"step": found.step, "onset": found.onset, "sure": found.is_sure, "headline": found.headline}
    return {**about, "causes": causes}


class Webhook:
    """Posts to one target. Every attempt looks the host up anew and connects to what was looked at, and to nothing else."""

    def __init__(
        self,
        target: Target,
        *,
        resolve: Resolve = resolve,
        context: ssl.SSLContext | None = None,
        seconds: float = SECONDS_OF_AN_EXCHANGE,
    ) -> None:
        if target.place is None or target.secret is None:
            raise ValueError(f"target {target.name} is no webhook.")
        self._place, self._secret, self._allow_internal = target.place, target.secret, target.allow_internal
        self._resolve, self._seconds = resolve, seconds
        self._context = context or ssl.create_default_context()

    def send(self, key: str, body: bytes, now: float) -> Outcome:
        """Post a body once; it takes no longer than the seconds of an exchange, whatever the receiver does."""
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"Rolloutwatch/{__version__}",
            "Idempotency-Key": key,
            "X-Rolloutwatch-Signature": sign(self._secret.reveal(), int(now), body),
            "Connection": "close",
        }
        deadline, place = Deadline(self._seconds), self._place
        try:
            addresses = vetted(
                place.host,
                place.port,
                allow_internal=self._allow_internal,
                resolve=self._resolve,
                seconds=deadline.left(),
            )
            reply = post(place, addresses, headers, body, deadline, self._context)
        except AddressError as error:
            return Outcome(str(error))
        except (OSError, http.client.HTTPException) as error:
            return Outcome(f"{place.host}: {_why(error, self._seconds)}")
        return _judged(place.host, reply.status, reply.retry_after)


def _judged(host: str, status: int, retry_after: str) -> Outcome:
    if 200 <= status < 300:
        return Outcome()
    error = f"{host} answered {status}"
    if 300 <= status < 400:
        return Outcome(f"{error}, a redirection, which is not followed: name the address that it leads to.")
    wait = float(retry_after) if re.fullmatch(r"[0-9]{1,9}", retry_after) else 0.0
    is_final = 400 <= status < 500 and status not in _TRY_AGAIN
    cure = ", so that it is not tried again: look at the address and at the secret." if is_final else "."
    return Outcome(error + cure, is_final, min(wait, MOST_SECONDS_TO_WAIT))


def _why(error: Exception, seconds: float) -> str:
    """Say what went wrong in our own words: those of an exception may hold what the other side said."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate cannot be trusted: {error.verify_message}."
    if isinstance(error, ssl.SSLError):
        return "no secure connection could be made: does it speak https there?"
    if isinstance(error, TimeoutError):
        return f"no answer within {seconds:g} s."
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused: is the receiver running?"
    if isinstance(error, http.client.HTTPException | ConnectionError):
        return "the connection ended without an answer that is one of HTTP."
    return f"it cannot be reached ({getattr(error, 'strerror', None) or type(error).__name__})."
