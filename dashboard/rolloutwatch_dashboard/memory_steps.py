"""What goes along with steps in memory: the part of the fake that ships which has to do with single steps."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_contract.protocol_steps import AttemptView, NoStep, SequencesView, StepView, TokensView

SESSION = "memory"


class MemorySteps:
    """Keeps what it is given of a step beside its figures; every step is that of one session."""

    _values: dict[str, dict[str, dict[int, float]]]
    _alerts: dict[str, AlertView]

    def __init__(self) -> None:
        super().__init__()
        self._along: dict[tuple[str, int], StepView] = {}
        self._given_up_steps: dict[tuple[str, int], tuple[str, ...]] = {}

    def add_along(
        self,
        run: str,
        step: int,
        *,
        time: float | None = None,
        histogram: Sequence[int] | None = None,
        columns: Mapping[str, npt.ArrayLike] | None = None,
        sample_ids: Sequence[int] = (),
        groups: Sequence[str | None] = (),
        n_sequences: int | None = None,
        tokens: Sequence[TokensView] = (),
        attempts: Sequence[AttemptView] = (AttemptView(SESSION, 0, True),),
    ) -> None:
        """Add what goes along with a step: time, histogram, table of sequences, tokens, and who else did it."""
        table = None
        if columns is not None:
            read = {name: np.array(column, dtype=np.float64) for name, column in columns.items()}
            rows = len(next(iter(read.values()), np.zeros(0)))
            ids, names = tuple(sample_ids) or (-1,) * rows, tuple(groups) or (None,) * rows
            table = SequencesView(read, ids, names, n_sequences)
        self._along[run, step] = StepView(
            run=run,
            step=step,
            session=next((one.session for one in attempts if one.shown), SESSION),
            shown=True,
            time=time,
            metrics={},
            histogram=None if histogram is None else np.array(histogram, dtype=np.int64),
            sequences=table,
            tokens=tuple(tokens),
            attempts=tuple(attempts),
        )

    def give_up_step(self, run: str, step: int, *sessions: str) -> None:
        """Say that only sessions whose work was given up have done a step."""
        self._given_up_steps[run, step] = sessions

    def step(self, run: str, step: int, attempt: str | None = None) -> StepView | NoStep:
        """Return all of one step but its marks."""
        values = self._values.get(run, {})
        along = self._along.get((run, step))
        steps = {at for column in values.values() for at in column}
        steps |= {at for name, at in self._along if name == run}
        before = max((at for at in steps if at < step), default=None)
        after = min((at for at in steps if at > step), default=None)
        if along is None:
            one = AttemptView(SESSION, sum(step in column for column in values.values()), True)
            along = StepView(
                run=run, step=step, session=SESSION, shown=True, time=None, metrics={}, attempts=(one,)
            )
        known = tuple(one.session for one in along.attempts) if step in steps else ()
        known = known or self._given_up_steps.get((run, step), ())
        if step not in steps or (attempt is not None and attempt not in known):
            return NoStep(run=run, step=step, attempts=known, previous=before, next=after)
        session = along.session if attempt is None else attempt
        shown = session == along.session
        return StepView(
            run=run,
            step=step,
            session=session,
            shown=shown,
            time=along.time if shown else None,
            metrics={name: column[step] for name, column in values.items() if step in column},
            histogram=along.histogram,
            sequences=along.sequences,
            tokens=along.tokens,
            alerts=self._standing(run, step) if shown else None,
            attempts=along.attempts,
            previous=before,
            next=after,
        )

    def _standing(self, run: str, step: int) -> tuple[AlertView, ...]:
        """Return the alerts that stand after a step."""
        return tuple(
            one
            for one in self._alerts.values()
            if one.run == run
            and one.firing_step <= step
            and not one.given_up
            and (one.resolved_step is None or one.resolved_step > step)
        )
