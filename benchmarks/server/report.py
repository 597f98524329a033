"""What is measured: what each figure has to be, what it means, and which one of TensorBoard stands beside it."""

from collections.abc import Mapping

from benchmarks.report import Bar

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
