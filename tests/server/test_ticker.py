"""What the clock does to alerts, tick by tick: silence, repeats, ends of silences and acknowledgements."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch_contract import Outcome, RunEnd, run_id
from rolloutwatch_contract.alerts import decode_firing
from rolloutwatch_contract.config import CorrectionConfig
from rolloutwatch_contract.keys import alerts_key
from rolloutwatch_server.alerts.ticker import (
    SECONDS_BETWEEN_REPEATS,
    SECONDS_OF_INTEREST,
    Ticker,
    TickerThread,
    why_alerts_do_not_work,
)
from rolloutwatch_server.ingest import Health, Trouble
from rolloutwatch_server.store import StoreError
from tests.processes import wait_for
from tests.redis_process import RedisProcess
from tests.server.alerting import RULES, Judged
from tests.server.records import RUN

OTHER = run_id("code", "b")
FIRES, ENDS, AGAIN = ("kl", "firing"), ("kl", "resolved"), ("kl", "repeat")


@pytest.fixture
def judged(tmp_path: Path) -> Iterator[Judged]:
    one = Judged(tmp_path)
    yield one
    one.close()


@pytest.fixture
def calm(tmp_path: Path) -> Iterator[Judged]:
    """The same without a rule of silence."""
    one = Judged(tmp_path, RULES[: RULES.index('[[rule]]\nname = "quiet"')])
    yield one
    one.close()


def work(judged: Judged, steps: int = 5, seconds: float = 2.0, run: str = RUN) -> None:
    """Let a trainer make steps, a few seconds each."""
    judged.start(run)
    for number in range(steps):
        judged.pass_time(seconds)
        judged.step(number, run, mismatch_k3_kl=0.1)


def go_on_firing(judged: Judged, hours: float, first: int = 100) -> None:
    """Let steps come for hours whose figures are bad, one every ten minutes."""
    for number in range(int(hours * 6)):
        judged.step(first + number, mismatch_k3_kl=1.0)
        judged.pass_time(600.0, by=200.0)


# -- silence ----------------------------------------------------------------------------------------------------


def test_a_run_of_which_nothing_comes_any_more_fires_and_the_next_step_ends_that(judged: Judged) -> None:
    work(judged)
    judged.pass_time(59)
    assert judged.happened() == []
    judged.pass_time(1)
    assert judged.happened() == [("quiet", "firing")]
    (alert,) = judged.store.alerts()
    assert (alert.firing_step, alert.firing_time, alert.values) == (4, judged.now, {})
    judged.pass_time(600)
    assert judged.happened() == [("quiet", "firing")]
    judged.step(5, mismatch_k3_kl=0.1)
    assert judged.happened() == [("quiet", "firing"), ("quiet", "resolved")]
    assert judged.outbox() == judged.happened()


def test_a_run_whose_steps_are_long_is_silent_only_after_ten_of_them(judged: Judged) -> None:
    work(judged, seconds=20.0)
    judged.pass_time(198)
    assert judged.happened() == []
    judged.pass_time(4)
    assert judged.happened() == [("quiet", "firing")]


def test_after_one_step_the_start_tells_how_long_steps_are(judged: Judged) -> None:
    work(judged, steps=1, seconds=29.0)
    judged.pass_time(280)
    assert judged.happened() == []
    judged.pass_time(20)
    assert judged.happened() == [("quiet", "firing")]


def test_a_run_that_has_ended_is_not_silent(judged: Judged) -> None:
    work(judged)
    judged.put(RunEnd(judged.now, Outcome.FINISHED))
    judged.pass_time(600)
    assert judged.happened() == []


def test_a_run_that_has_made_no_step_is_not_silent(judged: Judged) -> None:
    judged.start()
    judged.pass_time(600)
    assert judged.happened() == []


@pytest.mark.parametrize(
    "trouble",
    [
        {"health": Health(Trouble.REDIS, "away")},
        {"health": Health(Trouble.ARCHIVE, "full")},
        {"waited": 30.0},
        {"streams_behind": 1},
    ],
    ids=["redis", "archive", "lag", "behind"],
)
def test_what_is_not_read_is_not_silent(trouble: dict[str, object], judged: Judged) -> None:
    """And once all is read again a silence begins to count anew."""
    work(judged)
    sound = {name: getattr(judged.reading, name) for name in trouble}
    judged.pass_time(30)
    vars(judged.reading).update(trouble)
    judged.pass_time(600)
    vars(judged.reading).update(sound)
    judged.pass_time(58)
    assert judged.happened() == []
    judged.pass_time(5)
    assert judged.happened() == [("quiet", "firing")]


def test_what_came_while_nobody_ran_is_not_silent(judged: Judged) -> None:
    """A server that was away, or a host that slept, has not heard what there was."""
    work(judged)
    judged.now += 3600
    judged.pass_time(58)
    assert judged.happened() == []
    judged.close()
    judged.now += 3600
    judged.open()
    judged.pass_time(58)
    assert judged.happened() == []
    judged.pass_time(5)
    assert judged.happened() == [("quiet", "firing")]


def test_a_clock_that_is_put_back_makes_nothing_silent(judged: Judged) -> None:
    work(judged)
    judged.now -= 3600
    judged.pass_time(58)
    assert judged.happened() == []


def test_a_rule_of_silence_is_for_the_runs_it_names(tmp_path: Path) -> None:
    rule = '[[rule]]\nname = "quiet"\nseverity = "critical"\nwhen = "silent(60)"\nruns = "code~*"\n'
    judged = Judged(tmp_path, rule)
    for run in (RUN, OTHER):
        work(judged, run=run)
    judged.pass_time(120)
    assert (judged.happened(), judged.happened(OTHER)) == ([], [("quiet", "firing")])
    judged.close()


def test_a_run_that_was_killed_long_ago_is_let_be(judged: Judged) -> None:
    """Or else whoever edits the rule would be told of all there ever were."""
    work(judged)
    judged.pass_time(61)
    judged.now += SECONDS_OF_INTEREST
    judged.book.save(RULES.replace("silent(60, 10)", "silent(70, 10)"), "somebody")
    judged.pass_time(300)
    assert judged.happened() == [("quiet", "firing"), ("quiet", "resolved")]


# -- what is told again -----------------------------------------------------------------------------------------


def test_what_goes_on_firing_is_told_again_every_four_hours(calm: Judged) -> None:
    """As another event each time."""
    calm.start()
    go_on_firing(calm, 3.9)
    assert calm.happened() == [FIRES]
    go_on_firing(calm, 4.5, first=200)
    assert calm.happened() == [FIRES, AGAIN, AGAIN]
    events = calm.store.outbox_events()
    assert len({event.id for event in events}) == 3
    assert {event.alert for event in events} == {calm.alert()}


def test_what_somebody_looks_after_is_not_told_again_until_they_do_not(calm: Judged) -> None:
    calm.start()
    go_on_firing(calm, 1)
    calm.store.acknowledge(calm.alert(), "alice", None, "mine")
    go_on_firing(calm, 9, first=200)
    assert calm.happened() == [FIRES]
    calm.store.unacknowledge(calm.alert())
    calm.pass_time(1)
    assert calm.happened() == [FIRES, AGAIN]


def test_an_acknowledgement_that_is_over_is_told_once(calm: Judged) -> None:
    """If the alert fires still; nobody looks after it then."""
    calm.start()
    calm.step(1, mismatch_k3_kl=1.0, ratio_std=2.0)
    for rule in ("kl", "spread"):
        calm.store.acknowledge(calm.alert(rule), "alice", calm.now + 600)
    calm.pass_time(300)
    calm.step(2, ratio_std=0.1, mismatch_k3_kl=1.0)
    calm.pass_time(299)
    assert AGAIN not in calm.happened()
    calm.pass_time(600)
    assert calm.happened() == [FIRES, ("spread", "firing"), ("spread", "resolved"), AGAIN]
    alert = calm.store.alert(calm.alert())
    assert alert is not None
    assert (alert.acknowledged_by, alert.acknowledged_until) == ("", None)


def test_what_is_silenced_is_told_once_when_that_is_over(calm: Judged) -> None:
    """It is recorded all the same, and not repeated meanwhile."""
    calm.start()
    calm.store.silence("math~*", "kl", calm.now + 6 * 3600, "alice")
    go_on_firing(calm, 5.9)
    assert calm.happened() == [FIRES]
    assert [event.is_silenced for event in calm.store.outbox_events()] == [True]
    calm.pass_time(1200, by=20.0)
    assert calm.happened() == [FIRES, AGAIN]
    assert calm.store.silences() == []


def test_a_silence_that_is_ended_is_over(calm: Judged) -> None:
    calm.start()
    silence = calm.store.silence("*", "*", calm.now + 3600, "alice")
    calm.step(1, mismatch_k3_kl=1.0)
    calm.pass_time(10)
    assert calm.store.unsilence(silence)
    assert calm.store.silences() == []
    calm.pass_time(10)
    assert calm.happened() == [FIRES, AGAIN]


def test_of_two_silences_the_longer_one_counts(calm: Judged) -> None:
    calm.start()
    calm.store.silence("*", "*", calm.now + 100, "alice")
    calm.store.silence(RUN, "kl", calm.now + 200, "bob")
    calm.step(1, mismatch_k3_kl=1.0)
    calm.pass_time(150)
    assert calm.happened() == [FIRES]
    calm.pass_time(100)
    assert calm.happened() == [FIRES, AGAIN]


def test_of_a_run_that_is_long_silent_nobody_is_told_again(calm: Judged) -> None:
    """After a day nobody waits for it; the alerts stand."""
    calm.start()
    calm.step(1, mismatch_k3_kl=1.0)
    calm.pass_time(SECONDS_OF_INTEREST + 2 * SECONDS_BETWEEN_REPEATS, by=600.0)
    repeats = [one for one in calm.happened() if one == AGAIN]
    assert len(repeats) == SECONDS_OF_INTEREST // SECONDS_BETWEEN_REPEATS - 1
    assert FIRES in calm.happened()
    assert ENDS not in calm.happened()


# -- what else it does ------------------------------------------------------------------------------------------


def test_alerts_that_fire_are_counted_by_severity(judged: Judged) -> None:
    assert judged.ticker.counts is None
    judged.start()
    judged.start(OTHER)
    judged.step(1, mismatch_k3_kl=1.0, ratio_std=2.0)
    judged.step(1, OTHER, ratio_std=2.0)
    judged.pass_time(1)
    assert judged.ticker.counts == {"critical": 1, "warning": 2}
    judged.step(2, mismatch_k3_kl=0.1, ratio_std=2.0)
    judged.pass_time(1)
    assert judged.ticker.counts == {"warning": 2}


def test_a_run_that_starts_is_held_against_the_rules_once(
    judged: Judged, caplog: pytest.LogCaptureFixture
) -> None:
    """The log names the rules that can never fire there, and why."""
    caplog.set_level(logging.INFO)
    judged.book.save(
        RULES + '[[rule]]\nname = "mean"\nseverity = "critical"\nwhen = "rollout_is_mean > 3.0"\n', "somebody"
    )
    judged.start()
    judged.start(OTHER, **CorrectionConfig().as_dict() | {"rollout_is": "token", "rollout_is_threshold": 2.0})
    for run in (RUN, OTHER):
        judged.ticker.started(run)
    judged.pass_time(5)
    (told,) = [record.message for record in caplog.records if "can never fire" in record.message]
    assert told.startswith(f"1 of the rules can never fire on run {OTHER}: mean: ")


def said_in(redis: RedisProcess) -> tuple[int, list[str]]:
    with redis.client() as client:
        text = client.get(alerts_key(RUN))
    assert text is not None
    told = decode_firing(text)
    return told.step, [alert.rule for alert in told.alerts]


@pytest.mark.redis
def test_what_a_former_server_said_of_a_run_that_has_ended_since_does_not_stay(
    tmp_path: Path, redis: RedisProcess
) -> None:
    """A trainer that resumes the run would take it for what fires now."""
    judged = Judged(tmp_path, redis_url=redis.url)
    judged.start()
    judged.step(1, mismatch_k3_kl=1.0)
    judged.pass_time(1)
    assert said_in(redis) == (1, ["kl"])
    judged.close()
    judged.open()
    judged.step(2, mismatch_k3_kl=1.0)
    judged.put(RunEnd(judged.now, Outcome.FINISHED))
    judged.pass_time(1)
    assert said_in(redis) == (2, [])
    judged.close()


@pytest.mark.redis
def test_a_trainer_finds_what_fires_in_redis(tmp_path: Path, redis: RedisProcess) -> None:
    """From the first step that was judged until after the end, with the step that was judged last."""
    judged = Judged(tmp_path, redis_url=redis.url)

    def said() -> tuple[int, list[str]]:
        return said_in(redis)

    judged.start()
    judged.step(1, mismatch_k3_kl=0.1)
    judged.pass_time(1)
    assert said() == (1, [])
    judged.step(2, mismatch_k3_kl=1.0, ratio_std=2.0)
    judged.pass_time(0.5)
    assert said() == (2, ["kl", "spread"])
    judged.store.acknowledge(judged.alert(), "alice")
    judged.pass_time(0.5)
    with redis.client() as client:
        told = decode_firing(client.get(alerts_key(RUN)))
    assert [alert.acknowledged for alert in told.alerts] == [True, False]
    judged.step(3, mismatch_k3_kl=1.0, ratio_std=2.0)
    judged.pass_time(3)
    assert said() == (3, ["kl", "spread"])
    redis.kill()
    judged.put(RunEnd(judged.now, Outcome.FINISHED))
    judged.pass_time(3)
    redis.start()
    judged.pass_time(30)
    assert said() == (3, [])
    judged.close()


def test_an_error_of_its_own_ends_nothing_and_is_told(
    judged: Judged, caplog: pytest.LogCaptureFixture
) -> None:
    """Once in the log, and by the health until a tick succeeds again."""

    class Clumsy(Ticker):
        fails = True

        def tick(self, now: float) -> None:
            if self.fails:
                raise ZeroDivisionError("by nothing")
            super().tick(now)

    clumsy = Clumsy(judged.store, judged.book, judged.reading, judged.publisher)
    with TickerThread(clumsy, lambda: judged.now, seconds=0.01) as clockwork:
        wait_for("the trouble", lambda: bool(clockwork.trouble))
        assert clockwork.trouble == "ZeroDivisionError: by nothing"
        assert "by nothing" in why_alerts_do_not_work(judged.store, clockwork)
        clumsy.fails = False
        wait_for("the end of the trouble", lambda: not clockwork.trouble)
        assert clumsy.counts == {}
    assert len([one for one in caplog.records if one.exc_info]) == 1


def test_an_archive_that_cannot_be_written_is_told_and_tried_again(judged: Judged) -> None:
    judged.store.close()
    with pytest.raises(StoreError):
        judged.ticker.tick(judged.now)
