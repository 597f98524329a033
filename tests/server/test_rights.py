"""The rights that docs/redis.md gives to the server are enough, and each of them is needed."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rolloutwatch.push import RedisSink
from rolloutwatch.troubles import OPTIONAL_RIGHTS, RIGHTS
from rolloutwatch_contract import Outcome, RunEnd, encode, run_id
from rolloutwatch_contract.alerts import FiringAlerts
from rolloutwatch_contract.keys import PROBE_RUN, SERVER_KEY
from rolloutwatch_server.alerts.publishing import Publisher
from rolloutwatch_server.ingest import Trouble
from rolloutwatch_server.presence import Sign
from rolloutwatch_server.store import Store
from rolloutwatch_server.transport import connect
from tests.processes import ROOT, wait_for
from tests.redis_process import RedisProcess
from tests.server.ingesting import ingesting
from tests.server.records import start, step

pytestmark = pytest.mark.redis

RUN = run_id("math", "a")
END = RunEnd(time=9.0, outcome=Outcome.FINISHED)
NEEDED_BY_NOBODY = {
    "trainer": {"client|setinfo"},  # redis-py introduces itself
    "narrow": {"client|setinfo", "info", "config|get"},  # what Redis does when it is full
}
LINES = re.findall(r"^ACL SETUSER (\w+) (.*)$", (ROOT / "docs/redis.md").read_text(), re.MULTILINE)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisProcess]:
    """A Redis with the users of the documentation, and no other one that may do anything."""
    with RedisProcess(tmp_path / "redis") as server, server.client() as client:
        for user, rules in LINES:
            client.execute_command("ACL", "SETUSER", user, *rules.split())
        yield server


def as_user(redis: RedisProcess, user: str) -> str:
    password = next(
        rule[1:] for name, rules in LINES if name == user for rule in rules.split() if rule[0] == ">"
    )
    return redis.url.replace("//", f"//{user}:{password}@")


def test_what_is_documented_is_what_the_trainer_asks_for() -> None:
    rules = next(rules for user, rules in LINES if user == "trainer")
    assert set(RIGHTS.split()) | set(OPTIONAL_RIGHTS.split()) == {
        one for one in rules.split() if one[0] == "+"
    }


@pytest.mark.parametrize("trainer", ["trainer", "narrow"])
def test_trainer_and_server_get_along_with_the_rights_of_the_documentation(
    trainer: str, redis: RedisProcess, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """From the first record to the end of the run, and the probe too, with nothing denied on the way."""
    url = as_user(redis, "server")
    with (
        ingesting(store, url) as running,
        Sign(running.ingest, lambda: connect(url)),
        redis.client() as client,
    ):
        client.execute_command("ACL", "LOG", "RESET")
        for run in (RUN, PROBE_RUN):
            sink = RedisSink(as_user(redis, trainer), run, "s1")
            sink.send(
                [(number, encode(one)) for number, one in enumerate([start(), step(0, kl=0.5), END], 1)]
            )
            wait_for("the acknowledgement", lambda s=sink: s.send([]) == 3)
            assert sink.hear() is None
            sink.close()
        running.wait_for(3)
        wait_for("the sign", lambda: bool(client.exists(SERVER_KEY)))
        with contextlib.closing(Publisher(lambda: connect(url))) as publisher:
            assert publisher.publish({RUN: FiringAlerts(step=0, time=0.0)}, 0.0) == 1
        denied = {entry["object"] for entry in client.acl_log()}
    assert denied <= NEEDED_BY_NOBODY[trainer]
    assert running.ingest.health.trouble is None
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []


@pytest.mark.parametrize("right", ["+scan", "+xread", "+xtrim", "+del", "+set", "+multi", "+exec"])
def test_no_right_of_the_server_is_superfluous(right: str, redis: RedisProcess, store: Store) -> None:
    """Without one of them it says which, and archives nothing, or says what it cannot tidy up."""
    with redis.client() as client:
        client.execute_command("ACL", "SETUSER", "server", right.replace("+", "-"))
        client.execute_command("ACL", "LOG", "RESET")
        sink = RedisSink(as_user(redis, "trainer"), RUN, "s1")
        with ingesting(store, as_user(redis, "server")) as running:
            sink.send([(number, encode(one)) for number, one in enumerate([start(), step(0, kl=0.5)], 1)])
            if right == "+del":
                sink.send([(3, encode(END))])
            wait_for(
                "the denial",
                lambda: right[1:] in {str(entry["object"]) for entry in client.acl_log()} or None,
            )
            assert running.ingest.health.trouble in (None, Trouble.REDIS)
        sink.close()
