"""One run in memory: its alerts, and what is kept of it beside them."""

from collections.abc import Sequence

from rolloutwatch_contract import Mark, RunEnd, StepRecord
from rolloutwatch_contract.conditions import Truth, by_clock
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.book import Book, RunRow
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Fed, Ignored, Late, Memory, Note, Piece, Reconfigured, Rewind
from rolloutwatch_server.alerts.notes import (
    TIME,
    LateFigures,
    OtherConfig,
    OtherRules,
    RunEnded,
    Was,
    WentBack,
)
from rolloutwatch_server.alerts.overlaps import Overlap, Read, reach_back
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.state import AlertState, Phase

FIRST_LOOK = 256  # steps that are read to fill windows, and each further look so many times as many
FURTHER = 16
SECONDS_LATE = 60.0  # after which a record tells of the past, by the clock of who finds it

# a record, or a mark of another configuration, its session, and what of it is not shown
Entry = tuple[StepRecord | Mark | RunEnd, int, frozenset[str]]


class Watch:
    """A run that is judged. What happens to it is kept in the book at once; how far it is, by `settle`."""

    def __init__(self, run: str, row: RunRow, alerts: RunAlerts, noted_to: int) -> None:
        self.run = run
        self.row = row
        self.alerts = alerts
        self.has_changed = False
        self._noted_to = noted_to
        self._opened_by = -1
        self._is_dirty = False
        self._has_waited = False  # what is at hand, of a run whose clock nobody knows
        self._clocks: list[Rule] = []
        self._silent: list[Rule] = []  # of the rules that the clock judges those that fire
        self._look_for_clocks()

    def overlap(self, book: Book, records: Sequence[StepRecord]) -> Overlap | None:
        """Look at what is about to be written; return what has to be known of it then, None if it only goes on."""
        found = reach_back(self._memory, self._noted_to, records)
        if found is None:
            return None
        metrics, first = found
        noted, late = book.noted(self.run, first), book.late(self.run, first)
        return Overlap(self._reader(book), metrics, first, noted, late)

    def take(self, book: Book, entries: Sequence[Entry], overlap: Overlap | None, since: float) -> None:
        """Judge a batch that was written; `since` is when the first record that came with it was made."""
        self._compare_clocks(book, [record.time for record, _, _ in entries], since)
        rank = book.ranks(self.run) if overlap else {}
        for record, session, hidden in entries:
            if isinstance(record, RunEnd):
                self._end(book, record.time)
                continue
            if isinstance(record, Mark):
                if not hidden:
                    self._keep(book, self.alerts.configure(record.step, record.time))
                continue
            metrics = record.metrics
            if hidden:
                metrics = {metric: value for metric, value in metrics.items() if metric not in hidden}
            if overlap is not None:
                metrics = overlap.to_be_fed(self._memory, rank, session, record.step, metrics)
            self._hear(book)
            if metrics:
                before, piece = self.alerts.open_step, Piece(record.step, record.time, session, metrics)
                goes_back = self.alerts.goes_back(piece)
                if goes_back and overlap is None:
                    # by a figure that the server made, which nobody saw coming; from there on nothing was judged yet
                    overlap, rank = Overlap(lambda _, __: {}, (), piece.step, {}, ()), book.ranks(self.run)
                notes = self._go_back(book, piece, overlap) if goes_back else []
                notes += self._feed(book, piece).notes
                if overlap is not None:
                    self._follow(book, overlap, piece, notes, before)
        if overlap is not None:
            self._note_differences(book, overlap)
        self._has_waited = False

    def replace(self, book: Book, plan: Plan, version: int) -> None:
        """Put the rules of another version in force."""
        self.row.rule_set, self._is_dirty = version, True
        if plan.decides_like(self.alerts.plan):
            self._keep(book, self.alerts.replace(plan, book.now))
            self._look_for_clocks()
            return
        memory = self._memory
        came = tuple(name for name, (at, _, _) in memory.last.items() if at == memory.step)
        book.note(self.run, OtherRules(memory.step, book.now, came, version))
        fed = self.alerts.replace(plan, book.now)
        self._look_for_clocks()
        self._keep(book, fed)

    def silent_rules(self) -> list[tuple[Rule, bool]]:
        """Return the rules that the clock judges, each with whether it fires."""
        if not self._clocks:
            return []
        states = self.alerts.states
        return [(rule, states.get(rule.name, AlertState()).phase is Phase.FIRING) for rule in self._clocks]

    def judge_by_clock(self, book: Book, rule: Rule, truth: Truth) -> None:
        """Let the clock judge a rule."""
        self._keep(book, self.alerts.by_clock(rule.name, truth, book.now))

    def settle(self, book: Book) -> None:
        """Keep how far the run is judged, if that has changed."""
        if self._is_dirty:
            book.save_run(self.run, self.row, self.alerts.memory())
            self._is_dirty = False

    @property
    def _memory(self) -> Memory:
        return self.alerts.progress

    def _look_for_clocks(self) -> None:
        self._clocks = [rule for rule in self.alerts.plan.rules if by_clock(rule.when.node)]
        self._silent = [rule for rule, is_firing in self.silent_rules() if is_firing]

    def _compare_clocks(self, book: Book, times: Sequence[float], since: float) -> None:
        """Find out how far the server's clock is ahead of the trainer's, at least.

        A run that tells first of more than a minute at once has waited for the server: that says nothing of its clock.
        """
        row, ahead = self.row, book.now - max(times)
        self._has_waited = row.skew is None and max(times) - since > SECONDS_LATE
        if not self._has_waited:
            row.skew = ahead if row.skew is None else min(row.skew, ahead)

    def _hear(self, book: Book) -> None:
        self.row.heard_at, self.row.ended, self._is_dirty = book.now, False, True

    def _go_back(self, book: Book, piece: Piece, overlap: Overlap | None) -> list[Note]:
        """Go back to the step of a piece, with windows as they were before it."""
        fed = self.alerts.rewind(piece)
        self._keep(book, fed)
        if overlap is not None:  # windows take what was judged, if not all of that is shown any more
            self._note_differences(book, overlap, piece.step)
        warm(book, self.run, self.alerts)
        return fed.notes

    def _feed(self, book: Book, piece: Piece) -> Fed:
        before, last = self.alerts.open_step, self._memory.last
        # then the former session may have no part any more in when the step was made
        takes_over = any(last[name][1] != piece.session for name in piece.metrics if name in last)
        fed = self.alerts.feed(piece)
        if self._memory.step != before:
            self._opened_by = piece.session
            for rule in self._silent[:]:
                self.judge_by_clock(book, rule, Truth.FALSE)
        elif piece.step == before and (takes_over or self._is_made_earlier(piece)):
            former = book.noted(self.run, piece.step).get(piece.step, Was(piece.step, {}))
            figures = {TIME: self._memory.time, **former.figures}
            book.note(self.run, Was(piece.step, figures, former.speakers))
            self._noted_to = max(self._noted_to, piece.step)
        if fed.transitions or fed.states or fed.notes:
            self._keep(book, fed, piece)
        return fed

    def _is_made_earlier(self, piece: Piece) -> bool:
        """Tell whether another session made its part of the open step before that was opened."""
        return piece.session != self._opened_by and piece.time < self._memory.time

    def _keep(self, book: Book, fed: Fed, piece: Piece | None = None) -> None:
        self._is_dirty = True
        birth, during = self.row.birth, None
        for note in fed.notes:
            if isinstance(note, Rewind):
                book.go_back(self.run, birth, note.step, note.time)
                book.note(self.run, WentBack(note.step, note.time, note.epochs, note.going_on, note.came))
                self.has_changed = True
            elif isinstance(note, Reconfigured):
                book.note(self.run, OtherConfig(note.step, note.time))
            elif isinstance(note, Late) and piece is not None:
                during = note.during
                figures = {metric: piece.metrics[metric] for metric in note.metrics}
                late_ones = LateFigures(note.step, piece.time, note.during, figures, piece.session)
                book.note(self.run, late_ones)
        if fed.states:
            book.save_states(self.run, fed.states)
            self._silent = [rule for rule, is_firing in self.silent_rules() if is_firing]
        for rule, transition in fed.transitions:
            late = self._has_waited or book.now - transition.time - (self.row.skew or 0.0) > SECONDS_LATE
            book.happened(self.run, birth, rule, transition, late, during=during)
            self.has_changed = True

    def _end(self, book: Book, time: float) -> None:
        """End with the last session of the run."""
        if book.is_alive(self.run):
            return
        if self._memory.step > self._memory.begun:
            fed = self.alerts.end(time)
            book.note(self.run, RunEnded(self._memory.step, time))
            self._keep(book, fed)
        self.row.ended, self._is_dirty = True, True

    def _follow(self, book: Book, overlap: Overlap, piece: Piece, notes: Sequence[Note], before: int) -> None:
        """Let an overlap know what became of a piece; `before` is the step that was open."""
        backs = [note.step for note in notes if isinstance(note, Rewind)]
        for step in backs:
            overlap.went_back(step, book.metrics(self.run))
        overlap.fed(piece, is_new=bool(backs) or piece.step > before)
        for note in notes:
            if isinstance(note, Late):
                overlap.judged_late(note.step, note.metrics)
            elif isinstance(note, Ignored) and not backs:
                overlap.not_judged(note.step, note.metrics)

    def _note_differences(self, book: Book, overlap: Overlap, before: int = MAX_STEP + 1) -> None:
        for was in overlap.differences(self._reader(book), book.noted(self.run, overlap.first)):
            if was.step < before:
                book.note(self.run, was)
                self._noted_to = max(self._noted_to, was.step)

    def _reader(self, book: Book) -> Read:
        return lambda metrics, first: book.shown(self.run, metrics, first)


def warm(book: Book, run: str, alerts: RunAlerts) -> None:
    """Fill windows with what was judged before."""
    memory = alerts.memory()
    metrics = [metric for metrics in alerts.plan.metrics_of for metric in metrics]
    first, look, lowest = memory.step + 1, FIRST_LOOK, memory.floors[-1] + 1
    while first > lowest:
        first, look = max(lowest, memory.step - look), look * FURTHER
        if alerts.warm(book.pieces(run, metrics, first, memory.step)):
            return
