"""How soon real faults of a training setup are found, what they are called, and what is said of healthy runs.

    python -m benchmarks.detection [--quick] [--json FILE] [SECTION ...]

Recordings of examples/tiny_rl.py are judged by the default rules as a server judges runs, and by what others offer:
fixed limits alone, and a z-score. `python -m benchmarks.detection.record` makes the recordings.
--quick leaves out the runs that limits were chosen by.
"""

import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks import command
from benchmarks.detection import report
from benchmarks.detection.beginning import REFERENCES, SOON, begin, begin_well
from benchmarks.detection.cases import GRADUAL, HEALTHY, UNSEEN, Case, recorded_faults
from benchmarks.detection.judging import Found, Quiet, find, listen, microseconds, share
from benchmarks.detection.report import BARS, MEANINGS
from benchmarks.report import Figures, complete


def main() -> None:
    """Measure, print, and write the figures where asked to."""
    given = command.arguments(command.parser("detection", __doc__, SECTIONS), SECTIONS)
    figures: Figures = {}
    for name in given.sections:
        print(f"{name} ...", file=sys.stderr, flush=True)
        figures |= SECTIONS[name](given.quick)
    command.tell(complete(figures, MEANINGS), MEANINGS, BARS, given)


def _faults(quick: bool) -> Figures:
    found = [find(case) for case in _of(recorded_faults(), quick)]
    reported = [one for one in found if not one.case.was_tuned_on]
    tuned = [one for one in found if one.case.was_tuned_on]
    unseen = [one for one in found if one.case.fault in UNSEEN]
    report.tell_faults(reported)
    return {
        "fault_runs": len(reported),
        "detected_fraction": share(reported, _is_found),
        "sudden_within_3_steps_fraction": share(report.sudden(reported), report.is_in_time),
        "median_delay_steps": report.median_delay(reported),
        "cause_right_fraction": share(reported, report.is_right),
        "cause_right_later_fraction": share(reported, report.is_right_later),
        "wrong_confident_fraction": share(reported, report.is_wrong_for_sure),
        "wrong_confident_ever_fraction": share(reported, report.is_ever_wrong_for_sure),
        "wrong_confident_step_fraction": report.wrong_steps(reported),
        "wrong_confident_after_fraction": share(reported, report.is_wrong_for_sure_after),
        "unseen_faults_detected_fraction": share(unseen, _is_found),
        "unseen_faults_cause_right_fraction": share(unseen, report.is_right),
        "static_detected_fraction": share(reported, lambda one: one.by_static),
        "zscore_detected_fraction": share(reported, lambda one: one.by_zscore),
        "tuned_detected_fraction": share(tuned, _is_found),
        "tuned_cause_right_fraction": share(tuned, report.is_right),
    }


def _healthy(quick: bool) -> Figures:
    quiet = [listen(case) for case in _of(HEALTHY, quick)]
    reported = [one for one in quiet if not one.case.was_tuned_on]
    tuned = [one for one in quiet if one.case.was_tuned_on]
    report.tell_healthy(quiet)
    return {
        "healthy_steps": sum(one.case.steps for one in reported),
        "false_alarms_per_10k_steps": _per_10k(reported, lambda one: len(one.alerts)),
        "healthy_named_for_sure": sum(one.named for one in reported),
        "zscore_false_alarms_per_10k_steps": _per_10k(reported, lambda one: one.zscore),
        "tuned_false_alarms_per_10k_steps": _per_10k(tuned, lambda one: len(one.alerts)),
    }


def _beginning(quick: bool) -> Figures:
    cases = [case for case in recorded_faults() if case.fault not in GRADUAL and not case.was_tuned_on]
    found = [begin(case) for case in cases]
    runs = len(found)
    healthy = [case for case in HEALTHY if case.name not in REFERENCES.values()]
    told, steps = begin_well([*cases, *healthy])
    return {
        "reference_detected_fraction": sum(one.found is not None for one in found) / runs,
        "reference_within_3_steps_fraction": sum(one.found is not None and one.found <= SOON for one in found)
        / runs,
        "reference_cause_right_fraction": sum(report.is_named_right(one.case, one.called) for one in found)
        / runs,
        "reference_false_alarms_per_10k_steps": 1e4 * told / steps,
        "reference_healthy_steps": steps,
        "alone_detected_fraction": sum(one.found_alone is not None for one in found) / runs,
    }


def _cost(quick: bool) -> Figures:
    return {f"{function}_us_per_value": microseconds(function) for function in ("jump", "drift")}


def _of(cases: Sequence[Case], quick: bool) -> list[Case]:
    return [case for case in cases if not (quick and case.was_tuned_on)]


def _is_found(found: Found) -> bool:
    return found.delay is not None


def _per_10k(quiet: Sequence[Quiet], count: Callable[[Quiet], int]) -> float | None:
    steps = sum(one.case.steps for one in quiet)
    return 1e4 * sum(map(count, quiet)) / steps if steps else None


SECTIONS: Mapping[str, Callable[[bool], Figures]] = {
    "faults": _faults,
    "healthy": _healthy,
    "beginning": _beginning,
    "cost": _cost,
}


if __name__ == "__main__":
    main()
