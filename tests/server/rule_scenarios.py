"""Reads the files of tests/rules: rules, the figures that come, and how the rules must stand; their README tells the form."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from rolloutwatch_contract.conditions import Truth
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import read_rules
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import (
    Ended,
    Fed,
    Ignored,
    Late,
    Memory,
    Note,
    Piece,
    Rewind,
    RulesChanged,
)
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.state import AlertState, Phase
from tests.server.in_memory import InMemory

FOLDER = Path(__file__).parent.parent / "rules"
LETTERS = {Phase.OK: ".", Phase.PENDING: "p", Phase.FIRING: "F"}

Document = Mapping[str, Any]


class Row(msgspec.Struct, frozen=True):
    """Something that happens to a run: a step comes, or an end, other rules, the clock. And how rules then stand."""

    piece: Piece | None
    end: float | None
    rules: list[Rule] | None
    clock: tuple[str, Truth, float] | None
    expect: dict[str, str]
    notes: list[str] | None
    is_whole: bool


class Scenario(msgspec.Struct, frozen=True):
    about: str
    rules: list[Rule]
    rows: list[Row]
    events: dict[str, list[str]]

    @property
    def is_plain(self) -> bool:
        """Whether it is nothing but steps, one after the other."""
        steps = [row.piece.step for row in self.rows if row.piece is not None]
        return len(steps) == len(self.rows) and steps == sorted(set(steps))


def read(path: Path) -> Scenario:
    document = tomllib.loads(path.read_text())
    known = {"about", "own_metrics", "rule", "steps", "times", "series", "expect", "events", "then"}
    assert set(document) <= known, f"{path.name}: {set(document) - known}"
    rows = list(_rows(document, document, -1, 0.0, path.name))
    for part in document.get("then", []):
        pieces = [row.piece for row in rows if row.piece is not None]
        rows += _rows(part, document, pieces[-1].step, pieces[-1].time, path.name)
    return Scenario(
        document["about"], _rules(document, document, path.name), rows, document.get("events", {})
    )


def tokens(text: str) -> list[str]:
    """Split a line; `1.0*3` is that three times, and so is `(1.0 2.0)*3`."""
    text = re.sub(r"\(([^()]*)\)\*(\d+)", lambda match: f"{match[1]} " * int(match[2]), text)
    text = re.sub(r"(\S+)\*(\d+)", lambda match: f"{match[1]} " * int(match[2]), text)
    return text.split()


def _rules(part: Document, document: Document, file: str) -> list[Rule]:
    written = {"own_metrics": document.get("own_metrics", []), "rule": part["rule"]}
    return [rule for rule in read_rules(written, file).rules if rule.enabled]


def _rows(part: Document, document: Document, last: int, time: float, file: str) -> Iterator[Row]:
    if "series" in part:
        yield from _steps(part, last, time)
        return
    rules = clock = None
    if "rule" in part or part.get("no_rules"):
        rules = [] if part.get("no_rules") else _rules(part, document, file)
    if "clock" in part:
        clock = part["clock"], Truth.TRUE if part["is_silent"] else Truth.FALSE, part["time"]
    yield Row(None, part.get("end"), rules, clock, part["expect"], part.get("notes"), False)


def _steps(part: Document, last: int, time: float) -> Iterator[Row]:
    series = {metric: tokens(text) for metric, text in part["series"].items()}
    count = len(next(iter(series.values())))
    steps = [int(step) for step in tokens(part.get("steps", ""))] or [last + 1 + at for at in range(count)]
    times = [float(at) for at in tokens(part.get("times", ""))] or [time + 1 + at for at in range(count)]
    expect = {rule: tokens(text) for rule, text in part["expect"].items()}
    lengths = {len(line) for line in (*series.values(), *expect.values(), steps, times)}
    assert lengths == {count}, f"lines of different lengths: {sorted(lengths)}"
    for at in range(count):
        figures = {metric: float(values[at]) for metric, values in series.items() if values[at] != "_"}
        yield Row(
            piece=Piece(steps[at], times[at], part.get("session", 1), figures),
            end=None,
            rules=None,
            clock=None,
            expect={rule: letters[at] for rule, letters in expect.items()},
            notes=part.get("notes") if at == count - 1 else None,
            is_whole=part.get("is_whole", False),
        )


class Played:
    """A run that a scenario plays on: `restarts` after every piece, or gets each step figure by figure."""

    def __init__(self, scenario: Scenario, *, restarts: bool = False, figure_by_figure: bool = False) -> None:
        self.rules = scenario.rules
        self._memory = InMemory(RunAlerts(Plan(self.rules)))
        self.fed: list[Fed] = []
        self.notes: list[Note] = []
        self._restarts = restarts
        self._splits = figure_by_figure
        self._time = 0.0
        self._kept: dict[str, AlertState] = {}

    @property
    def alerts(self) -> RunAlerts:
        return self._memory.alerts

    def play(self, row: Row) -> None:
        self.notes = []
        if row.piece is not None:
            for piece in self._split(row.piece) if self._splits and not row.is_whole else [row.piece]:
                self._time = piece.time
                self._take(self._memory.feed(piece))
        if row.end is not None:
            self._take(self.alerts.end(row.end))
        if row.rules is not None:
            self._take(self.alerts.replace(Plan(row.rules), self._time))
        if row.clock is not None:
            self._take(self.alerts.by_clock(*row.clock))

    def letters(self, rule: str) -> str:
        state = self.alerts.state(rule)
        return LETTERS[state.phase] + "~" * state.flapping

    def _take(self, fed: Fed) -> None:
        self.fed.append(fed)
        self.notes += fed.notes
        self._kept |= fed.states
        assert {
            rule: state for rule, state in self._kept.items() if state != AlertState()
        } == self.alerts.states
        if self._restarts:
            memory = msgspec.msgpack.decode(msgspec.msgpack.encode(self.alerts.memory()), type=Memory)
            packed = msgspec.msgpack.encode(self.alerts.states)
            states = msgspec.msgpack.decode(packed, type=dict[str, AlertState])
            self._memory.alerts = RunAlerts(self.alerts.plan, states, memory)
            self.alerts.warm(self._memory.pieces)

    @staticmethod
    def _split(piece: Piece) -> list[Piece]:
        return [
            msgspec.structs.replace(piece, metrics={metric: value}) for metric, value in piece.metrics.items()
        ]


def event_lines(fed: list[Fed], rule: str) -> list[str]:
    """What happened to a rule's alerts, each in a line: `5 firing 1`, `9 resolved 1 quiet`, `9 resolved 1 (the run ended)`."""
    return [
        f"{one.step} {one.change.value} {one.epoch}"
        + (f" ({one.reason})" if one.reason else "")
        + (" quiet" if one.quiet else "")
        for some in fed
        for of, one in some.transitions
        if of.name == rule
    ]


def note_line(note: Note) -> str:
    match note:
        case Late(step, metrics, during):
            return f"late {step} {' '.join(metrics)} during {during}"
        case Ignored(step, session, metrics):
            return f"ignored {step} {' '.join(metrics)} of {session}"
        case Rewind(step, _, epochs, going_on):
            counted = (f"{rule}:{epoch}{' goes on' * (rule in going_on)}" for rule, epoch in epochs.items())
            return " ".join([f"rewind {step}", *counted])
        case RulesChanged(step, _, came):
            return " ".join([f"rules {step}", *came])
        case Ended(step, _):
            return f"ended {step}"
