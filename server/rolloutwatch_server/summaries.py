"""Figures of whole runs in a few numbers, remembered for as long as nothing is archived for the run."""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence

from rolloutwatch_contract.figure_summary import FigureSummary, summarise
from rolloutwatch_server.store import Store

MOST_REMEMBERED = 20_000  # figures, of which each takes half a kilobyte
METRICS_AT_ONCE = 16  # of a run of a million steps, each takes sixteen megabytes while it is read

_Key = tuple[str, str, int, str]


class Summaries:
    """Reads whole series only when something has come; safe to use from any thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[_Key, FigureSummary] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, run: str, metrics: Sequence[str]) -> Mapping[str, FigureSummary]:
        """Return figures as `Source.summaries` promises; those that a run does not have, or of no run, are empty."""
        detail = self._store.run(run)
        if detail is None:
            return dict.fromkeys(metrics, FigureSummary())
        keys = {metric: (run, detail.generation, detail.changes, metric) for metric in metrics}
        with self._lock:
            found = {metric: self._known[key] for metric, key in keys.items() if key in self._known}
        missing = [metric for metric in keys if metric not in found]
        for at in range(0, len(missing), METRICS_AT_ONCE):
            read = self._read(run, missing[at : at + METRICS_AT_ONCE])
            self._remember({keys[metric]: one for metric, one in read.items()})
            found |= read
        return {metric: found[metric] for metric in metrics}

    def _read(self, run: str, metrics: Sequence[str]) -> dict[str, FigureSummary]:
        series = self._store.series(run, metrics)
        return {metric: summarise(one.step, one.value) for metric, one in series.items()}

    def _remember(self, fresh: Mapping[_Key, FigureSummary]) -> None:
        with self._lock:
            self._known.update(fresh)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
