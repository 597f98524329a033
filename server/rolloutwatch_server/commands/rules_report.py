"""What `rolloutwatch rules test` prints."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.conditions import by_clock, metrics_of
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_contract.reach import why_never
from rolloutwatch_contract.rules import Rule
from rolloutwatch_server.alerts.found import FoundAlert
from rolloutwatch_server.commands.when import days_and_hours, moment

MOST_SHOWN = 20  # alerts of one rule, and differences, on a terminal


class Compared(msgspec.Struct, frozen=True):
    """How many recorded alerts were compared with what is found again, and how many were not, as the clock judged them.

    `differences` are one line each.
    """

    alerts: int
    by_clock: int
    differences: Sequence[str]


class Report(msgspec.Struct, frozen=True):
    """What rules say of a run, of which so many steps were looked at; `compared` is None where nothing was recorded of them.

    Of rules that the clock judges the alerts are those recorded.
    """

    run: str
    rules: Sequence[Rule]
    alerts: Sequence[FoundAlert]
    steps: int
    compared: Compared | None


def warnings(report: Report, detail: RunDetail) -> Iterator[str]:
    """Yield what is to be known of rules that cannot fire, or cannot be tried."""
    for rule in report.rules:
        if by_clock(rule.when.node) and report.compared is None:
            yield (
                f"rule {rule.name!r} cannot be tried on a past run: the clock of the server judges {rule.when.text}, "
                "and when nothing came is not recorded."
            )
            continue
        if (why := why_never(rule, detail.config, detail.metrics)) is not None:
            yield f"rule {rule.name!r} cannot fire: {why}"
            continue
        for metric in metrics_of(rule.when.node):
            if metric not in detail.metrics:
                yield f"rule {rule.name!r}: {metric!r} is not in this run: {_what_brings(metric)}."


def _what_brings(metric: str) -> str:
    """Return what would bring a metric, that of a group too."""
    name, _, group = metric.partition("@")
    of_group = f", of sequences of the group {group!r}" if group else ""
    if name not in METRICS:
        return f"it comes when the trainer logs it, by Monitor.log(step, {{{metric!r}: ...}})"
    if METRICS[name].needs:
        return f"it needs {METRICS[name].needs}{of_group}"
    return f"it comes with every step that the Monitor measures, by correct() or observe(){of_group}"


def as_json(report: Report) -> dict[str, Any]:
    """Return what a program reads."""
    compared = report.compared
    known = {rule.name: rule for rule in [*report.rules, *(alert.rule for alert in report.alerts)]}
    return {
        "run": report.run,
        "steps": report.steps,
        "rules": [
            _rule(rule) | {"alerts": [_alert(alert) for alert in _of(report, rule)]}
            for rule in known.values()
        ],
        "compared": None if compared is None else compared.alerts,
        "by_clock": None if compared is None else compared.by_clock,
        "same_as_recorded": None if compared is None else not compared.differences,
        "differences": None if compared is None else compared.differences,
    }


def as_text(report: Report) -> Iterator[str]:
    """Yield the lines that people read."""
    known = {rule.name: rule for rule in [*report.rules, *(alert.rule for alert in report.alerts)]}
    for rule in known.values():
        if alerts := _of(report, rule):
            yield f"{rule.severity.word}: {rule.name} - {rule.when.text}{_lasting(rule)}"
            if rule.summary:
                yield f"  {rule.summary}"
            yield from (f"  {_line(alert)}" for alert in alerts[:MOST_SHOWN])
            if len(alerts) > MOST_SHOWN:
                yield f"  ... and {len(alerts) - MOST_SHOWN} more; --json prints all."
            yield ""
    if report.compared is not None:
        yield from _compared(report.compared)
    count = len(report.alerts)
    fired = len({alert.rule.name for alert in report.alerts})
    yield f"{report.run}: {count} alert{'s' * (count != 1)} of {fired} of {len(known)} rules over {report.steps} steps."


def _compared(compared: Compared) -> Iterator[str]:
    count, clock, lines = compared.alerts, compared.by_clock, compared.differences
    if not lines:
        alerts = f"{count} alert{'s' * (count != 1)}, " if count else "no alert, "
        yield f"Judged again by the rules that were in force: {alerts}exactly what was recorded live."
    else:
        yield f"Judged again by the rules that were in force, {len(lines)} things are not what was recorded live:"
        yield from (f"  {line}" for line in lines[:MOST_SHOWN])
        if len(lines) > MOST_SHOWN:
            yield f"  ... and {len(lines) - MOST_SHOWN} more; --json prints all."
    if clock:
        yield (
            f"{clock} alert{'s' * (clock != 1)} of rules that the clock of the server judges "
            f"{'is' if clock == 1 else 'are'} as recorded, and not compared."
        )
    if lines:
        yield ""


def _of(report: Report, rule: Rule) -> list[FoundAlert]:
    return [alert for alert in report.alerts if alert.rule.name == rule.name]


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "name": rule.name,
        "severity": rule.severity.word,
        "when": rule.when.text,
        "clear": None if rule.clear is None else rule.clear.text,
        "for_steps": rule.for_steps,
        "for_seconds": rule.for_seconds,
        "clear_steps": rule.clear_steps,
    }


def _alert(alert: FoundAlert) -> dict[str, Any]:
    end = alert.resolved
    return {
        "firing_step": alert.firing.step,
        "firing_time": _finite(alert.firing.time),
        "values": {name: _finite(value) for name, value in alert.firing.values.items()},
        "resolved_step": None if end is None else end.step,
        "resolved_time": None if end is None else _finite(end.time),
        "reason": "" if end is None else end.reason,
        "flapping": alert.is_flapping,
        "by_clock": by_clock(alert.rule.when.node),
    }


def _lasting(rule: Rule) -> str:
    lasting = f" for {rule.for_steps} steps" if rule.for_steps > 1 else ""
    lasting += f" and {rule.for_seconds:g} s" if rule.for_seconds else ""
    until = f" until {rule.clear.text}" if rule.clear is not None else ", until it is not"
    clearing = f"{until} for {rule.clear_steps}" if rule.clear_steps > 1 else ""
    return lasting + (clearing or (until if rule.clear is not None else ""))


def _line(alert: FoundAlert) -> str:
    begin, end = alert.firing, alert.resolved
    values = ", ".join(f"{name} {value:.6g}" for name, value in begin.values.items())
    until = (
        "and stands" if end is None else f"until step {end.step} ({days_and_hours(end.time - begin.time)})"
    )
    reason = f", when {end.reason}" if end is not None and end.reason else ""
    quiet = ", flapping" if alert.is_flapping else ""
    if by_clock(alert.rule.when.node):
        return f"step {begin.step} ({moment(begin.time)}) {until}{reason}{quiet}: as recorded, the clock of the server judged it"
    return f"step {begin.step} ({moment(begin.time)}) {until}{reason}{quiet}: {values or 'without figures'}"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
