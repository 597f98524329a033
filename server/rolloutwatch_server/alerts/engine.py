"""What judges runs while their records are archived: in the same transaction, and never at the price of a record.

A mistake in judging undoes what was judged of that batch and nothing else: the records are archived all the same,
and the run is not judged any more, which its pages and the health of the server tell. A server that is started anew
begins with it anew. What the engine remembers between batches is what the archive says, and is read from it when lost.
"""

import contextlib
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence

from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.conditions import Truth
from rolloutwatch_contract.conditions.nodes import Silent
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.book import Book, RunRow
from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.held import MOST_BYTES, Held
from rolloutwatch_server.alerts.notes import Began
from rolloutwatch_server.alerts.overlaps import Overlap
from rolloutwatch_server.alerts.plan import Plan, to_be_compared
from rolloutwatch_server.alerts.recorded import unjudged
from rolloutwatch_server.alerts.watch import Entry, Watch, warm

log = logging.getLogger(__name__)


class Engine:
    """Judges all runs. `broken` names those that are not judged any more, with the reason.

    Args:
        most_bytes: About how much memory the runs may take that are held between batches.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.broken: dict[str, str] = {}
        self._held = Held(most_bytes)
        self._plans: dict[tuple[int, tuple[str, ...]], Plan] = {}
        self._version: int | None = None
        self._overlaps: dict[str, Overlap] = {}

    def forget(self) -> None:
        """Remember nothing, as after a transaction that was undone."""
        self._held.clear()
        self._overlaps.clear()
        self._version = None
        self.broken = {}

    def before(self, book: Book, run: str, records: Sequence[StepRecord]) -> None:
        """Look at what is about to be archived of a run, before it is."""
        if not records or run in self.broken:
            return
        with self._guarded(book, run):
            overlap = self._watch(book, run).overlap(book, records)
            if overlap is not None:
                self._overlaps[run] = overlap

    def after(self, book: Book, run: str, entries: Sequence[Entry], since: float) -> None:
        """Judge what was archived of a run; `since` is when the first record that came with it was made."""
        overlap = self._overlaps.pop(run, None)
        if not entries or run in self.broken:
            return
        with self._guarded(book, run):
            watch = self._watch(book, run)
            watch.take(book, entries, overlap, since)

    def settle(self, book: Book, runs: Sequence[str]) -> list[str]:
        """Keep how far runs are judged; return those whose alerts have changed."""
        changed = []
        for run in runs:
            watch = self._held.get(run)
            if watch is None:
                continue
            with self._guarded(book, run):
                watch.settle(book)
            if watch.has_changed:
                changed.append(run)
                watch.has_changed = False
        self._held.let_go(book.now)
        return changed

    def rules_changed(self, book: Book) -> list[str]:
        """End alerts of rules that have changed or gone; return the runs whose alerts have changed.

        Everything else about rules is left until a run speaks again, which most never do.
        """
        self._version = book.version_in_force()
        in_force = {rule.name: rule for rule in book.rules_of(self._version)}
        ending = []
        for run, names in book.firing().items():
            if run not in self.broken:
                with self._guarded(book, run):
                    if self._ends_one(book, run, names, in_force):
                        ending.append(run)
                        self._watch(book, run)
        return self.settle(book, ending)

    def _ends_one(self, book: Book, run: str, names: Collection[str], in_force: Mapping[str, Rule]) -> bool:
        """Tell whether other rules that came into force end one of the alerts of a run."""
        watch = self._held.get(run)
        version = book.rule_set_of(run) if watch is None else watch.row.rule_set
        former = {rule.name: rule.fingerprint for rule in book.rules_of(version)}
        return any(
            name not in in_force
            or not in_force[name].applies_to(run)
            or in_force[name].fingerprint != former.get(name)
            for name in names
        )

    def judge_by_clock(self, book: Book, run: str, silent_seconds: float, seconds_per_step: float) -> bool:
        """Judge a run that nothing came of for so long; tell whether its alerts have changed."""
        if run in self.broken:
            return False
        with self._guarded(book, run):
            watch = self._watch(book, run)
            for rule, is_firing in watch.silent_rules():
                if not is_firing and _is_silent(rule, silent_seconds, seconds_per_step):
                    watch.judge_by_clock(book, rule, Truth.TRUE)
        return bool(self.settle(book, [run]))

    def _watch(self, book: Book, run: str) -> Watch:
        """Return a run as it stands, by the rules in force."""
        if self._version is None:
            self._version = book.version_in_force()
        watch = self._held.get(run) or self._read(book, run)
        if watch.row.rule_set != self._version:
            watch.replace(book, self._plan(book, run, self._version), self._version)
        self._held.put(run, watch)
        return watch

    def _read(self, book: Book, run: str) -> Watch:
        row = book.run(run)
        if row is None:
            return self._begin(book, run, book.new_run(run), None)
        if row.broken and not row.rule_set:  # by the very first batch
            return self._begin(book, run, row, None)
        plan, reference = self._plan(book, run, row.rule_set), book.compared_with(run)
        alerts = RunAlerts(plan, book.states(run), row.memory, reference.values)
        if row.broken:
            return self._begin(book, run, row, alerts)
        warm(book, run, alerts)
        return Watch(run, row, alerts, max(book.noted(run), default=-1))

    def _begin(self, book: Book, run: str, row: RunRow, former: RunAlerts | None) -> Watch:
        """Judge a run from here on, as if nothing had been before."""
        assert self._version is not None
        anew = book.new_run(run)
        anew.memory.floors = (anew.memory.begun,)
        judged_to = -1 if former is None else former.open_step
        plan = self._plan(book, run, self._version)
        reference = book.reference(run, anew.memory.begun, to_be_compared(plan))
        note = Began(anew.memory.begun, book.now, self._version, judged_to, reference)
        book.note(run, note)
        for rule, transition in [] if former is None else unjudged(former, note.time):
            book.happened(run, row.birth, rule, transition, False)
        row.memory, row.rule_set, row.broken = anew.memory, self._version, ""
        states = {} if former is None else former.states
        book.save_states(run, states)
        alerts = RunAlerts(plan, states, row.memory, reference.values)
        return Watch(run, row, alerts, max(book.noted(run), default=-1))

    def _plan(self, book: Book, run: str, version: int) -> Plan:
        """Return the rules of a version that watch a run; runs that the same ones watch share them."""
        rules = tuple(rule for rule in book.rules_of(version) if rule.applies_to(run))
        key = version, tuple(rule.name for rule in rules)
        if key not in self._plans:
            self._plans = {one: plan for one, plan in self._plans.items() if one[0] == self._version}
            self._plans[key] = Plan(rules)
        return self._plans[key]

    @contextlib.contextmanager
    def _guarded(self, book: Book, run: str) -> Iterator[None]:
        """Undo what a mistake in judging has done, and let the records be archived all the same."""
        try:
            with book.savepoint():
                yield
        except Exception as error:
            if book.is_trouble_of_its_own(error):
                raise
            self._break_off(book, run, error)

    def _break_off(self, book: Book, run: str, error: Exception) -> None:
        """Judge a run no more."""
        self._held.pop(run)
        self._overlaps.pop(run, None)
        self.broken[run] = f"{type(error).__name__}: {error}"
        book.mark_broken(run, self.broken[run])
        log.error(
            "Alerts of run %s met an error of their own; please report it. Its records are archived, and its alerts "
            "stand still until the server is started anew.", run, exc_info=error, extra={"run": run},
        )  # fmt: skip


def _is_silent(rule: Rule, seconds: float, seconds_per_step: float) -> bool:
    node = rule.when.node
    return isinstance(node, Silent) and seconds >= max(node.seconds, node.steps * seconds_per_step)
