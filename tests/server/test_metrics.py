"""What Prometheus is told: names, types and labels are promised, and the numbers are those of what happened."""

import asyncio
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_open_metrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from starlette.types import Message

from rolloutwatch_contract import CORE_METRICS, Heartbeat, Outcome, RunEnd, StepRecord, run_id, stream_key
from rolloutwatch_contract.drops import DROPS
from rolloutwatch_contract.keys import part_of
from rolloutwatch_server import __version__
from rolloutwatch_server.ingest import Ingest
from rolloutwatch_server.live import LiveFeed
from rolloutwatch_server.notify.events import Links
from rolloutwatch_server.notify.notifier import Notifier
from rolloutwatch_server.notify.posts import World
from rolloutwatch_server.prometheus.histogram import Histogram
from rolloutwatch_server.prometheus.latest import MOST_RUNS, LatestFigures
from rolloutwatch_server.prometheus.tally import OTHER_REASON, Tally
from rolloutwatch_server.reading import ENTRIES_PER_READ, Turns
from rolloutwatch_server.store import MEMORY, SECONDS_UNTIL_STALLED, Entry, NewDelivery, Position, Store
from rolloutwatch_server.transport import connect
from tests.redis_process import RedisProcess
from tests.server.alerting import Judged
from tests.server.asking import Asking
from tests.server.ingesting import ingesting, push
from tests.server.notify.events import webhook
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step

OPEN_METRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
NOW = 1_000_000.0


def told(api: Asking) -> dict[str, Metric]:
    answer = api.ask("/metrics")
    assert (answer.status_code, answer.headers["content-type"]) == (
        200,
        "text/plain; version=0.0.4; charset=utf-8",
    )
    return {family.name: family for family in parse_text(answer.text)}


def value(families: dict[str, Metric], name: str, **labels: str) -> float:
    samples = [one for family in families.values() for one in family.samples]
    (found,) = [one.value for one in samples if one.name == name and one.labels == labels]
    return found


@pytest.fixture
def ingest(store: Store) -> Iterator[Ingest]:
    """An ingest that reads nothing: the test archives for it."""
    return Ingest(store, lambda: connect("redis://127.0.0.1:1"), lambda run, entries: None)


def asking(
    store: Store, ingest: Ingest, feed: LiveFeed | None = None, *, metrics_runs: bool = True
) -> Asking:
    return Asking.of(store, feed=feed, ingest=ingest, metrics_runs=metrics_runs)


def archived(ingest: Ingest, stream: str, entries: list[Entry]) -> None:
    ingest.tally.archived({stream: entries}, 100, 0.003)


def test_every_name_has_its_type_its_unit_and_a_meaning(store: Store, ingest: Ingest) -> None:
    """A dashboard of Grafana that was made once goes on to work; text and OpenMetrics both can be read."""
    archived(ingest, STREAM, batch(start(), step(0, ratio_mean=1.0)))
    ingest.tally.scanned(0)
    api = asking(store, ingest)
    api.ticker.tick(NOW)
    families = told(api)
    ours = {name: family.type for name, family in families.items() if name.startswith("rolloutwatch_")}
    assert ours == {
        "rolloutwatch_alerts_firing": "gauge",
        "rolloutwatch_archive_free_bytes": "gauge",
        "rolloutwatch_archive_size_bytes": "gauge",
        "rolloutwatch_build_info": "gauge",
        "rolloutwatch_dead_letters": "counter",
        "rolloutwatch_event_streams": "gauge",
        "rolloutwatch_ingest_batches": "counter",
        "rolloutwatch_ingest_bytes": "counter",
        "rolloutwatch_ingest_commit_duration_seconds": "histogram",
        "rolloutwatch_ingest_lag_seconds": "gauge",
        "rolloutwatch_ingest_last_scan_timestamp_seconds": "gauge",
        "rolloutwatch_ingest_record_delay_seconds": "histogram",
        "rolloutwatch_ingest_records": "counter",
        "rolloutwatch_ingest_streams": "gauge",
        "rolloutwatch_ingest_streams_behind": "gauge",
        "rolloutwatch_ingest_waiting_entries": "gauge",
        "rolloutwatch_live_runs": "gauge",
        "rolloutwatch_run_metric": "gauge",
        "rolloutwatch_run_step": "gauge",
        "rolloutwatch_trainer_dropped": "counter",
        "rolloutwatch_viewers": "gauge",
        "rolloutwatch_watched_runs": "gauge",
        "rolloutwatch_working": "gauge",
    }
    assert all(family.documentation.endswith(".") for name, family in families.items() if name in ours)
    assert "process_resident_memory_bytes" in families
    (build,) = families["rolloutwatch_build_info"].samples
    assert (build.labels["version"], build.value) == (__version__, 1.0)
    answer = api.ask("/metrics", headers={"Accept": OPEN_METRICS})
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    names = {family.name for family in parse_open_metrics(answer.text)}
    assert set(ours) - names == {"rolloutwatch_build_info"}
    assert "rolloutwatch_build" in names


@pytest.mark.redis
def test_what_was_read_is_counted(redis: RedisProcess, store: Store) -> None:
    """Records, what was none, their bytes, and how long it took to archive them."""
    with ingesting(store, redis.url) as running:
        push(
            redis, STREAM, start(), step(0, kl=1.0), b"noise", Heartbeat(time=1.0, dropped={"queue_full": 3})
        )
        running.wait_for(records=3, dead_letters=1)
        families = told(asking(store, running.ingest))
    assert value(families, "rolloutwatch_ingest_records_total") == 3
    assert value(families, "rolloutwatch_dead_letters_total") == 1
    assert value(families, "rolloutwatch_ingest_bytes_total") > 3 * len(b"noise")
    assert value(families, "rolloutwatch_trainer_dropped_total", reason="queue_full") == 3
    assert value(families, "rolloutwatch_ingest_streams") == 1
    # as the last look found it, which may have been before or after it was read
    assert value(families, "rolloutwatch_ingest_waiting_entries") in (4, 0)
    assert value(families, "rolloutwatch_working", part="redis") == 1
    batches = value(families, "rolloutwatch_ingest_batches_total")
    assert value(families, "rolloutwatch_ingest_commit_duration_seconds_count") == batches >= 1
    assert value(families, "rolloutwatch_ingest_commit_duration_seconds_bucket", le="+Inf") == batches
    size = value(families, "rolloutwatch_archive_size_bytes", file="database")
    assert size + value(families, "rolloutwatch_archive_size_bytes", file="wal") > 4096


@pytest.mark.redis
def test_who_may_not_ask_how_much_waits_is_not_told_and_reads_on(redis: RedisProcess, store: Store) -> None:
    """A Redis whose users were made before this was asked for: the figure is absent, not zero."""
    rights = "~rolloutwatch:* -@all +scan +xread +xtrim +del +set +multi +exec"
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "old", "on", ">pw", *rights.split())
    push(redis, STREAM, start(), step(0, kl=1.0))
    with ingesting(store, redis.url.replace("//", "//old:pw@")) as running:
        running.wait_for(records=2)
        running.wait_for_trouble(None)
        families = told(asking(store, running.ingest))
    assert "rolloutwatch_ingest_waiting_entries" not in families
    assert value(families, "rolloutwatch_ingest_records_total") == 2


@pytest.mark.redis
def test_lag_is_the_age_of_the_oldest_that_waits_at_most(redis: RedisProcess) -> None:
    """By this server's clock alone: from when all of a stream was read last, until all of it is read again."""
    now = 100.0
    turns = Turns(lambda: now)
    push(redis, STREAM, *(step(n) for n in range(ENTRIES_PER_READ + 1)))
    with connect(redis.url) as client:
        assert turns.lag() == 0.0
        turns.know([STREAM, OTHER_SESSION])
        now = 103.0
        for _ in range(2):
            turns.read(client, {}, 0.01)
            turns.archived()
        now = 105.0
        assert turns.lag() == 5.0
        turns.read(client, {STREAM: Position(ENTRIES_PER_READ)}, 0.01)
        assert turns.lag() == 5.0
        turns.archived()
        assert turns.lag() == 0.0
        now = 106.0
        turns.begin_again()
        now = 109.0
        assert turns.lag() == 4.0


def test_a_part_that_does_not_work_is_zero(store: Store, ingest: Ingest) -> None:
    families = told(asking(store, ingest))
    working = {one.labels["part"]: one.value for one in families["rolloutwatch_working"].samples}
    assert working == {"redis": 0.0, "archive": 1.0, "unforeseen": 1.0, "alerts": 1.0, "rules": 1.0}


def test_viewers_are_counted(store: Store, ingest: Ingest) -> None:
    """Those that are there now, and the runs that they look at."""
    feed = LiveFeed()
    viewers = [feed.join(run) for run in (RUN, RUN, "code~b")]
    families = told(asking(store, ingest, feed))
    assert value(families, "rolloutwatch_viewers") == 3
    assert value(families, "rolloutwatch_watched_runs") == 2
    for viewer in viewers[1:]:
        feed.leave(viewer)
    families = told(asking(store, ingest, feed))
    assert value(families, "rolloutwatch_viewers") == value(families, "rolloutwatch_watched_runs") == 1


def test_event_streams_are_counted_while_they_are_open(store: Store, ingest: Ingest) -> None:
    """Whatever they bring; a page, or the head of a stream, is none."""
    store.archive(STREAM, batch(start(), step(0, kl=1.0)))
    api = asking(store, ingest)
    counts: list[float] = []

    async def watch() -> None:
        """Ask by ASGI: the transport of httpx waits for the end of an answer."""
        ended, begun = asyncio.Event(), asyncio.Event()

        async def receive() -> Message:
            await ended.wait()
            return {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message.get("body"):
                begun.set()

        api.feed.open(asyncio.get_running_loop())
        scope = {
            "type": "http", "method": "GET", "path": f"/api/v1/runs/{RUN}/live", "raw_path": b"", "root_path": "",
            "query_string": b"", "headers": [(b"host", b"test")], "http_version": "1.1", "scheme": "http",
            "server": ("test", 80), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        task = asyncio.create_task(api.app(scope, receive, send))
        await begun.wait()
        counts.append(await asyncio.to_thread(lambda: value(told(api), "rolloutwatch_event_streams")))
        ended.set()
        await task

    asyncio.run(watch())
    api.ask(f"/api/v1/runs/{RUN}/live", "HEAD")
    counts.append(value(told(api), "rolloutwatch_event_streams"))
    assert counts == [1, 0]


def test_drops_go_on_where_the_archive_is_after_a_restart() -> None:
    """A session says again and again how many it lost so far; each is counted once, whoever hears of it."""
    store = Store(MEMORY)
    heard = [start(), Heartbeat(1.0, {"queue_full": 2}), step(0, kl=1.0)]
    store.archive(STREAM, batch(*heard))
    tally = Tally(lambda: NOW)
    tally.begin(store)
    later = [Heartbeat(2.0, {"queue_full": 2}), Heartbeat(3.0, {"queue_full": 5, "spool_full": 1})]
    tally.archived({STREAM: batch(*later, first=4)}, 0, 0.0)
    second = stream_key(RUN, part_of("s1", 1))
    tally.archived({second: batch(Heartbeat(4.0, {"queue_full": 6, "spool_full": 1}))}, 0, 0.0)
    tally.archived({OTHER_SESSION: batch(RunEnd(5.0, Outcome.FINISHED, {"queue_full": 1}))}, 0, 0.0)
    assert {reason: count for reason, count in tally.dropped().items() if count} == {
        "queue_full": 7,
        "spool_full": 1,
    }


def test_reasons_that_nobody_knows_are_one_label() -> None:
    """Trainers name them: a label for each would let one trainer fill Prometheus."""
    tally = Tally(lambda: NOW)
    hostile = {f'x"\n{number}': 1 for number in range(50)}
    tally.archived({STREAM: batch(Heartbeat(1.0, hostile | {"closed": 2}))}, 0, 0.0)
    counts = tally.dropped()
    assert (counts[OTHER_REASON], counts["closed"]) == (50, 2)
    assert set(counts) == {*DROPS, OTHER_REASON}


def test_figures_of_runs_are_told_if_asked_for(store: Store, ingest: Ingest) -> None:
    """The newest of each core metric, whichever record brought it; what is no core metric is not told."""
    run = run_id("math", "a.b-c_d")
    records = [
        start(),
        step(6, ratio_mean=0.5, ratio_std=2.0),
        step(7, ratio_mean=math.inf),
        step(7, loss=1.0),
    ]
    archived(ingest, stream_key(run, "s1"), batch(*records))
    families = told(asking(store, ingest))
    labels = {"project": "math", "run": "a.b-c_d"}
    figures = {one.labels["metric"]: one.value for one in families["rolloutwatch_run_metric"].samples}
    assert figures == {"ratio_mean": math.inf, "ratio_std": 2.0}
    assert value(families, "rolloutwatch_run_step", **labels) == 7
    assert value(families, "rolloutwatch_live_runs") == 1
    quiet = told(asking(store, ingest, metrics_runs=False))
    assert not any(name.startswith("rolloutwatch_run_") for name in quiet)
    assert value(quiet, "rolloutwatch_live_runs") == 1


def test_alerts_that_fire_are_counted_by_severity(tmp_path: Path) -> None:
    """As of the last look by the clock, by the rules in force; not at all before there was one."""
    judged = Judged(tmp_path)
    api = Asking.of(judged.store, rulebook=judged.book)
    judged.start()
    judged.step(1, mismatch_k3_kl=1.0, ratio_std=2.0)
    assert "rolloutwatch_alerts_firing" not in told(api)
    api.ticker.tick(judged.now)
    families = told(api)
    assert value(families, "rolloutwatch_alerts_firing", severity="critical") == 1
    assert value(families, "rolloutwatch_alerts_firing", severity="warning") == 1
    judged.step(2, mismatch_k3_kl=0.1, ratio_std=2.0)
    api.ticker.tick(judged.now)
    assert value(told(api), "rolloutwatch_alerts_firing", severity="critical") == 0
    judged.close()


def test_what_another_session_speaks_for_is_not_the_newest() -> None:
    latest = LatestFigures()
    hidden = frozenset({"ratio_mean"})
    entries = batch(step(5, ratio_mean=1.0), step(3, ratio_mean=2.0, ratio_std=3.0), step(2, ratio_mean=4.0))
    shown = [entries[0], *(Entry(one.position, one.content, hidden) for one in entries[1:])]
    latest.archived(STREAM, shown, NOW)
    live = latest.runs(NOW)[RUN]
    assert (live.step, live.figures) == (3, {"ratio_mean": 1.0, "ratio_std": 3.0})


def test_runs_that_ended_disappear() -> None:
    """As soon as the last of a run's sessions has ended, or nothing is heard of it any more."""
    latest = LatestFigures()
    end = RunEnd(9.0, Outcome.FINISHED)
    for stream in (STREAM, OTHER_SESSION, stream_key("code~b", "s")):
        latest.archived(stream, batch(start(), step(0, kl=1.0)), NOW)
    latest.archived(STREAM, batch(end, first=3), NOW)
    assert set(latest.runs(NOW)) == {RUN, "code~b"}
    latest.archived(OTHER_SESSION, batch(end, first=3), NOW)
    assert set(latest.runs(NOW)) == {"code~b"}
    latest.archived(stream_key("code~b", "s"), batch(Heartbeat(1.0), first=3), NOW + 20)
    assert set(latest.runs(NOW + SECONDS_UNTIL_STALLED)) == {"code~b"}
    assert latest.runs(NOW + 20 + SECONDS_UNTIL_STALLED) == {}


def test_no_more_runs_are_told_than_can_be_borne(store: Store, ingest: Ingest) -> None:
    """Those that were heard of last, so that a thousand runs do not fill Prometheus with a thousand times twelve series."""
    for number in range(MOST_RUNS + 50):
        latest = dict.fromkeys(CORE_METRICS, 1.0)
        record = StepRecord(number, 0.0, latest)
        archived(ingest, stream_key(run_id("p", f"r{number}"), "s"), batch(record))
    families = told(asking(store, ingest))
    assert len(families["rolloutwatch_run_metric"].samples) == MOST_RUNS * len(CORE_METRICS)
    runs = {one.labels["run"] for one in families["rolloutwatch_run_step"].samples}
    assert runs == {f"r{number}" for number in range(50, MOST_RUNS + 50)}


def test_a_histogram_counts_what_is_at_most_so_large() -> None:
    """A bound belongs to its bucket; what is no number does not count."""
    histogram = Histogram([1.0, 2.0])
    for one in (0.5, 1.0, 1.5, 99.0, math.nan):
        histogram.observe(one)
    samples = {one.labels.get("le", one.name): one.value for one in histogram.family("x", "X.").samples}
    assert samples == {"1.0": 2.0, "2.0": 3.0, "+Inf": 4.0, "x_count": 4.0, "x_sum": 102.0}


def test_how_targets_of_messages_are_is_told_without_asking_the_archive(
    store: Store, ingest: Ingest, tmp_path: Path
) -> None:
    """As it was looked at last: a target that fails, what waits for it, and what waits for one that is gone."""
    store.make_deliveries([NewDelivery(key, "ops", f"p~{key}", "[]", 0.0) for key in "abc"], [])
    store.make_deliveries([NewDelivery("a", "gone", "p~a", "[]", 0.0)], [])
    store.delivery_dead(1, "no")
    notifier = Notifier(
        store, [webhook("http://127.0.0.1:1/"), webhook("http://127.0.0.1:1/", "fine")], World(Links(""), {})
    )
    api = Asking.of(store, ingest=ingest, notifier=notifier)
    assert not any(one.samples for name, one in told(api).items() if "notify" in name)
    notifier.look_after()
    families = told(api)
    figures = {
        (name.removeprefix("rolloutwatch_notify_"), sample.labels["target"]): sample.value
        for name, family in families.items()
        if name.startswith("rolloutwatch_notify_")
        for sample in family.samples
    }
    assert figures == {
        ("failing", "ops"): 1.0,
        ("failing", "fine"): 0.0,
        ("waiting", "ops"): 2.0,
        ("waiting", "fine"): 0.0,
        ("waiting", "gone"): 1.0,
        ("dead", "ops"): 1.0,
        ("dead", "fine"): 0.0,
        ("dead", "gone"): 0.0,
    }
