"""The histograms of a source of data in memory."""

from rolloutwatch_contract.histograms import Histograms, width_of
from rolloutwatch_contract.protocol_steps import StepView


class MemoryHistograms:
    """Sums the histograms that go along with steps."""

    _along: dict[tuple[str, int], StepView]

    def histograms(
        self,
        run: str,
        *,
        from_step: int | None = None,
        to_step: int | None = None,
        columns: int = 500,
        width: int = 1,
    ) -> Histograms:
        """Return the histograms of the log ratio, in columns of steps."""
        last = 2**62 if to_step is None else to_step
        known = {
            step: view.histogram
            for (of, step), view in sorted(self._along.items())
            if of == run and view.histogram is not None and (from_step or 0) <= step <= last
        }
        steps = [*known]
        found = Histograms.of(steps, [*known.values()])
        return found.wider(max(width, width_of(steps[0], steps[-1], columns)) if steps else width)
