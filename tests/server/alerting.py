"""A run that is judged, by a clock that a test holds in its hands."""

from dataclasses import dataclass, field
from pathlib import Path

from rolloutwatch_contract import Record, RunStart, StepRecord, stream_key
from rolloutwatch_contract.alerts import FiringAlerts
from rolloutwatch_contract.keys import split_run_id
from rolloutwatch_contract.protocol import Value
from rolloutwatch_server.alerts.publishing import Publisher
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.alerts.ticker import Ticker
from rolloutwatch_server.ingest import Health
from rolloutwatch_server.store import Entry, Position, Store
from rolloutwatch_server.transport import connect
from tests.redis_process import free_port
from tests.server.records import RUN

BEGIN = 1_800_000_000.0  # seconds since 1970

RULES = """
[[rule]]
name = "kl"
severity = "critical"
when = "mismatch_k3_kl > 0.5"
summary = "The policies are far apart."
cure = "Sync the weights."
guide = "docs/guides/kl_very_high.md"

[[rule]]
name = "spread"
severity = "warning"
when = "ratio_std > 1.0"

[[rule]]
name = "quiet"
severity = "critical"
when = "silent(60, 10)"
"""


@dataclass
class Reading:
    """An ingest that reads everything, until a test says otherwise."""

    health: Health = field(default_factory=Health)
    waited: float = 0.0
    streams_behind: int = 0

    def lag(self) -> float:
        return self.waited

    def behind(self) -> int:
        return self.streams_behind


class Judged:
    """An archive that judges what it is given by RULES, or others, and the ticker beside it."""

    def __init__(self, folder: Path, rules: str = RULES, redis_url: str | None = None) -> None:
        self.now = BEGIN
        self.path = folder / "archive.db"
        self.redis_url = redis_url or f"redis://127.0.0.1:{free_port()}"
        self.reading = Reading()
        self._sequences: dict[str, int] = {}
        self.open()
        self.book.save(rules, "somebody")

    def open(self) -> None:
        """Begin as a server does, on the archive that there is."""
        self.store = Store(self.path, clock=lambda: self.now)
        self.book = Rulebook(self.store)
        self.publisher = Publisher(lambda: connect(self.redis_url))
        self.ticker = Ticker(self.store, self.book, self.reading, self.publisher)

    def close(self) -> None:
        self.publisher.close()
        self.store.close()

    def start(self, run: str = RUN, session: str = "s1", **config: Value) -> None:
        project, name = split_run_id(run)
        self.put(RunStart(project, name, self.now, dict(config)), run, session)

    def step(self, number: int, run: str = RUN, session: str = "s1", /, **metrics: float) -> None:
        """Bring figures of a step that was made now."""
        self.put(StepRecord(step=number, time=self.now, metrics=metrics), run, session)

    def put(self, record: Record, run: str = RUN, session: str = "s1") -> None:
        stream = stream_key(run, session)
        number = self._sequences[stream] = self._sequences.get(stream, 0) + 1
        self.store.archive(stream, [Entry(Position(number), record)])

    def pass_time(self, seconds: float, by: float = 1.0) -> None:
        """Let time pass, and the ticker tick."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + by, end)
            self.ticker.tick(self.now)

    def happened(self, run: str = RUN) -> list[tuple[str, str]]:
        """What happened to alerts, by rule and change."""
        return [(one.rule, one.change.value) for one in self.store.transitions(run)]

    def outbox(self) -> list[tuple[str, str]]:
        """What people are to be told, and were not told yet."""
        return [(one.rule, one.change.value) for one in self.store.outbox_events()]

    def firing(self, run: str = RUN) -> FiringAlerts:
        found = self.store.firing(run)
        assert found is not None
        return found

    def alert(self, rule: str = "kl", run: str = RUN) -> str:
        """The id of the newest alert of a rule."""
        return self.store.alerts(state="all", run=run, rule=rule)[0].id
