"""The histograms of a source of data in memory."""

from collections.abc import Sequence

from rolloutwatch_contract.histograms import Histograms, width_of


class MemoryHistograms:
    """Keeps histograms in dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[str, dict[int, Sequence[int]]] = {}

    def add_histogram(self, run: str, step: int, counts: Sequence[int]) -> None:
        """Add how many tokens of a step are in each bin; the last ones for a step stay."""
        self._counts.setdefault(run, {})[step] = counts

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
        known = self._counts.get(run, {})
        last = 2**62 if to_step is None else to_step
        steps = [step for step in sorted(known) if (from_step or 0) <= step <= last]
        found = Histograms.of(steps, [known[step] for step in steps])
        return found.wider(max(width, width_of(steps[0], steps[-1], columns)) if steps else width)
