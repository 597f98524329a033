"""What is measured: what each figure has to be, what it means, and which one of TensorBoard stands beside it."""

from collections.abc import Mapping

from benchmarks.report import Bar

BARS: Mapping[str, Bar] = {
    "server_core_fraction_20_viewers": Bar(0.25),
    "tab_busy_fraction": Bar(0.4),
    "tab_heap_growth": Bar(1.1),
    "push_to_pixel_median_s": Bar(0.5),
    "first_chart_ratio_vs_tensorboard": Bar(1),
    "wire_mb": Bar(2.5),
    "spike_visible": Bar(1, at_least=True),
    "idle_requests": Bar(0),
}

MEANINGS: Mapping[str, str] = {
    "server_core_fraction_20_viewers": "of a core, for 20 viewers of a run at 10 steps a second that ask what a page asks",
    "viewer_requests_per_s": "that all 20 together asked meanwhile, besides following events",
    "viewer_push_to_event_p99_s": "from before a record is encoded and pushed to the event at one of them",
    "missed_events": "that a viewer never got",
    "tab_busy_fraction": "of the time the main thread of a page is busy, at a step a second",
    "tab_requests_per_s": "that this page asked besides following events",
    "push_to_pixel_median_s": "from before a record is encoded and pushed to the frame whose chart has it",
    "push_to_pixel_max_s": "the longest of them",
    "tab_heap_filled_mib": "that a page usually keeps in memory once its lines have had their full length",
    "tab_heap_end_mib": "the same after 20,000 steps came while it was open",
    "tab_heap_growth": "the second over the first",
    "first_chart_s": "of a long run's page, in a browser just started",
    "first_chart_tensorboard_s": "of TensorBoard with the same figures, read before its browser starts",
    "first_chart_ratio_vs_tensorboard": "ours over TensorBoard's, browser after browser in turn",
    "wire_mb": "over the wire until that page is there, with nothing in the browser's memory",
    "wire_whole_page_mb": "once one has looked at all of it, to its end",
    "idle_requests": "that it sends when it is left alone; the run has ended",
    "idle_seconds": "for which it is left alone",
    "spike_visible": "share of zooms at which a line reaches a spike of one step",
    "long_run_steps": "steps of the long run, each with 40 metrics",
}

PEERS: Mapping[str, str] = {"first_chart_s": "first_chart_tensorboard_s"}
