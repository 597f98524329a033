"""What was measured, as figures by name and as a table that a person can read."""

from collections.abc import Mapping
from dataclasses import dataclass

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Bar:
    """What a figure has to be: at least so much where more is better, else at most."""

    limit: float
    at_least: bool = False

    def is_missed(self, figure: float) -> bool:
        """Tell whether a figure is on the wrong side."""
        return figure < self.limit if self.at_least else figure > self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:,g}"


BARS: Mapping[str, Bar] = {
    "ingest_records_per_s": Bar(2000, at_least=True),
    "catch_up_answer_p99_ms": Bar(1000),
    "series_1e6_median_ms": Bar(50),
    "series_1e6_store_median_ms": Bar(50),
    "bytes_per_step": Bar(350),
    "push_to_event_p99_s": Bar(2),
    "lost": Bar(0),
    "doubled": Bar(0),
    "push_to_chart_median_s": Bar(0.5),
    "first_chart_vs_tensorboard": Bar(1),
}

MEANINGS: Mapping[str, str] = {
    "ingest_records_per_s": "archived of what waits in Redis: 40 scalars, 256 sequences, a histogram each",
    "ingest_cpu_us_per_record": "processor time of the server for each, questions answered meanwhile included",
    "ingest_answer_median_ms": "four series of the long run at 2000 points, asked meanwhile four times a second",
    "ingest_peak_mib": "most memory that the server had until then",
    "catch_up_records_per_s": "archived of a backlog of records of 40 scalars alone",
    "catch_up_seconds": "that the whole backlog took",
    "catch_up_answer_p99_ms": "list of runs, a run, four series of the long one, asked meanwhile",
    "catch_up_answer_max_ms": "the longest of those answers",
    "series_1e6_median_ms": "four metrics of the long run at 2000 points, over HTTP",
    "series_1e6_store_median_ms": "the same, read in the store",
    "series_newest_median_ms": "the last 100 steps of four metrics, over HTTP",
    "series_steps": "steps of the long run, each with 40 metrics",
    "bytes_per_step": "of the archive's file, for 40 scalars",
    "live_records_per_s": "pushed by 64 writers, with 256 sequences each",
    "push_to_event_median_s": "from before a record is encoded and pushed to the event at one of 20 viewers",
    "push_to_event_p99_s": "the same",
    "push_to_event_max_s": "the same",
    "missed_events": "that a viewer never got",
    "lost": "records that are not in the archive bit for bit",
    "doubled": "records archived twice, or brought to a viewer twice",
    "live_cpu_us_per_record": "processor time of the server for each record, viewers included",
    "rss_start_mib": "memory of the server when the writers begin",
    "rss_end_mib": "and when they have ended",
    "push_to_chart_median_s": "from a push to the redrawn chart in a headless browser, at a step a second",
    "first_chart_s": "of the long run's page in a browser just started",
    "first_chart_tensorboard_s": "of TensorBoard with a run a tenth as long, read before the browser starts",
    "first_chart_vs_tensorboard": "ours over TensorBoard's",
    "tensorboard_ingest_steps_per_s": "read from event files by TensorBoard, 40 scalars each, from its start until all are there",
    "tensorboard_series_median_ms": "four scalars of that run from TensorBoard, at the 1000 points that it keeps",
}

PEERS: Mapping[str, str] = {
    "catch_up_records_per_s": "tensorboard_ingest_steps_per_s",
    "series_1e6_median_ms": "tensorboard_series_median_ms",
    "first_chart_s": "first_chart_tensorboard_s",
}


def complete(figures: Mapping[str, float | None]) -> Figures:
    """Return every figure there is by name; None for what was not measured."""
    return {name: figures.get(name) for name in MEANINGS}


def show(figures: Figures, reasons: list[str]) -> None:
    """Print each figure with its bar, with TensorBoard's beside it, and what it means; and why some are missing."""
    print(f"\n{'figure':<32}{'measured':>12}{'bar':>10}{'peer':>12}")
    for name, figure in figures.items():
        bar, peer = BARS.get(name), figures.get(PEERS.get(name, ""))
        missed = "  missed" if bar and figure is not None and bar.is_missed(figure) else ""
        print(
            f"{name:<32}{_cell(figure)}{bar or ''!s:>10}{_cell(peer) if name in PEERS else '':>12}  {MEANINGS[name]}{missed}"
        )
    for reason in reasons:
        print(f"\n{reason}")


def _cell(figure: float | None) -> str:
    if figure is None:
        return f"{'-':>12}"
    return f"{figure:>12,.0f}" if abs(figure) >= 100 or figure == int(figure) else f"{figure:>12.3g}"
