"""What is probably wrong with a run at a step: its figures and its alerts, put to the table of hypotheses.

Everything is read from the archive when somebody asks, so it is the same before and after a restart,
and of a past step it is what was known then.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.catalogue import METRICS
from rolloutwatch_contract.diagnosis import METRICS as LOOKED_AT
from rolloutwatch_contract.diagnosis import Diagnosis, diagnose
from rolloutwatch_contract.diagnosis.evidence import Series as Points
from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.alerts.notes import ReferenceRun

BEFORE = 400  # values before the onset that tell what was usual
_FURTHEST = (
    4_000  # steps before the onset that they are looked for in, of a run that does not record every one
)

# alerts about these say that something cannot be measured, and nothing of how the policies are
NOT_OF_POLICIES = frozenset(
    {
        "n_tokens",
        "n_sequences",
        "n_empty_sequences",
        "nonfinite_fraction",
        "dropped_records",
        "unmeasured_steps",
    }
)


class Archive(Protocol):
    """What is asked of the archive, which is `Store`."""

    def alerts_at(self, run: str, step: int) -> list[AlertView]:
        """Return the alerts that stand after a step."""

    def compared_with(self, run: str) -> ReferenceRun:
        """Return what a run is compared with since it began to be judged."""

    def series(
        self, run: str, metrics: Sequence[str], *, from_step: int | None = None, to_step: int | None = None
    ) -> Mapping[str, Series]:
        """Return series of a run, as `Source.series` promises."""


def diagnosis_of(archive: Archive, run: str, step: int) -> Diagnosis:
    """Return what is probably wrong with a run at a step; without causes if no alert about the policies stands there."""
    return diagnosis_among(archive, run, step, archive.alerts_at(run, step))


def diagnosis_among(archive: Archive, run: str, step: int, standing: Sequence[AlertView]) -> Diagnosis:
    """Return the same, given the alerts that stand at the step: it began with the first of them."""
    concerned = [alert.firing_step for alert in standing if _is_of_policies(alert)]
    if not concerned:
        return Diagnosis(step, step)
    onset = min(concerned)
    found = archive.series(run, LOOKED_AT, from_step=max(0, onset - _FURTHEST), to_step=step)
    series = {}
    for metric, one in found.items():
        if len(one.step):
            first = max(0, int(one.step.searchsorted(onset)) - BEFORE)
            series[metric] = (one.step[first:], one.value[first:])
    if onset < BEFORE:
        series = behind(archive.compared_with(run).values, series)
    return diagnose(series, step, onset)


def behind(reference: Mapping[str, Sequence[float]], series: Mapping[str, Points]) -> dict[str, Points]:
    """Return series behind those of the run that they are compared with, as if that had gone on with them."""
    found = dict(series)
    for metric, values in reference.items():
        if metric in series:
            steps, own = series[metric]
            found[metric] = (
                np.concatenate([np.arange(-len(values), 0), steps]),
                np.concatenate([np.array(values), own]),
            )
    return found


def _is_of_policies(alert: AlertView) -> bool:
    names = {name.partition("@")[0] for name in alert.values}
    return any(name in METRICS and name not in NOT_OF_POLICIES for name in names)
