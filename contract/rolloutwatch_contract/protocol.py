"""What a dashboard may ask of whoever has the data.

The server hands the dashboard a Source; so does a test, with a MemorySource.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.alert_life import Moment
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_contract.figure_summary import FigureSummary
from rolloutwatch_contract.histograms import Histograms
from rolloutwatch_contract.protocol_steps import NoStep, StepView
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.severity import Severity

Value = str | int | float | bool | None


class RunState(enum.Enum):
    """How a run is: its last session writes, is silent without having ended, ended, or ended badly."""

    LIVE = "live"
    STALLED = "stalled"
    FINISHED = "finished"
    CRASHED = "crashed"


class RunSummary(msgspec.Struct, frozen=True):
    """A run in one line. Steps are None before the first one; times are seconds since 1970.

    It is `contested` while two trainers write to it at once.
    People have given it `tags`, and have put it away if it is `archived`: lists leave it out unless it is asked for.
    """

    id: str
    project: str
    name: str
    state: RunState
    first_step: int | None
    last_step: int | None
    started_at: float
    updated_at: float
    contested: bool = False
    tags: tuple[str, ...] = ()
    archived: bool = False


class SessionView(msgspec.Struct, frozen=True):
    """One process that writes to a run, or wrote: how it is, and what it said of itself.

    It is `contested` while it and another one write the same figures.
    """

    id: str
    state: RunState
    started_at: float
    config: dict[str, Value] = {}
    environment: dict[str, str] = {}
    contested: bool = False


class MarkView(msgspec.Struct, frozen=True):
    """Something that happened at a step and is no figure; `kind` is one of `MarkKind` or the trainer's own.

    It is `found` if nobody sent it: it follows from the run's sessions. Whoever likes may send a mark of any kind.
    """

    step: int
    time: float
    kind: str
    fields: dict[str, Value] = {}
    session: str = ""
    found: bool = False


def json_fields(fields: Mapping[str, Value]) -> dict[str, Value]:
    """Return fields as a browser reads them exactly: a large integer, a hash perhaps, as text, and NaN as None."""
    return {name: _json_value(value) for name, value in fields.items()}


def _json_value(value: Value) -> Value:
    if type(value) is int and abs(value) > MAX_STEP:
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


class RunDetail(msgspec.Struct, frozen=True):
    """A run as a whole: its summary, the metrics it has, and what its trainer said of itself.

    `dropped` counts what the trainer could not deliver, by reason.
    `generation` names the history that series show: it is another one as soon as a session that was resumed
    takes over steps of an earlier one, and then all that was read before has to be read again.
    `changes` grows with all that is archived for the run: as long as it stays, so does all that is shown.
    `sessions` stand in the order in which they started; `config` and `environment` are those of the run's newest.
    Before the step `tables_from` sequences, histograms, sample ids and tokens were let go of; None if nothing was.
    `reference` is the run that this one is compared with from its first step on, "" if there is none.
    """

    summary: RunSummary
    metrics: tuple[str, ...]
    config: dict[str, Value]
    environment: dict[str, str]
    dropped: dict[str, int]
    generation: str = ""
    sessions: tuple[SessionView, ...] = ()
    changes: int = 0
    tables_from: int | None = None
    reference: str = ""

    @property
    def rivals(self) -> tuple[SessionView, ...]:
        """Return the sessions that claim the run at once; what is shown is of the last one."""
        return tuple(session for session in self.sessions if session.contested)


class Series(msgspec.Struct, frozen=True):
    """One metric over steps: `step` int64 [n] ascending, `value` float64 [n], where NaN and infinity are values.

    With `time` float64 [n], seconds since 1970 at which each value was made, where that was asked for.
    """

    step: npt.NDArray[np.int64]
    value: npt.NDArray[np.float64]
    time: npt.NDArray[np.float64] | None = None


class SilenceView(msgspec.Struct, frozen=True):
    """Nobody is told of alerts of runs and rules that two patterns match, `until` a time in seconds since 1970."""

    id: int
    run: str
    rule: str
    until: float
    author: str
    reason: str
    created_at: float

    def covers(self, run: str, rule: str) -> bool:
        """Tell whether it is of this rule on this run."""
        return fnmatchcase(run, self.run) and fnmatchcase(rule, self.rule)


class Origin(enum.Enum):
    """Where the rules in force come from."""

    DEFAULT = "default"
    API = "api"
    FILE = "file"


class RulesView(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force, and who put them there when.

    `version` is another one as soon as other rules are in force; `document` is what was written, in TOML.
    `file` is the name of the file that owns them, if one does; `problem` says why what it says now is not in force.
    """

    origin: Origin
    version: int
    document: str
    rules: tuple[Rule, ...]
    author: str = ""
    time: float | None = None
    file: str = ""
    problem: str = ""


class Phase(enum.Enum):
    """How a rule stands on a run; unknown before it could be judged there."""

    OK = "ok"
    PENDING = "pending"
    FIRING = "firing"
    UNKNOWN = "unknown"


class RuleState(msgspec.Struct, frozen=True, kw_only=True):
    """How a rule stands on a run, and why it can never fire there, if it cannot."""

    rule: str
    phase: Phase
    why_never: str | None = None


class TargetView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is told of alerts: by what way, of which ones at the least, and whether that works.

    `host` is where it is, '' if that would tell a secret; `runs` are patterns of run ids.
    It fails since `failing_since` once several attempts have failed, and `error` says why.
    `waiting` and `dead` count messages that are yet to be sent, and those that were given up.
    """

    name: str
    kind: str
    host: str = ""
    severity: str
    runs: tuple[str, ...] = ("*",)
    last_success: float | None = None
    failing_since: float | None = None
    waiting: int = 0
    dead: int = 0
    error: str = ""


class GivenUpView(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up: for whom it was, of which alerts of a run, when that was, after how many attempts, and why."""

    id: int
    target: str
    run: str
    rules: tuple[str, ...]
    time: float | None
    attempts: int
    error: str


class Source(Protocol):
    """Where the dashboard gets its data. Every call may come from any thread."""

    def runs(self) -> Sequence[RunSummary]:
        """Return all runs, the most recently updated first."""

    def versions(self) -> Mapping[str, str]:
        """Return a word for each run that stays as long as its figures, its configuration and its losses do."""

    def run(self, run: str) -> RunDetail | None:
        """Return one run, None if there is none of that id."""

    def series(
        self,
        run: str,
        metrics: Sequence[str],
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        points: int | None = None,
        by_time: bool = False,
    ) -> Mapping[str, Series]:
        """Return the series asked for, steps `from_step` to `to_step` inclusive.

        More than `points` values are thinned to about that many, keeping every column's minimum and maximum.
        With `by_time` columns are of time, values stand in its order, each with its time,
        and those of which nobody knows when they were made are left out.
        A metric the run does not have gives an empty series.
        """

    def histograms(
        self,
        run: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        columns: int = 500,
        width: int = 1,
    ) -> Histograms:
        """Return the histograms of the log ratio of steps `from_step` to `to_step` inclusive, each token counted once.

        They come in columns of `width` steps, a power of two, or of the least more of which there are
        no more than `columns`. A run that has none, or that there is none of, gives none.
        """

    def summaries(self, run: str, metrics: Sequence[str]) -> Mapping[str, FigureSummary]:
        """Return each figure over the whole run in a few numbers, of which none is lost by thinning."""

    def marks(
        self,
        run: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        most: int | None = None,
    ) -> Sequence[MarkView]:
        """Return what is marked from step `from_step` to `to_step` inclusive, by step.

        Of a kind that a trainer has marked more often than `most` times about so many are returned,
        spread over the steps. Restarts and contests, which are found and not sent, are always all there.
        """

    def step(self, run: str, step: int, attempt: str | None = None) -> StepView | NoStep:
        """Return all of one step but its marks; with `attempt`, the id of a session, as that one did it."""

    def alerts(
        self,
        *,
        state: str = "firing",
        run: str | None = None,
        rule: str | None = None,
        severity: Severity | None = None,
        from_time: float | None = None,
        to_time: float | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Sequence[AlertView]:
        """Return alerts that fire, of state "past" those that have ended or were given up, or "all", the newest first.

        With times those that began from the one on and before the other, in seconds since 1970.
        `before` is the id of one: those that follow it are returned.
        """

    def alert(self, alert: str) -> AlertView | None:
        """Return one alert, None if there is none of that id."""

    def moments(self, alert: str) -> Sequence[Moment]:
        """Return the life of an alert in order, as far as it is kept; nothing of one that there is not."""

    def alerts_at(self, run: str, step: int, time: float) -> Sequence[AlertView]:
        """Return the alerts that stand after a step, as recorded, the one that began first being the first.

        Each with what people had said of it until `time`, seconds since 1970, when the step was made.
        """

    def diagnosis(self, run: str, step: int) -> Diagnosis:
        """Return what is probably wrong at a step, without causes where no alert about the policies stands."""

    def silences(self) -> Sequence[SilenceView]:
        """Return the silences that are not over."""

    def rules(self) -> RulesView:
        """Return the rules in force."""

    def rule_states(self, run: str) -> Sequence[RuleState]:
        """Return how each rule that watches a run stands there, in their order."""

    def broken_alerts(self) -> Mapping[str, str]:
        """Return the runs whose alerts cannot be judged, which is a fault of the server, with what is wrong."""

    def notifications(self) -> Sequence[TargetView]:
        """Return everybody who is told of alerts."""

    def given_up(self, limit: int = 100) -> Sequence[GivenUpView]:
        """Return messages that were given up, the newest first."""
