"""Runs that are wrong from their first step, beside a reference run and alone; and healthy ones beside it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import msgspec

from benchmarks.detection.cases import BEGINS, LASTS, Case
from benchmarks.detection.judging import PLAN, alerts, named
from benchmarks.detection.recording import read
from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.diagnosis import Diagnosis

# healthy runs of the same precision, of seeds that are no case's
REFERENCES: Mapping[str, str] = {"bf16": "healthy_bf16_10", "int8": "healthy_int8_10"}
REFERENCE_STEPS = 200  # as many as a server takes
SOON = 3  # steps


@dataclass(frozen=True)
class FromTheFirst:
    """What became of a run whose first step has the fault: when it was found, with a reference and without, and its name then."""

    case: Case
    found: int | None
    found_alone: int | None
    called: Diagnosis | None


def begin(case: Case) -> FromTheFirst:
    """Judge the part of a recording that has the fault as a run of its own."""
    reference = reference_of(case.precision)
    faulty = from_0(read(case.name)[BEGINS : BEGINS + LASTS])
    found = next((step for step, _ in alerts(faulty, PLAN, reference)), None)
    alone = next((step for step, _ in alerts(faulty, PLAN)), None)
    called = None if found is None else named(faulty, reference, found)
    return FromTheFirst(case, found, alone, called)


def begin_well(cases: Iterable[Case]) -> tuple[int, int]:
    """Judge what is healthy of these beside a reference; return how many alerts fire, and in how many steps.

    What runs of one seed and precision begin with is the same, whatever goes wrong later, and is counted once.
    """
    told, steps = 0, 0
    for case in {(one.precision, one.seed): one for one in cases if one.precision in REFERENCES}.values():
        records = read(case.name)[: BEGINS if case.fault else None]
        told += sum(1 for _ in alerts(records, PLAN, reference_of(case.precision)))
        steps += len(records)
    return told, steps


@cache
def reference_of(precision: str) -> dict[str, list[float]]:
    """Return what a run is compared with."""
    records = read(REFERENCES[precision])[:REFERENCE_STEPS]
    metrics = {metric for record in records for metric in record.metrics}
    return {
        metric: [record.metrics[metric] for record in records if metric in record.metrics]
        for metric in metrics
    }


def from_0(records: Sequence[StepRecord]) -> list[StepRecord]:
    """Return records as those of the first steps of a run."""
    return [msgspec.structs.replace(record, step=step) for step, record in enumerate(records)]
