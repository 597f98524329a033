"""Whether people were told of exactly what happened: what came, what stands in the archive, and what was to be expected."""

import hashlib
import hmac
import json
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.store import Store
from rolloutwatch_server.store.alert_rows import TransitionView
from tests.chaos.expected import Happened, bits, expected
from tests.chaos.receiver import Answer, Receiver, Request
from tests.chaos.tower import SECRET, Run, Tower
from tests.processes import ROLLOUTWATCH, ROOT

ALL = 10**9
NOT_FINITE = ("nan", "inf")  # there is no such thing in JSON


@dataclass(frozen=True)
class Verdict:
    """Steps of events that were not told, told in two messages, or told or recorded other than they happened.

    `repeated` messages came more than once, which is permitted, with the same key; `wrong` is everything else that is.
    """

    transitions: int
    told: int
    messages: int
    repeated: int
    answers: Mapping[Answer, int]
    lost: list[int] = field(default_factory=list)
    doubled: list[int] = field(default_factory=list)
    different: list[int] = field(default_factory=list)
    wrong: tuple[str, ...] = ()


def judge(tower: Tower) -> Verdict:
    """Compare all that was told and recorded with what had to be."""
    due = [one for run in tower.runs for one in expected(run.records)]
    by_id = {one.event: one for one in due}
    loud = {one.event for one in due if not one.quiet}
    requests = list(tower.receiver.requests)
    taken = {event for one in requests if one.answer is Answer.TAKEN for event in one.events}
    keys: dict[str, set[str]] = {}
    for one in requests:
        for event in one.events:
            keys.setdefault(event, set()).add(one.key)
    lost = sorted(by_id[event].step for event in loud - taken)
    doubled = [by_id[event].step for event, of in keys.items() if len(of) > 1 and event in by_id]
    times = Counter(one.key for one in requests)
    return Verdict(
        transitions=len(due),
        told=len(taken),
        messages=len(times),
        repeated=sum(times.values()) - len(times),
        answers=tower.receiver.answers,
        lost=lost,
        doubled=doubled,
        different=[*_told_otherwise(requests, by_id), *_recorded_otherwise(tower.archive, tower.runs)],
        wrong=(*_misbehaviour(tower.receiver, requests, loud), *_refused_by_rules_test(tower)),
    )


def _told_otherwise(requests: Iterable[Request], due: Mapping[str, Happened]) -> list[int]:
    """Return the steps of events that a message tells of other than they happened."""
    found = []
    for request in requests:
        for event in request.body["events"]:
            one = due.get(event["id"])
            if one is not None and _as_told(event, request.body["run"]) != _as_happened(one):
                found.append(one.step)
    return found


def _as_told(event: Mapping[str, Any], run: str) -> tuple[Any, ...]:
    return (
        run, event["rule"], event["change"], event["epoch"], event["severity"], event["step"],
        float(event["time"]).hex(), _values(event["values"]), event["reason"],
    )  # fmt: skip


def _values(values: Mapping[str, float | None]) -> list[tuple[str, str | None]]:
    return sorted((name, None if value is None else float(value).hex()) for name, value in values.items())


def _as_happened(one: Happened) -> tuple[Any, ...]:
    return (
        one.run, one.rule, one.change, one.epoch, Severity(one.severity).word, one.step,
        one.time,
        [(name, None if value.strip("-") in NOT_FINITE else value) for name, value in one.values], one.reason,
    )  # fmt: skip


def _recorded_otherwise(archive: Path, runs: Sequence[Run]) -> list[int]:
    """Return the steps at which the archive and what was to be expected differ, or only one of them has something."""
    found = []
    with closing(Store(archive)) as store:
        for run in runs:
            due = expected(run.records)
            recorded = [_recorded(one) for one in store.transitions(run.records[0].run, limit=ALL)]
            found += [one.step for one in set(due) ^ set(recorded)]
            if not found and due != recorded:
                found.append(next(a.step for a, b in zip(due, recorded, strict=True) if a != b))
    return found


def _recorded(one: TransitionView) -> Happened:
    return Happened(
        event=one.id, run=one.run, rule=one.rule, change=one.change.value, epoch=one.epoch,
        severity=int(one.severity), step=one.step, time=one.time.hex(), values=bits(one.values),
        reason=one.reason, quiet=one.quiet,
    )  # fmt: skip


def _misbehaviour(receiver: Receiver, requests: Sequence[Request], loud: set[str]) -> Iterable[str]:
    if receiver.elsewhere:
        yield f"{receiver.elsewhere} requests followed a redirection"
    if strangers := {event for one in requests for event in one.events} - loud:
        yield f"{len(strangers)} events were told of which nobody was to be told"
    bodies: dict[str, str] = {}
    for one in requests:
        meaning = json.dumps({**one.body, "sent_at": None}, sort_keys=True)
        if bodies.setdefault(one.key, meaning) != meaning:
            yield f"message {one.key} came again and said something else"
        if one.body["id"] != one.key:
            yield f"message {one.key} calls itself {one.body['id']}"
        if not _is_signed(one):
            yield f"message {one.key} is not signed"


def _is_signed(request: Request) -> bool:
    parts = dict(part.partition("=")[::2] for part in request.signature.split(","))
    text = parts["t"].encode() + b"." + request.raw
    return hmac.compare_digest(parts["v1"], hmac.new(SECRET.encode(), text, hashlib.sha256).hexdigest())


def _refused_by_rules_test(tower: Tower) -> Iterable[str]:
    """Judge what the archive shows once more, by the command that people have for that."""
    for run in tower.runs:
        command = [
            ROLLOUTWATCH, "rules", "test", "--run", run.records[0].run, "--data-dir", str(tower.data_dir),
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            yield f"rules test --run {run.records[0].run} says {done.returncode}: {(done.stdout + done.stderr)[-500:]}"
