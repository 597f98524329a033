"""When an alert begins and ends: the machine step by step, and what is computed of whole series and of one step."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import Series
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.alerts import active
from rolloutwatch_server.alerts.active import Alert, alerts_at
from rolloutwatch_server.alerts.episodes import Episode, episodes
from tests.oracle.limits import AlertState, Change, Phase, Sample, Transition, step

GOOD, BAD, NAN = 0.0, 2.0, math.nan


def rule(for_steps: int = 1, clear_steps: int = 1, name: str = "kl") -> Limit:
    return Limit(
        name=name,
        metric="kl",
        severity=Severity.WARNING,
        above=1.0,
        below=-1.0,
        for_steps=for_steps,
        clear_steps=clear_steps,
        summary="",
        cure="",
    )


def lives(one: Limit, values: list[float | None]) -> str:
    """The phase after each value: . for ok, p for pending, F for firing."""
    state, seen = AlertState(), ""
    for number, value in enumerate(values):
        state, _ = step(one, state, Sample(number, float(number), value))
        seen += {Phase.OK: ".", Phase.PENDING: "p", Phase.FIRING: "F"}[state.phase]
    return seen


def drawn(text: str) -> list[float | None]:
    """g good, b bad, n NaN, - missing, i infinite."""
    return [{"g": GOOD, "b": BAD, "n": NAN, "-": None, "i": math.inf}[letter] for letter in text]


@pytest.mark.parametrize(
    ("for_steps", "clear_steps", "values", "phases"),
    [
        (1, 1, "gbg", ".F."),  # at once, and at once over
        (1, 1, "gig", ".F."),  # infinite is beyond every limit
        (3, 1, "gbbbg", ".ppF."),  # so many one after the other
        (3, 1, "bbgbb", "pp.pp"),  # a good one between begins anew
        (3, 1, "bbnb-b", "pppFFF"),  # what is unknown neither advances
        (3, 1, "bn-g", "ppp."),  # nor resets, and does not hide a good one
        (1, 3, "bgggg", "FFF.."),  # ends after so many good ones
        (1, 3, "bggbggg", "FFFFFF."),  # a bad one between begins anew
        (1, 3, "bgngg", "FFFF."),  # what is unknown does not count as good
        (2, 2, "bbggbb", "pFF.pF"),  # and fires again
        (2, 2, "nnnn", "...."),  # nothing is known: nothing happens
        (2, 2, "", ""),
    ],
)
def test_the_life_of_an_alert(for_steps: int, clear_steps: int, values: str, phases: str) -> None:
    assert lives(rule(for_steps, clear_steps), drawn(values)) == phases


def test_what_stands_exactly_at_a_limit_is_good() -> None:
    assert lives(rule(), [1.0, -1.0, math.nextafter(1.0, 2), math.nextafter(-1.0, -2)]) == "..FF"


def test_a_change_comes_with_its_sample_and_the_number_of_the_alert() -> None:
    one, state, changes = rule(2), AlertState(), []
    for number, value in enumerate([BAD, BAD, GOOD, BAD, BAD]):
        state, change = step(one, state, Sample(number, number / 2, value))
        changes.append(change)
    assert changes == [
        None,
        Transition(Change.FIRING, 1, Sample(1, 0.5, BAD)),
        Transition(Change.RESOLVED, 1, Sample(2, 1.0, GOOD)),
        None,
        Transition(Change.FIRING, 2, Sample(4, 2.0, BAD)),
    ]


def series(values: list[float | None]) -> Series:
    """Where there is no value the series has no step."""
    known = [(3 * number, value) for number, value in enumerate(values) if value is not None]
    steps, of_steps = zip(*known, strict=True) if known else ((), ())
    return Series(np.array(steps, dtype=np.int64), np.array(of_steps, dtype=np.float64))


def by_the_machine(one: Limit, values: list[float | None]) -> list[tuple[int, int | None]]:
    state, found = AlertState(), []
    for number, value in enumerate(values):
        state, change = step(one, state, Sample(3 * number, 0.0, value))
        if change is not None and change.change is Change.FIRING:
            found.append((change.sample.step, None))
        elif change is not None:
            found[-1] = (found[-1][0], change.sample.step)
    return found


def test_a_series_at_once_is_the_machine_step_by_step() -> None:
    """All series of up to seven values that are good, bad or unknown, for all small numbers of steps."""
    for length in range(8):
        for letters in itertools.product("gbn", repeat=length):
            values = drawn("".join(letters))
            for steps in itertools.product((1, 2, 3), repeat=2):
                one = rule(*steps)
                found = [(e.firing_step, e.resolved_step) for e in episodes(one, series(values))]
                assert found == by_the_machine(one, values), (letters, steps)


def test_an_episode_tells_how_long_and_how_bad_it_was() -> None:
    """Bad values that led to it belong to it; what is unknown is no sample."""
    values = [GOOD, 2.0, -9.0, NAN, 3.0, GOOD, 2.0, GOOD, GOOD, GOOD]
    assert episodes(rule(2, 2), series(values)) == [
        Episode(firing_step=6, resolved_step=24, samples=5, bad=3, value=-9.0, worst=-9.0)
    ]
    infinite = episodes(rule(), series([GOOD, math.inf, -math.inf]))
    assert [(one.samples, one.worst) for one in infinite] == [(2, math.inf)]


LETTERS = st.text("gbn-", max_size=60)
COUNTS = st.integers(1, 4)


@settings(deadline=None, max_examples=200)
@given(LETTERS, COUNTS, COUNTS, st.data())
def test_what_stands_at_a_step_is_what_the_whole_series_says(
    letters: str, for_steps: int, clear_steps: int, data: st.DataObject
) -> None:
    """However far the first look reaches: looking back in stretches changes nothing."""
    values, one = drawn(letters), rule(for_steps, clear_steps)
    at = data.draw(st.integers(0, max(0, len(values) - 1)))

    def read(metrics: object, first: int, last: int) -> dict[str, Series]:
        whole = series(values)
        inside = (whole.step >= first) & (whole.step <= last)
        return {"kl": Series(whole.step[inside], whole.value[inside])}

    before = episodes(one, series(values[: at + 1]))
    expected = []
    if before and before[-1].resolved_step is None:
        last = values[at]
        known = None if last is None or math.isnan(last) else last
        expected = [Alert(one, before[-1].firing_step, before[-1].samples, known)]
    assert alerts_at([one], read, 0, 3 * at) == expected
    looks = {"first_look": data.draw(st.integers(1, 40)), "further": 2}
    assert alerts_at([one], read, 0, 3 * at, **looks, farthest=1000) == expected
    near = alerts_at([one], read, 0, 3 * at, **looks, farthest=data.draw(st.integers(1, 40)))
    assert [(alert.rule, alert.value) for alert in near] == [(alert.rule, alert.value) for alert in expected]
    for alert, true in zip(near, expected, strict=True):
        assert alert == true or (alert.is_older and alert.since_step >= true.since_step)


def test_a_look_goes_only_as_far_back_as_it_must() -> None:
    """A good row close by decides; the rest of a long run is not read."""
    looks = []

    def read(metrics: object, first: int, last: int) -> dict[str, Series]:
        looks.append((first, last))
        steps = np.arange(first, last + 1)
        return {"kl": Series(steps, np.where(steps >= last - 5, BAD, GOOD))}

    assert alerts_at([rule(3)], read, 0, 999_999) == [Alert(rule(3), 999_996, 4, BAD)]
    assert looks == [(999_999 - active.FIRST_LOOK + 1, 999_999)]


@pytest.mark.parametrize("apart", [1, 1_000, 10**6, 10**12])
def test_an_alert_is_older_by_its_samples_and_not_by_the_numbers_of_its_steps(apart: int) -> None:
    """A fresh one of a run that counts tokens, say, is a fresh one; a long one began where its first samples are."""
    values = np.full(60, BAD)
    steps = np.arange(60) * apart

    def read(metrics: object, first: int, last: int) -> dict[str, Series]:
        inside = (steps >= first) & (steps <= last)
        return {"kl": Series(steps[inside], values[inside])}

    for farthest in (60, 40_000):
        assert alerts_at([rule()], read, 0, 59 * apart, farthest=farthest) == [Alert(rule(), 0, 60, BAD)]
