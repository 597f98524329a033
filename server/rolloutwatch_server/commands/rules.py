"""The command `rolloutwatch rules`: what rules say of a run that is over, and whether a file of rules can be."""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.rules import Rule
from rolloutwatch_contract.written_rules import RuleError
from rolloutwatch_server.alerts.comparison import differences
from rolloutwatch_server.alerts.files import load_rules
from rolloutwatch_server.alerts.found import put_together
from rolloutwatch_server.alerts.plan import Plan
from rolloutwatch_server.alerts.recorded import Happened, replay, trial
from rolloutwatch_server.alerts.steps import Steps
from rolloutwatch_server.commands.progress import Bar
from rolloutwatch_server.commands.rules_report import Compared, Report, as_json, as_text, warnings
from rolloutwatch_server.settings import SETTINGS
from rolloutwatch_server.store import Store, StoreError
from rolloutwatch_server.store.database import ARCHIVE
from rolloutwatch_server.store.judged import Judged

DIFFERENT = 1  # the exit code if what is found is not what was recorded
WRONG = 2

BEHIND_ALL_STEPS = MAX_STEP + 1  # where it stands that a run has ended

_DATA_DIR = next(setting for setting in SETTINGS if setting.name == "data_dir")


class _CannotTest(RuntimeError):
    """There is no such run, no archive, or nothing to compare with; the message says what there is."""


def rules(arguments: Sequence[str]) -> int:
    """Try rules on a run of the archive, or check a file of rules; returns the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        return _check(asked) if asked.command == "check" else _test(asked)
    except (RuleError, StoreError, _CannotTest) as error:
        print(f"rolloutwatch rules: {error}", file=sys.stderr)
        return WRONG


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch rules",
        description="Check alert rules, and try them on a run of the archive.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", dest="command")
    test = commands.add_parser(
        "test",
        help="print which alerts rules would have raised over a past run, and when",
        description="Print which alerts rules would have raised over a run of the archive, and when. Without a file of rules "
        "the run is judged again by those that were in force, and what comes of that is compared with what was recorded "
        f"live; the exit code is {DIFFERENT} if anything is different. "
        "The archive is read beside a server that may run, and nothing in it is changed.",
        allow_abbrev=False,
    )
    test.add_argument(
        "rules", nargs="?", type=Path, metavar="RULES.toml", help="rules; those that were in force without"
    )
    test.add_argument("--run", required=True, help="id of the run, such as math~grpo-7b")
    for name, what in (("--from-step", "first"), ("--to-step", "last")):
        test.add_argument(name, type=_step, metavar="STEP", help=f"{what} step whose alerts are shown")
    test.add_argument("--json", action="store_true", help="print JSON instead of text")
    check = commands.add_parser(
        "check",
        help="tell whether a file of rules can be put in force",
        description="Read a file of rules and say what is wrong with it, if anything is.",
        allow_abbrev=False,
    )
    check.add_argument("rules", type=Path, metavar="RULES.toml", help="rules")
    for one in (test, check):
        one.add_argument(
            "--data-dir",
            type=Path,
            default=Path(os.environ.get(_DATA_DIR.variable, _DATA_DIR.default)),
            help=f"folder of the archive (default: {_DATA_DIR.default}) [{_DATA_DIR.variable}]",
        )
    return parser


def _step(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_STEP:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a step, an integer from 0 to {MAX_STEP}")
    return int(text)


def _check(asked: argparse.Namespace) -> int:
    """Check a file; figures that runs of the archive have are known, if there is one."""
    archive = asked.data_dir / ARCHIVE
    known: frozenset[str] = frozenset()
    if archive.is_file():
        store = Store.reading(archive)
        try:
            known = store.known_metrics()
        finally:
            store.close()
    found = load_rules(asked.rules, known).rules
    off = sum(not rule.enabled for rule in found)
    print(
        f"{asked.rules.name}: {len(found)} rule{'s' * (len(found) != 1)}"
        + (f", {off} of them not enabled." if off else ".")
    )
    return 0


def _test(asked: argparse.Namespace) -> int:
    store = Store.reading(asked.data_dir / ARCHIVE)
    try:
        detail = store.run(asked.run)
        if detail is None:
            raise _CannotTest(_no_such_run(store, asked.run))
        written = None if asked.rules is None else load_rules(asked.rules, store.known_metrics()).rules
        with store.judged(asked.run) as judged:
            report = _report(judged, detail, written, asked)
    finally:
        store.close()
    for warning in warnings(report, detail):
        print(f"rolloutwatch rules: {warning}", file=sys.stderr)
    print(
        json.dumps(as_json(report), indent=2, allow_nan=False) if asked.json else "\n".join(as_text(report))
    )
    return DIFFERENT if report.compared is not None and report.compared.differences else 0


def _report(
    judged: Judged, detail: RunDetail, written: Sequence[Rule] | None, asked: argparse.Namespace
) -> Report:
    first = 0 if asked.from_step is None else asked.from_step
    last = MAX_STEP if asked.to_step is None else asked.to_step
    judging = _Judging(detail.summary.first_step or 0, detail.summary.last_step or 0)
    comparison = None
    if written is None:
        chosen, happened, comparison = _again(judged, judging)
    else:
        chosen = tuple(rule for rule in written if rule.applies_to(asked.run))
        plan = Plan(chosen)
        pieces = judging.steps.of(judged.pieces(_metrics([plan]), last))
        happened = judging.flat(trial(pieces, judged.notes, plan), last)
    alerts = [alert for alert in put_together(happened) if alert.stands_within(first, last)]
    return Report(asked.run, chosen, alerts, judging.steps.count, comparison)


def _again(judged: Judged, judging: "_Judging") -> tuple[Sequence[Rule], list[Happened], Compared]:
    """Judge a run again by the rules that were in force; return the last of these, what happened, and what was compared.

    What the clock of the server judged is as recorded.
    """
    if not judged.versions:
        raise _CannotTest(
            f"nobody has judged run {judged.run!r} yet: a server does so when it runs. "
            "Name a file of rules to try those."
        )
    plans = {version: Plan(judged.rules_of(version)) for version in judged.versions}
    pieces = judging.steps.of(judged.pieces(_metrics(plans.values())))
    happened = judging.flat(replay(pieces, judged.notes, plans.__getitem__))
    recorded, clock = judged.recorded(), judged.by_clock()
    by_clock = [(clock[name, one.epoch], one) for name, one in recorded if (name, one.epoch) in clock]
    fired = sum(one.change is Change.FIRING for _, one in recorded)
    fired_by_clock = sum(one.change is Change.FIRING for _, one in by_clock)
    different = [one.in_words for one in differences(recorded, happened, clock)]
    compared = Compared(fired - fired_by_clock, fired_by_clock, different)
    return plans[judged.versions[-1]].rules, by_clock + happened, compared


def _metrics(plans: Iterable[Plan]) -> set[str]:
    return {metric for plan in plans for metrics in plan.metrics_of for metric in metrics}


class _Judging:
    """Judges step by step, and tells how far it is."""

    def __init__(self, first: int, last: int) -> None:
        self._first = first
        self._whole = last - first + 1
        self.steps = Steps()

    def flat(
        self, judged: Iterator[tuple[int, list[Happened]]], last: int = BEHIND_ALL_STEPS
    ) -> list[Happened]:
        """Return what happened up to a step."""
        found: list[Happened] = []
        with Bar("Judging", "steps") as bar:
            for step, happened in takewhile(lambda one: one[0] <= last, judged):
                self.steps.judged(step)
                found += happened
                if self.steps.count % 256 == 0:
                    bar.show(step - self._first, self._whole)
        return found


def _no_such_run(store: Store, run: str) -> str:
    names = [one.id for one in store.runs()]
    return f"there is no run {run[:300]!r} in {store.path}: expected one of {', '.join(names[:20]) or 'none, it is empty'}."
