"""All rules of a run judged at once give what each gives when it is computed slowly, however the figures come."""

from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolloutwatch_contract.conditions import Truth, parse
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Fed, Ignored, Memory, Piece, Rewind
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.state import AlertState, Phase
from tests.oracle.alerts import Happened, happenings
from tests.server.alert_strategies import ALIKE, BASELINES, RULES, STEPS, figures, long_runs
from tests.server.in_memory import InMemory

Drawn = Sequence[tuple[int, float, dict[str, float]]]


def run_of(drawn: Drawn) -> list[tuple[int, float, dict[str, float]]]:
    """Steps with numbers and times that grow."""
    steps, number, time = [], 0, 100.0
    for more, seconds, metrics in drawn:
        number, time = number + more, time + seconds
        steps.append((number, time, metrics))
    return steps


def told(fed: Iterable[Fed]) -> list[Happened]:
    return [
        Happened(rule.name, one.change.value, one.epoch, one.step, one.time, one.quiet, one.reason)
        for some in fed
        for rule, one in some.transitions
    ]


def by_rule(happened: Iterable[Happened], rules: Sequence[Rule]) -> list[Happened]:
    """Those of each rule together, in the order in which they happened."""
    order = [rule.name for rule in rules]
    return sorted(happened, key=lambda one: order.index(one.rule))


@settings(deadline=None, max_examples=300)
@given(RULES, STEPS)
def test_judged_at_once_is_judged_slowly(rules: list[Rule], drawn: Drawn) -> None:
    assert_judged_slowly(rules, drawn)


@settings(deadline=None, max_examples=200)
@given(ALIKE, STEPS)
def test_numbers_that_are_made_of_the_same_are_told_apart(rules: list[Rule], drawn: Drawn) -> None:
    """The negative of a number is not that number less itself, though both are a minus and the same operand."""
    assert_judged_slowly(rules, drawn)


def assert_judged_slowly(rules: list[Rule], drawn: Drawn) -> None:
    steps = run_of(drawn)
    alerts = RunAlerts(Plan(rules))
    fed = [alerts.feed(Piece(number, time, 1, metrics)) for number, time, metrics in steps]
    assert by_rule(told(fed), rules) == happenings(rules, steps)


def pieces_of(steps: Drawn) -> list[Piece]:
    return [Piece(number, time, 1, metrics) for number, time, metrics in steps]


def fed_with(rules: Sequence[Rule], pieces: Iterable[Piece]) -> list[Happened]:
    alerts = RunAlerts(Plan(rules))
    return by_rule(told(alerts.feed(piece) for piece in pieces), rules)


@settings(deadline=None, max_examples=150)
@given(RULES, STEPS, st.data())
def test_it_is_the_same_however_a_step_comes_in_pieces(
    rules: list[Rule], drawn: Drawn, data: st.DataObject
) -> None:
    """Figure by figure, in any order: a rule decides once, and what comes later cannot change it."""
    whole = pieces_of(run_of(drawn))
    parts = []
    for piece in whole:
        names = data.draw(st.permutations(sorted(piece.metrics)))
        cuts = data.draw(st.integers(0, len(names)))
        for some in (names[:cuts], *([name] for name in names[cuts:])):
            metrics = {name: piece.metrics[name] for name in some}
            parts.append(Piece(piece.step, piece.time, 1, metrics))
    assert fed_with(rules, parts) == fed_with(rules, whole)


@settings(deadline=None, max_examples=150)
@given(RULES, STEPS, st.data())
def test_it_goes_on_after_a_restart_as_if_there_had_been_none(
    rules: list[Rule], drawn: Drawn, data: st.DataObject
) -> None:
    """From states, memory and the last pieces, at any place, in the midst of a step too; with no more than it asks for."""
    pieces = [
        Piece(piece.step, piece.time, session, {name: value})
        for piece in pieces_of(run_of(drawn))
        for session, (name, value) in enumerate(sorted(piece.metrics.items()), 1)
    ]
    at = data.draw(st.integers(0, len(pieces)))
    uninterrupted = RunAlerts(Plan(rules))
    before, expected = pieces[:at], []
    for place, piece in enumerate(pieces):
        if place == at:
            states, memory = uninterrupted.states, through_msgpack(uninterrupted.memory())
        fed = uninterrupted.feed(piece)
        if place >= at:
            expected.append(fed)
    if at == len(pieces):
        states, memory = uninterrupted.states, through_msgpack(uninterrupted.memory())
    resumed = RunAlerts(Plan(rules), states, memory)
    far = 0
    while not resumed.warm(before[len(before) - far :]) and far < len(before):
        far += 1
        while far < len(before) and before[-far - 1].step == before[-far].step:
            far += 1
    assert [resumed.feed(piece) for piece in pieces[at:]] == expected
    assert resumed.states == uninterrupted.states
    assert resumed.memory() == uninterrupted.memory()


def flat(steps: Iterable[Sequence[Piece]]) -> list[Piece]:
    return [piece for pieces in steps for piece in pieces]


@settings(deadline=None, max_examples=60)
@given(long_runs())
def test_baselines_are_those_of_the_session_that_a_metric_comes_from(steps: list[list[Piece]]) -> None:
    """Each metric's own: what another session brings of the same steps has no part in it."""
    alerts = RunAlerts(Plan(BASELINES))
    whole = [
        (
            pieces[0].step,
            pieces[0].time,
            {name: value for one in pieces for name, value in one.metrics.items()},
        )
        for pieces in steps
    ]
    sessions = [{name: one.session for one in pieces for name in one.metrics} for pieces in steps]
    fed = [alerts.feed(piece) for piece in flat(steps)]
    assert by_rule(told(fed), BASELINES) == happenings(BASELINES, whole, sessions)


@settings(deadline=None, max_examples=60)
@given(long_runs(), st.data())
def test_baselines_go_on_after_a_restart_from_no_more_than_they_ask_for(
    steps: list[list[Piece]], data: st.DataObject
) -> None:
    """Of pieces as an archive has them: one a step, of no session, with the one that each figure is of beside it.

    Or from no more than that and what the run is compared with.
    """
    at = data.draw(st.integers(0, len(steps)))
    names = {name for piece in flat(steps) for name in piece.metrics}
    past = st.lists(st.floats(-2.0, 2.0), min_size=25, max_size=80)
    reference = data.draw(st.dictionaries(st.sampled_from(sorted(names)), past))
    uninterrupted = RunAlerts(Plan(BASELINES), reference=reference)
    for piece in flat(steps[:at]):
        uninterrupted.feed(piece)
    memory = through_msgpack(uninterrupted.memory())
    resumed = RunAlerts(Plan(BASELINES), uninterrupted.states, memory, reference)
    before, far = [read_again(pieces) for pieces in steps[:at]], 0
    while not resumed.warm(before[at - far :]) and far < at:
        far = min(at, far + data.draw(st.integers(1, 60)))
    for piece in flat(steps[at:]):
        assert resumed.feed(piece) == uninterrupted.feed(piece)
    assert resumed.states == uninterrupted.states


def read_again(pieces: Sequence[Piece]) -> Piece:
    metrics = {name: value for piece in pieces for name, value in piece.metrics.items()}
    speakers = {name: piece.session for piece in pieces for name in piece.metrics}
    return Piece(pieces[0].step, pieces[0].time, 0, metrics, speakers)


def test_nothing_is_forgotten_where_nobody_knows_which_session_it_was() -> None:
    """As of what was noted by a server that did not note it yet."""
    one = Rule(name="one", severity=Severity.WARNING, when=parse("jump(kl, 40) > 4"))
    alerts = RunAlerts(Plan([one]))
    pieces = [Piece(step, float(step), step % 5 and 1, {"kl": float(step % 3)}) for step in range(20)]
    assert told(alerts.feed(piece) for piece in pieces) == []
    assert told([alerts.feed(Piece(20, 20.0, 1, {"kl": 9.0}))]) == [Happened("one", "firing", 1, 20, 20.0)]


def test_sessions_that_take_turns_forget_at_each_turn() -> None:
    """What is asked of a baseline is then never known."""
    one = Rule(name="one", severity=Severity.WARNING, when=parse("jump(kl, 40) > 4 or drift(kl, 40) > 4"))
    alerts = RunAlerts(Plan([one]))
    pieces = [Piece(step, float(step), 1 + step // 20 % 2, {"kl": float(step)}) for step in range(200)]
    assert told(alerts.feed(piece) for piece in pieces) == []


def test_who_judges_a_run_again_tells_it_where_the_run_went_back() -> None:
    """With how often rules had fired by then, those that are not in force any more too."""
    one = Rule(name="one", severity=Severity.WARNING, when=parse("ratio_std > 1"))
    alerts = RunAlerts(Plan([one]))
    alerts.feed(Piece(3, 0.0, 1, {"ratio_std": 2.0}))
    fed = alerts.go_back(Rewind(2, 5.0, {"one": 7, "former": 3}))
    assert told([fed]) == [Happened("one", "resolved", 1, 2, 5.0, False, "the run went back to step 2")]
    assert alerts.states == fed.states == {"one": AlertState(epoch=7), "former": AlertState(epoch=3)}
    fed = alerts.feed(Piece(2, 6.0, 1, {"ratio_std": 2.0}))
    assert told([fed]) == [Happened("one", "firing", 8, 2, 6.0)]


def test_a_step_behind_which_a_run_goes_back_was_over() -> None:
    """Where it is judged again what was given up is not there: the step before it closes as it did when more came."""
    one = Rule(name="one", severity=Severity.WARNING, when=parse("absent(n_tokens, 1)"))
    alerts = RunAlerts(Plan([one]))
    for step, metric in enumerate(["n_tokens", "ratio_std"]):
        assert told([alerts.feed(Piece(step, float(step), 1, {metric: 2.0}))]) == []
    fired, ended = told([alerts.go_back(Rewind(2, 9.0, {"one": 1}))])
    assert fired == Happened("one", "firing", 1, 1, 1.0)
    assert ended == Happened("one", "resolved", 1, 2, 9.0, False, "the run went back to step 2")


def test_an_alert_goes_on_where_a_run_goes_back_unless_the_note_of_that_says_otherwise() -> None:
    """By rules that were not in force then the note tells nothing of alerts, and all that fire go on."""
    one = Rule(name="one", severity=Severity.WARNING, when=parse("ratio_std > 1"))
    for to, is_recorded, goes_on in [
        (Rewind(1, 5.0, {"one": 1}, {"one": False}), True, True),
        (Rewind(1, 5.0, {"one": 1}), True, False),
        (Rewind(1, 5.0, {"one": 9}), False, True),
    ]:
        alerts = RunAlerts(Plan([one]))
        alerts.feed(Piece(0, 0.0, 1, {"ratio_std": 2.0}))
        back = alerts.go_back(to, is_recorded=is_recorded)
        assert ([one.reason for one in told([back])] == []) == goes_on
        assert (alerts.state("one").phase is Phase.FIRING) == goes_on
        assert alerts.state("one").epoch == 1


def test_a_step_without_figures_is_none() -> None:
    alerts = RunAlerts(Plan([]))
    assert alerts.feed(Piece(3, 0.0, 1, {})) == Fed([], {}, [])
    assert (alerts.open_step, alerts.memory()) == (-1, Memory())


def test_names_of_rules_are_different_and_the_clock_judges_only_what_is_silent() -> None:
    one = Rule(name="one", severity=Severity.WARNING, when=parse("ratio_std > 1"))
    with pytest.raises(
        ValueError, match="Two rules have the same name: expected names that are all different"
    ):
        Plan([one, one])
    with pytest.raises(ValueError, match=r"one is judged by figures: expected a rule of silent\(...\)"):
        RunAlerts(Plan([one])).by_clock("one", Truth.TRUE, 0.0)


def through_msgpack(memory: Memory) -> Memory:
    return msgspec.msgpack.decode(msgspec.msgpack.encode(memory), type=Memory)


@settings(deadline=None, max_examples=200)
@given(RULES, STEPS, st.data())
def test_what_comes_again_is_never_judged_again(rules: list[Rule], drawn: Drawn, data: st.DataObject) -> None:
    """A record that is delivered twice, however late, changes nothing, and it is noted that it was not judged."""
    pieces = pieces_of(run_of(drawn))
    alerts, twice = RunAlerts(Plan(rules)), RunAlerts(Plan(rules))
    for place, piece in enumerate(pieces):
        assert twice.feed(piece) == alerts.feed(piece)
        again = pieces[data.draw(st.integers(0, place))]
        fed = twice.feed(msgspec.structs.replace(again, time=again.time + 1000))
        assert (fed.transitions, fed.states) == ([], {})
        assert fed.notes == [Ignored(again.step, again.session, tuple(again.metrics))]
        assert twice.memory() == alerts.memory()
        assert twice.states == alerts.states


@settings(deadline=None, max_examples=300)
@given(RULES, st.lists(st.tuples(st.integers(0, 20), st.integers(1, 2), figures()), max_size=40))
def test_alerts_begin_and_end_in_turn_whatever_comes(
    rules: list[Rule], drawn: list[tuple[int, int, dict[str, float]]]
) -> None:
    """Late, again, from further back, of two writers at once: each alert fires once and ends once, epoch after epoch."""
    alerts = RunAlerts(Plan(rules))
    fed = [
        alerts.feed(Piece(step, float(place), session, metrics))
        for place, (step, session, metrics) in enumerate(drawn)
    ]
    turns: dict[str, list[tuple[str, int]]] = {}
    for one in told(fed):
        if one.change in ("firing", "resolved"):
            turns.setdefault(one.rule, []).append((one.change, one.epoch))
    for rule, found in turns.items():
        whole = [(change, epoch) for epoch in range(1, len(found) + 1) for change in ("firing", "resolved")]
        assert found == whole[: len(found)]
        assert alerts.states[rule].epoch == found[-1][1]
        assert (alerts.states[rule].phase is Phase.FIRING) == (found[-1][0] == "firing")


@settings(deadline=None, max_examples=150)
@given(RULES, STEPS, STEPS, st.data())
def test_a_run_that_goes_back_is_judged_as_if_what_is_given_up_had_never_been(
    rules: list[Rule], first: Drawn, again: Drawn, data: st.DataObject
) -> None:
    """Windows hold what was before; what the note of it tells is all that there is to know of what was given up."""
    memory, before = InMemory(RunAlerts(Plan(rules))), pieces_of(run_of(first))
    past = told(memory.feed(piece) for piece in before)
    to_step = data.draw(st.sampled_from([piece.step for piece in before]))
    moved = pieces_again(before, run_of(again), to_step)
    back = memory.feed(moved[0])
    (note,) = (note for note in back.notes if isinstance(note, Rewind))
    assert set(note.going_on) == going_on(past, to_step)
    shown = RunAlerts(Plan(rules))
    kept = [piece for piece in before if piece.step < to_step]
    expected = told(
        [*(shown.feed(piece) for piece in kept), shown.go_back(note), *(shown.feed(piece) for piece in moved)]
    )
    # what the lack of a figure decided of the last step that is kept was told once a step had come that is given up
    found = [one for one in past if one.step < to_step]
    found += told([back, *(memory.feed(piece) for piece in moved[1:])])
    assert without_ends(found) == without_ends(expected)
    assert shown.states == {
        name: msgspec.structs.replace(state, turns=tuple(shifted(state.turns, memory.alerts, shown)))
        for name, state in memory.alerts.states.items()
    }


def pieces_again(before: Sequence[Piece], again: Drawn, to_step: int) -> list[Piece]:
    """Steps of another session, the first of them a step that a metric had come at or behind."""
    steps = [Piece(step, time + 1000, 2, metrics) for step, time, metrics in again]
    moved = [msgspec.structs.replace(piece, step=piece.step - steps[0].step + to_step) for piece in steps]
    known = sorted(before[-1].metrics)
    moved[0] = msgspec.structs.replace(moved[0], metrics={known[0]: 1.0, **moved[0].metrics})
    return moved


def going_on(past: Iterable[Happened], to_step: int) -> set[str]:
    """The rules whose alert began before a step and has not ended."""
    since: dict[str, int] = {}
    for one in past:
        if one.change == "firing":
            since[one.rule] = one.step
        elif one.change == "resolved":
            del since[one.rule]
    return {rule for rule, step in since.items() if step < to_step}


def without_ends(happened: Iterable[Happened]) -> list[Happened]:
    """Without the ends of alerts for the run's going back: those that are given up with it have none where it is shown."""
    return [one for one in happened if not one.reason.startswith("the run went back")]


def shifted(turns: Iterable[int], live: RunAlerts, shown: RunAlerts) -> list[int]:
    """Turns as they are without the steps that were given up, which are counted too."""
    return [turn - live.progress.number + shown.progress.number for turn in turns]
