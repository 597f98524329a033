"""The command `rolloutwatch rules`: what rules would have said of a run that is over."""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import DEFAULT_LIMITS, Limit
from rolloutwatch_contract.protocol import RunDetail, Series
from rolloutwatch_contract.record import MAX_STEP
from rolloutwatch_contract.written_rules import RuleError, near_metrics
from rolloutwatch_server.alerts.episodes import Episode, episodes
from rolloutwatch_server.alerts.files import load_rules
from rolloutwatch_server.commands.when import days_and_hours, moment
from rolloutwatch_server.settings import SETTINGS
from rolloutwatch_server.store import Store, StoreError
from rolloutwatch_server.store.database import ARCHIVE

MOST_SHOWN = 20  # alerts of one rule on a terminal

_DATA_DIR = next(setting for setting in SETTINGS if setting.name == "data_dir")
_UNTIL_NOW = "and stands"


class _CannotTest(RuntimeError):
    """There is no such run, or no archive; the message says what there is."""


def rules(arguments: Sequence[str]) -> int:
    """Try rules on a run of the archive; returns the exit code."""
    asked = _parser().parse_args(arguments)
    try:
        chosen = DEFAULT_LIMITS if asked.rules is None else load_rules(asked.rules)
        store = Store.reading(asked.data_dir / ARCHIVE)
        try:
            return _test(store, chosen, asked)
        finally:
            store.close()
    except (RuleError, StoreError, _CannotTest) as error:
        print(f"rolloutwatch rules: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch rules", description="Try alert rules on a run of the archive.", allow_abbrev=False
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    test = commands.add_parser(
        "test",
        help="print which alerts rules would have raised over a past run, and when",
        description="Print which alerts rules would have raised over a run of the archive, and when. "
        "The archive is read beside a server that may run, and nothing in it is changed.",
        allow_abbrev=False,
    )
    test.add_argument(
        "rules", nargs="?", type=Path, metavar="RULES.toml", help="rules; the default ones without"
    )
    test.add_argument("--run", required=True, help="id of the run, such as math~grpo-7b")
    test.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get(_DATA_DIR.variable, _DATA_DIR.default)),
        help=f"folder of the archive (default: {_DATA_DIR.default}) [{_DATA_DIR.variable}]",
    )
    for name, what in (("--from-step", "first"), ("--to-step", "last")):
        test.add_argument(name, type=_step, metavar="STEP", help=f"{what} step that is looked at")
    test.add_argument("--json", action="store_true", help="print JSON instead of text")
    return parser


def _step(text: str) -> int:
    if not text.isdecimal() or int(text) > MAX_STEP:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a step, an integer from 0 to {MAX_STEP}")
    return int(text)


def _test(store: Store, chosen: Sequence[Limit], asked: argparse.Namespace) -> int:
    detail = store.run(asked.run)
    if detail is None:
        raise _CannotTest(_no_such_run(store, asked.run))
    metrics = list(dict.fromkeys(rule.metric for rule in chosen))
    series = store.series(asked.run, metrics, from_step=asked.from_step, to_step=asked.to_step)
    found = {rule.name: episodes(rule, series[rule.metric]) for rule in chosen}
    times = _times(store, asked.run, found)
    for warning in _warnings(chosen, detail, series):
        print(f"rolloutwatch rules: {warning}", file=sys.stderr)
    if asked.json:
        told = [_as_json(rule, found[rule.name], times, series[rule.metric]) for rule in chosen]
        print(json.dumps({"run": asked.run, "rules": told}, indent=2, allow_nan=False))
    else:
        print("\n".join(_as_text(chosen, found, times, series, asked.run)))
    return 0


def _no_such_run(store: Store, run: str) -> str:
    names = [one.id for one in store.runs()]
    return f"there is no run {run[:300]!r} in {store.path}: expected one of {', '.join(names[:20]) or 'none, it is empty'}."


def _times(store: Store, run: str, found: Mapping[str, Sequence[Episode]]) -> dict[int, float]:
    """Return when the steps were at which alerts begin and end, as far as that is known."""
    steps = {
        step
        for alerts in found.values()
        for one in alerts
        for step in (one.firing_step, one.resolved_step)
        if step is not None
    }
    if not steps:
        return {}
    series = store.times(run, min(steps), max(steps))
    times = zip(series.step.tolist(), series.value.tolist(), strict=True)
    return {step: time for step, time in times if step in steps and math.isfinite(time)}


def _warnings(chosen: Sequence[Limit], detail: RunDetail, series: Mapping[str, Series]) -> Iterator[str]:
    """Yield what is to be known of rules that could not fire, once for each metric."""
    for metric in dict.fromkeys(rule.metric for rule in chosen):
        names = ", ".join(repr(rule.name) for rule in chosen if rule.metric == metric)
        about = f"metric {metric!r} (rule {names})"
        if metric in detail.metrics:
            if not len(series[metric].step):
                yield f"{about} has no value in these steps."
        elif metric in METRICS:
            needs = METRICS[metric].needs
            yield f"{about} is not in this run" + (f": it needs {needs}." if needs else ".")
        else:
            near = near_metrics(metric, detail.metrics)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            yield f"{about} is unknown, to the catalogue and to this run.{hint}"


def _as_json(
    rule: Limit, alerts: Sequence[Episode], times: Mapping[int, float], series: Series
) -> dict[str, Any]:
    return {
        "name": rule.name,
        "metric": rule.metric,
        "severity": rule.severity.name.lower(),
        "above": _finite(rule.above),
        "below": _finite(rule.below),
        "for_steps": rule.for_steps,
        "clear_steps": rule.clear_steps,
        "samples": len(series.step),
        "alerts": [
            {
                "firing_step": one.firing_step,
                "firing_time": times.get(one.firing_step),
                "resolved_step": one.resolved_step,
                "resolved_time": None if one.resolved_step is None else times.get(one.resolved_step),
                "steps": one.samples,
                "bad_steps": one.bad,
                "value": _finite(one.value),
                "worst": _finite(one.worst),
            }
            for one in alerts
        ],
    }


def _as_text(
    chosen: Sequence[Limit],
    found: Mapping[str, Sequence[Episode]],
    times: Mapping[int, float],
    series: Mapping[str, Series],
    run: str,
) -> Iterator[str]:
    for rule in chosen:
        if alerts := found[rule.name]:
            yield f"{rule.severity.name.lower()}: {rule.name} - {rule.metric} {_limits(rule)}"
            if rule.summary:
                yield f"  {rule.summary}"
            for one in alerts[:MOST_SHOWN]:
                yield f"  {_line(one, times)}"
            if len(alerts) > MOST_SHOWN:
                yield f"  ... and {len(alerts) - MOST_SHOWN} more; --json prints all."
            yield ""
    count = sum(map(len, found.values()))
    rules_that_fired = sum(1 for alerts in found.values() if alerts)
    samples = max((len(one.step) for one in series.values()), default=0)
    yield f"{run}: {count} alert{'s' * (count != 1)} of {rules_that_fired} of {len(chosen)} rules over {samples} steps."


def _limits(rule: Limit) -> str:
    limits = [f"above {rule.above:g}"] * math.isfinite(rule.above) + [
        f"below {rule.below:g}"
    ] * math.isfinite(rule.below)
    lasting = f" for {rule.for_steps} steps" if rule.for_steps > 1 else ""
    clearing = f", until good for {rule.clear_steps}" if rule.clear_steps > 1 else ""
    return " or ".join(limits) + lasting + clearing


def _line(one: Episode, times: Mapping[int, float]) -> str:
    begin, end = times.get(one.firing_step), times.get(one.resolved_step or -1)
    when = f" ({moment(begin)})" if begin is not None else ""
    lasting = f" ({days_and_hours(end - begin)})" if begin is not None and end is not None else ""
    until = _UNTIL_NOW if one.resolved_step is None else f"until step {one.resolved_step}"
    values = f"{one.value:.6g}" + (f", at worst {one.worst:.6g}" if one.worst != one.value else "")
    return f"step {one.firing_step}{when} {until}, {one.samples} steps{lasting}: {values}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
