"""What is measured: what each figure has to be, what it means, and what became of each fault."""

import statistics
from collections.abc import Iterable, Mapping, Sequence

from benchmarks.detection.cases import CAUSES, GRADUAL, LASTS, Case
from benchmarks.detection.judging import LATER, Found, Quiet
from benchmarks.report import Bar
from rolloutwatch_contract.diagnosis import Diagnosis

BARS: Mapping[str, Bar] = {
    "detected_fraction": Bar(1, at_least=True),
    "sudden_within_3_steps_fraction": Bar(1, at_least=True),
    "median_delay_steps": Bar(3),
    "cause_right_fraction": Bar(0.9, at_least=True),
    "wrong_confident_fraction": Bar(0),
    "wrong_confident_after_fraction": Bar(0),
    "false_alarms_per_10k_steps": Bar(1),
    "jump_us_per_value": Bar(20),
    "drift_us_per_value": Bar(20),
}

MEANINGS: Mapping[str, str] = {
    "fault_runs": "runs with a fault that nothing was tuned on",
    "detected_fraction": "of them that an alert fires on while the fault is there",
    "sudden_within_3_steps_fraction": "of those whose fault is there at once: found at its first step or one of three after it",
    "median_delay_steps": "steps from the first with the fault to the first alert, over all",
    "cause_right_fraction": "whose likeliest cause is the right one, in the step of the first alert",
    "cause_right_later_fraction": f"the same {LATER} steps later",
    "wrong_confident_fraction": "that are called by a wrong name for sure, at either step",
    "wrong_confident_ever_fraction": "that are at any step while the fault is there, however short",
    "wrong_confident_step_fraction": "of all these steps",
    "wrong_confident_after_fraction": "that are once the fault is over, while its alerts still stand",
    "unseen_faults_detected_fraction": "of runs with faults of kinds that nothing was tuned on",
    "unseen_faults_cause_right_fraction": "whose likeliest cause is the right one",
    "false_alarms_per_10k_steps": "alerts in healthy runs that nothing was tuned on, of all default rules",
    "healthy_steps": "of these runs, in fp32, bf16, int8, and with weights one step old",
    "healthy_named_for_sure": "alerts there that a cause was named of for sure",
    "static_detected_fraction": "runs with a fault that rules with fixed limits find",
    "zscore_detected_fraction": "that a z-score of 3 over 30 values finds, on four figures",
    "zscore_false_alarms_per_10k_steps": "what that says of the healthy runs",
    "tuned_detected_fraction": "the same of the runs that limits were chosen by",
    "tuned_cause_right_fraction": "of these the likeliest cause is the right one",
    "tuned_false_alarms_per_10k_steps": "in the healthy runs that limits were chosen by",
    "reference_detected_fraction": "of runs that are wrong from their first step, beside a reference run",
    "reference_within_3_steps_fraction": "of these at that step or one of three after it",
    "reference_cause_right_fraction": "whose likeliest cause is the right one, in the step of the first alert",
    "reference_false_alarms_per_10k_steps": "alerts in healthy runs beside a reference run",
    "reference_healthy_steps": "of these runs, in bf16 and int8",
    "alone_detected_fraction": "of runs that are wrong from their first step, without one",
    "jump_us_per_value": "processor time of jump(metric, 400) for each value",
    "drift_us_per_value": "of drift(metric, 400)",
}


def is_named_right(case: Case, diagnosis: Diagnosis | None) -> bool:
    """Tell whether the likeliest cause is the right one."""
    return _names(diagnosis) == CAUSES[case.fault]


def is_right(found: Found) -> bool:
    """Tell whether the likeliest cause at the first alert is the right one."""
    return is_named_right(found.case, found.at_once)


def is_right_later(found: Found) -> bool:
    """Tell whether it is some steps later."""
    return is_named_right(found.case, found.later)


def is_wrong_for_sure(found: Found) -> bool:
    """Tell whether a wrong cause is named as if it were known."""
    return any(_names_another(found, (found.at_once, found.later)))


def is_wrong_for_sure_after(found: Found) -> bool:
    """Tell whether one is once the fault is over."""
    return any(_names_another(found, found.after))


def is_ever_wrong_for_sure(found: Found) -> bool:
    """Tell whether one is at any step of it."""
    return any(_names_another(found, found.during))


def wrong_steps(found: Sequence[Found]) -> float | None:
    """Return at which share of the steps from the first alert to the end of the fault one is."""
    steps = [is_wrong for one in found for is_wrong in _names_another(one, one.during)]
    return statistics.fmean(steps) if steps else None


def is_in_time(found: Found) -> bool:
    """Tell whether a fault is found within three steps."""
    return found.delay is not None and found.delay <= 3


def tell_faults(found: Sequence[Found]) -> None:
    """Print what became of each fault: how soon it was found, and what it was called."""
    print(f"{'fault':<14}{'runs':>5}{'delay':>12}  called, at once and {LATER} steps later")
    for fault in CAUSES:
        these = [one for one in found if one.case.fault == fault]
        if these:
            delays = [one.delay for one in these if one.delay is not None]
            missed = len(these) - len(delays)
            spread = f"{min(delays)} to {max(delays)}" if delays else "-"
            told = f", {missed} missed" if missed else ""
            print(
                f"{fault:<14}{len(these):>5}{spread:>12}  {_called(these, 'at_once')} | {_called(these, 'later')}{told}"
            )
    print()


def tell_healthy(quiet: Sequence[Quiet]) -> None:
    """Print what was said of healthy runs."""
    for one in quiet:
        told = ", ".join(f"{rule} at {step}" for step, rule in one.alerts) or "nothing"
        print(f"{one.case.name}, {one.case.steps} steps: {told}; z-score: {one.zscore} alarms")
    print()


def sudden(found: Sequence[Found]) -> list[Found]:
    """Return the runs whose fault is there at once."""
    return [one for one in found if one.case.fault not in GRADUAL]


def median_delay(found: Sequence[Found]) -> float | None:
    """Return the median delay; a fault that was not found counts as found when it ended."""
    return statistics.median(LASTS if one.delay is None else one.delay for one in found) if found else None


def _names_another(found: Found, diagnoses: Iterable[Diagnosis | None]) -> list[bool]:
    right = CAUSES[found.case.fault]
    return [one is not None and one.is_sure and _names(one) != right for one in diagnoses]


def _names(diagnosis: object) -> str:
    causes = getattr(diagnosis, "causes", ())
    return str(causes[0].name) if causes else ""


def _called(found: Sequence[Found], when: str) -> str:
    names: dict[str, int] = {}
    for one in found:
        diagnosis = getattr(one, when)
        name = _names(diagnosis) or "nothing"
        name += "" if diagnosis is not None and diagnosis.is_sure else "?"
        names[name] = names.get(name, 0) + 1
    return ", ".join(f"{name} {count}" for name, count in sorted(names.items(), key=lambda each: -each[1]))
