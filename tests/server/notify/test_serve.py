"""`rolloutwatch serve --notify-file`, killed and ended while receivers misbehave."""

import re
import time
from pathlib import Path

import pytest
import redis

from rolloutwatch_contract import Record, encode
from rolloutwatch_contract.keys import RECORD_FIELD, entry_id
from tests.processes import ServerProcess, wait_for
from tests.server.notify.events import SECRET
from tests.server.receiver import Mode, Receiver, always
from tests.server.records import RUN, STREAM, start, step
from tests.server.test_serve import refused

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]


def targets(folder: Path, receiver: Receiver, more: str = "") -> str:
    path = folder / "targets.toml"
    path.touch(mode=0o600)
    path.write_text(
        f'[[target]]\nname = "ops"\nwebhook = "{receiver.url}"\nsecret = "{SECRET}"\nallow_internal = true\n{more}\n'
    )
    return str(path)


def push(server: ServerProcess, *records: Record, first: int = 1) -> None:
    with redis.Redis.from_url(server.redis_url) as client:
        for number, record in enumerate(records, first):
            client.xadd(STREAM, {RECORD_FIELD: encode(record)}, id=entry_id(number))


def bad_steps(first: int, last: int) -> list[Record]:
    """Steps at which log-probs are not finite, for which the default rules call a person at once."""
    return [step(number, nonfinite_fraction=0.25) for number in range(first, last)]


def test_an_alert_of_a_trainer_arrives_with_its_picture_by_default_rules(tmp_path: Path) -> None:
    with (
        Receiver() as receiver,
        ServerProcess(
            tmp_path / "data",
            "--notify-file",
            targets(tmp_path, receiver),
            "--public-url",
            "https://watch.example",
        ) as server,
    ):
        push(server, start(time=time.time()), *bad_steps(1, 4))
        (request,) = receiver.wait(1)
        (event,) = (one for one in request.content["events"] if one["rule"] == "nonfinite_logprobs")
        assert event["run_url"] == f"https://watch.example/runs/{RUN}?step={event['step']}"
        assert request.content["picture"]
        wait_for("the delivery", lambda: server.get("/notifications")["targets"][0]["last_success"])


def test_a_server_that_is_killed_before_it_knows_that_a_message_arrived_sends_it_again_as_the_same(
    tmp_path: Path,
) -> None:
    with (
        Receiver(always(Mode.DROP)) as receiver,
        ServerProcess(
            tmp_path / "data", "--notify-file", targets(tmp_path, receiver, "picture = false")
        ) as server,
    ):
        push(server, start(time=time.time()), *bad_steps(1, 4))
        receiver.wait(1)
        server.kill()
        keys = {one.key for one in receiver.requests}
        receiver.plan = always(Mode.OK)
        server.start()
        wait_for("the delivery", lambda: server.get("/notifications")["targets"][0]["last_success"])
        assert {one.key for one in receiver.requests} == keys
        assert len(keys) == 1
        assert {len(one) for one in receiver.keys_of_events().values()} == {1}


def test_a_server_ends_in_good_order_while_a_receiver_hangs(tmp_path: Path) -> None:
    with (
        Receiver(always(Mode.HANG)) as receiver,
        ServerProcess(tmp_path / "data", "--notify-file", targets(tmp_path, receiver)) as server,
    ):
        push(server, start(time=time.time()), *bad_steps(1, 4))
        receiver.wait(1)
        begin = time.monotonic()
        server.stop()
        assert time.monotonic() - begin < 8


def test_a_file_that_cannot_be_used_keeps_the_server_from_starting(tmp_path: Path) -> None:
    with Receiver() as receiver:
        file = Path(targets(tmp_path, receiver, "severty = 'critical'"))
    said = refused(tmp_path / "data", "--notify-file", str(file))
    assert re.search(r"targets\.toml, target 1: unknown key 'severty'. Did you mean 'severity'\?", said)
    file.write_text("[[target]]\nname = 'chat'\nurl = 'slak://TokenAAAAA/TokenBBBBB'\n")
    unknown = refused(tmp_path / "data", "--notify-file", str(file))
    assert "target chat: Apprise knows no service 'slak': did you mean 'slack'?" in unknown
    assert "TokenAAAAA" not in unknown
    file.chmod(0o644)
    assert "chmod 600" in refused(tmp_path / "data", "--notify-file", str(file))
    assert SECRET not in said
