"""Webhooks: what is sent, what counts as taken, and how long it may take."""

import json
import ssl
import time

import pytest

from rolloutwatch_server import __version__
from rolloutwatch_server.notify.events import Content, Links
from rolloutwatch_server.notify.signature import sign
from rolloutwatch_server.notify.webhook import Outcome, Webhook, payload
from tests.server.notify.events import SECRET, event, webhook
from tests.server.receiver import CERTIFICATE, Mode, Receiver, always

LINKS = Links("https://watch.example")


def attempt(mode: Mode, seconds: float = 5.0) -> tuple[Outcome, float]:
    """How one attempt goes with a receiver of a mode, and how long it takes."""
    with Receiver(always(mode)) as receiver:
        begin = time.monotonic()
        outcome = Webhook(webhook(receiver.url), seconds=seconds).send("key", b"{}", 1000.0)
        assert len(receiver.requests) == 1
        return outcome, time.monotonic() - begin


def test_a_message_says_everything_that_is_known() -> None:
    body = json.loads(payload("key", Content((event(),), others=2), LINKS, b"png", 1234.5))
    assert {
        name: body[name] for name in ("id", "version", "test", "sent_at", "run", "project", "picture")
    } == {
        "id": "key",
        "version": 1,
        "test": False,
        "sent_at": 1234.5,
        "run": "math~grpo-7b",
        "project": "math",
        "picture": "cG5n",
    }
    assert body["run_url"] == "https://watch.example/runs/math~grpo-7b?step=412"
    assert body["other_alerts_firing"] == 2
    told = body["events"][0]
    assert told["id"] == told["alert"] == event().id
    assert (told["change"], told["rule"], told["severity"]) == ("firing", "high_variance", "critical")
    assert (told["epoch"], told["step"], told["firing_step"], told["time"]) == (1, 412, 412, 1000.0)
    assert told["values"] == {"ratio_std": 1.42, "ratio_eff_sample_size": 0.21}
    assert told["guide_url"] == "https://watch.example/guides/high_variance"
    assert told["late"] is False


def test_a_value_that_is_not_finite_is_null_and_no_picture_too() -> None:
    strange = event(values={"ratio_max": float("inf")}, guide="")
    body = json.loads(payload("key", Content((strange,)), LINKS, None, 0.0))
    assert body["events"][0]["values"] == {"ratio_max": None}
    assert body["events"][0]["guide_url"] is None
    assert body["picture"] is None


def test_a_request_has_its_key_and_a_signature_that_its_receiver_can_check() -> None:
    with Receiver() as receiver:
        assert Webhook(webhook(receiver.url)).send("a-key", b'{"a": 1}', 1000.9) == Outcome()
        (request,) = receiver.requests
    assert request.body == b'{"a": 1}'
    assert request.key == "a-key"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"] == f"Rolloutwatch/{__version__}"
    assert request.headers["x-rolloutwatch-signature"] == sign(SECRET, 1000, request.body)


def test_a_signature_is_of_one_body_one_secret_and_one_time() -> None:
    header = sign(SECRET, 1000, b"body")
    # of `printf 1000.body | openssl dgst -sha256 -hmac a-secret-of-these-tests`
    assert header == "t=1000,v1=636e721c3ea0022ac52d9efb15ab897b8429cbacf00baddcdb3bdd4ed87a1897"
    others = [
        (SECRET, 1001, b"body"),
        (SECRET, 1000, b"Body"),
        ("another secret of some length", 1000, b"body"),
    ]
    assert header.partition(",")[2] not in {sign(*one).partition(",")[2] for one in others}


@pytest.mark.parametrize("mode", [Mode.OK, Mode.SLOW, Mode.HUGE])
def test_an_answer_of_200_is_a_message_taken(mode: Mode) -> None:
    outcome, seconds = attempt(mode)
    assert outcome == Outcome()
    assert seconds < 4


@pytest.mark.parametrize("mode", [Mode.ERROR, Mode.TIMEOUT, Mode.BUSY, Mode.REDIRECT, Mode.DROP, Mode.NOISE])
def test_what_may_go_better_is_tried_again(mode: Mode) -> None:
    outcome, _ = attempt(mode)
    assert outcome.error
    assert not outcome.is_final


def test_a_refusal_is_final() -> None:
    outcome, _ = attempt(Mode.GONE)
    assert outcome.is_final
    assert "127.0.0.1 answered 410, so that it is not tried again" in outcome.error


def test_a_receiver_that_asks_to_be_left_alone_is() -> None:
    assert attempt(Mode.BUSY)[0].wait == 2.0
    assert attempt(Mode.ERROR)[0].wait == 0.0


@pytest.mark.parametrize("mode", [Mode.HANG, Mode.DRIP])
def test_an_exchange_ends_in_time_also_when_bytes_keep_coming(mode: Mode) -> None:
    outcome, seconds = attempt(mode, seconds=0.8)
    assert outcome.error == "127.0.0.1: no answer within 0.8 s."
    assert 0.7 < seconds < 2.5


def test_a_body_that_never_ends_holds_nobody_up_and_what_was_told_before_it_counts() -> None:
    outcome, seconds = attempt(Mode.DRIP_BODY, seconds=0.8)
    assert outcome == Outcome()
    assert seconds < 2.5


def test_nothing_of_an_answer_is_told() -> None:
    for mode in (Mode.ERROR, Mode.GONE, Mode.REDIRECT, Mode.NOISE):
        error = attempt(mode)[0].error
        assert "secret" not in error.replace("at the secret", "")
        assert "elsewhere" not in error
        assert "ESMTP" not in error


def test_nobody_at_the_address_is_told_in_plain_words() -> None:
    with Receiver() as receiver:
        url = receiver.url
    assert Webhook(webhook(url)).send("key", b"{}", 0.0).error == (
        "127.0.0.1: the connection was refused: is the receiver running?"
    )


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent() -> None:
    with Receiver(tls=True) as receiver:
        outcome = Webhook(webhook(receiver.url)).send("key", b"{}", 0.0)
        assert "its certificate cannot be trusted" in outcome.error
        assert receiver.requests == []


def test_a_certificate_has_to_be_of_the_name_and_not_of_the_address() -> None:
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    with Receiver(tls=True) as receiver:
        right = webhook(f"https://receiver.example:{receiver.port}/hook")
        wrong = webhook(f"https://other.example:{receiver.port}/hook")
        here = {"resolve": lambda *_: ["127.0.0.1"], "context": trusting}
        assert Webhook(right, **here).send("key", b"{}", 0.0) == Outcome()
        assert "other.example" in Webhook(wrong, **here).send("key", b"{}", 0.0).error
        assert [one.headers["host"] for one in receiver.requests] == [f"receiver.example:{receiver.port}"]


def test_https_to_a_receiver_that_speaks_http_is_told_as_such() -> None:
    with Receiver() as receiver:
        outcome = Webhook(webhook(receiver.url.replace("http:", "https:"))).send("key", b"{}", 0.0)
    assert outcome.error == "127.0.0.1: no secure connection could be made: does it speak https there?"
