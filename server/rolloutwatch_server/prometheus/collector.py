"""Everything that is told, under the names that it has in Prometheus."""

import contextlib
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from time import time

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from rolloutwatch_contract import CORE_METRICS
from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_contract.severity import Severity
from rolloutwatch_server import __version__
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.alerts.ticker import TickerThread, why_alerts_do_not_work
from rolloutwatch_server.ingest import Ingest, Trouble
from rolloutwatch_server.live import LiveFeed
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.open_streams import OpenStreams
from rolloutwatch_server.prometheus.latest import LiveRun
from rolloutwatch_server.store import MEMORY, SCHEMA, Store

PREFIX = "rolloutwatch_"


def create_registry(
    store: Store,
    feed: LiveFeed,
    ingest: Ingest,
    streams: OpenStreams,
    *,
    rulebook: Rulebook,
    clockwork: TickerThread | None,
    notifier: Notifier | None,
    of_runs: bool,
) -> CollectorRegistry:
    """Return a registry of its own that tells of this server, and of the figures of live runs if asked to."""
    registry = CollectorRegistry()
    registry.register(
        ServerCollector(store, feed, ingest, streams, rulebook, clockwork, notifier, of_runs=of_runs)
    )
    ProcessCollector(registry=registry)
    GCCollector(registry=registry)
    return registry


class ServerCollector(Collector):
    """Reads what is in memory, and sizes of files; never the archive."""

    def __init__(
        self,
        store: Store,
        feed: LiveFeed,
        ingest: Ingest,
        streams: OpenStreams,
        rulebook: Rulebook,
        clockwork: TickerThread | None,
        notifier: Notifier | None,
        *,
        of_runs: bool,
    ) -> None:
        self._store = store
        self._feed = feed
        self._ingest = ingest
        self._streams = streams
        self._rulebook = rulebook
        self._clockwork = clockwork
        self._notifier = notifier
        self._of_runs = of_runs

    def describe(self) -> Iterator[Metric]:
        """Tell nothing: the names are known when they are collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yield everything there is to tell."""
        build = {"version": __version__, "schema": str(SCHEMA), "python": platform.python_version()}
        yield InfoMetricFamily(PREFIX + "build", "What runs here.", build)
        yield from self._of_ingest()
        yield from self._of_trainers()
        yield from self._of_viewers()
        yield from self._of_archive()
        yield from self._of_alerts()
        yield from self._of_targets()
        live = self._ingest.tally.latest.runs(time())
        yield _gauge("live_runs", "Runs whose trainers are at work.", len(live))
        if self._of_runs:
            yield from _of_figures(live)

    def _of_ingest(self) -> Iterator[Metric]:
        tally, health = self._ingest.tally, self._ingest.health
        working = _gauge("working", "Whether a part of the server works.", labels=["part"])
        for part in Trouble:
            working.add_metric([part.value], float(health.trouble is not part))
        working.add_metric(["alerts"], float(not why_alerts_do_not_work(self._store, self._clockwork)))
        working.add_metric(["rules"], float(not self._rulebook.problem))
        yield working
        yield _counter("ingest_records", "Records archived.", tally.records)
        yield _counter("ingest_bytes", "Bytes of them as they stood in Redis.", tally.bytes)
        yield _counter("ingest_batches", "Transactions in which they were archived.", tally.batches)
        yield _counter(
            "dead_letters", "Entries that were no records, since the archive began.", tally.dead_letters
        )
        yield tally.commits.family(
            PREFIX + "ingest_commit_duration_seconds",
            "How long it took to archive a batch, until it was on disk.",
        )
        yield tally.delays.family(
            PREFIX + "ingest_record_delay_seconds",
            "From when the newest record of a batch was made, by its trainer's clock, until it was archived.",
        )
        yield _gauge(
            "ingest_lag_seconds",
            "At most so old is what waits in Redis, by this server's clock: time since all was read of the stream "
            "for which that is longest ago.",
            self._ingest.lag(),
        )
        if tally.waiting is not None:
            yield _gauge(
                "ingest_waiting_entries", "Entries that wait in streams that are behind.", tally.waiting
            )
        yield _gauge("ingest_streams", "Streams that are read.", health.streams)
        yield _gauge(
            "ingest_streams_behind", "Streams with more waiting than one read brings.", self._ingest.behind()
        )
        yield _gauge(
            "ingest_last_scan_timestamp_seconds",
            "When streams were last looked for in Redis.",
            tally.last_scan,
        )

    def _of_trainers(self) -> Iterator[Metric]:
        dropped = CounterMetricFamily(
            PREFIX + "trainer_dropped",
            "What trainers say they could not deliver, by reason, since the archive began.",
            labels=["reason"],
        )
        for reason, count in self._ingest.tally.dropped().items():
            dropped.add_metric([reason], count)
        yield dropped

    def _of_alerts(self) -> Iterator[Metric]:
        if self._clockwork is None or (counts := self._clockwork.counts) is None:
            return
        firing = _gauge("alerts_firing", "Alerts that fire, by the rules in force.", labels=["severity"])
        for severity in (Severity.WARNING, Severity.CRITICAL):
            firing.add_metric([severity.word], counts.get(severity.word, 0))
        yield firing

    def _of_targets(self) -> Iterator[Metric]:
        if self._notifier is None:
            return
        targets, departed = self._notifier.standing
        failing = _gauge("notify_failing", "Whether a target takes no messages.", labels=["target"])
        waiting = _gauge("notify_waiting", "Messages that wait for a target.", labels=["target"])
        dead = _gauge("notify_dead", "Messages for a target that were given up.", labels=["target"])
        for target in targets:
            failing.add_metric([target.name], float(target.failing_since is not None))
        counts = [(one.name, one.waiting, one.dead) for one in targets]
        counts += [(one.name, one.waiting, one.dead) for one in departed]
        for name, waits, given_up in counts:
            waiting.add_metric([name], waits)
            dead.add_metric([name], given_up)
        yield from (failing, waiting, dead)

    def _of_viewers(self) -> Iterator[Metric]:
        viewers, runs = self._feed.count()
        yield _gauge("event_streams", "Open event streams, live or replayed.", self._streams.count)
        yield _gauge("viewers", "Those of them that follow a run live.", viewers)
        yield _gauge("watched_runs", "Runs that have viewers.", runs)

    def _of_archive(self) -> Iterator[Metric]:
        if self._store.path == MEMORY:
            return
        size = _gauge("archive_size_bytes", "Size of the archive's files.", labels=["file"])
        for name, suffix in (("database", ""), ("wal", "-wal")):
            path = Path(self._store.path + suffix)
            size.add_metric([name], path.stat().st_size if path.exists() else 0)
        yield size
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(Path(self._store.path).parent).free
            yield _gauge("archive_free_bytes", "Free space where the archive is.", free)


def _of_figures(live: dict[str, LiveRun]) -> Iterator[Metric]:
    figures = _gauge(
        "run_metric", "Newest value of a live run's metric.", labels=["project", "run", "metric"]
    )
    steps = _gauge("run_step", "Newest step of a live run.", labels=["project", "run"])
    for run, one in live.items():
        project, name = split_run_id(run)
        if one.step is not None:
            steps.add_metric([project, name], one.step)
        for metric in CORE_METRICS:
            if metric in one.figures:
                figures.add_metric([project, name, metric], one.figures[metric])
    yield figures
    yield steps


def _counter(name: str, documentation: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(PREFIX + name, documentation, value)


def _gauge(
    name: str, documentation: str, value: float | None = None, labels: list[str] | None = None
) -> GaugeMetricFamily:
    return GaugeMetricFamily(PREFIX + name, documentation, value, labels)
