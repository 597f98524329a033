"""A server whose rules are a file: edited well and badly while it serves, it judges by what was good last."""

from pathlib import Path

import httpx
import pytest
import redis

from rolloutwatch_contract import RunEnd, encode, stream_key
from rolloutwatch_contract.alerts import FiringAlerts, decode_firing
from rolloutwatch_contract.keys import RECORD_FIELD, alerts_key, entry_id
from tests.processes import ServerProcess, wait_for
from tests.server.records import RUN, start, step

pytestmark = [pytest.mark.end_to_end, pytest.mark.redis]

GOOD = '[[rule]]\nname = "own"\nseverity = "critical"\nwhen = "mismatch_k3_kl > 0.5"\n'
BETTER = GOOD.replace("0.5", "0.7")
BAD = GOOD.replace("mismatch_k3_kl", "mismatch_k3_lk")


class Trainer:
    """Pushes steps, and reads what it is told of alerts."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url)
        self._number = 0

    def push(self, *records: object) -> None:
        for record in records:
            self._number += 1
            frame = {RECORD_FIELD: encode(record)}  # type: ignore[arg-type]  # any record
            self._redis.xadd(stream_key(RUN, "s1"), frame, id=entry_id(self._number))

    def told(self) -> FiringAlerts | None:
        text = self._redis.get(alerts_key(RUN))
        return None if text is None else decode_firing(text)

    def is_told(self, *rules: str) -> bool:
        told = self.told()
        return told is not None and [alert.rule for alert in told.alerts] == list(rules)

    def close(self) -> None:
        self._redis.close()


def test_a_file_of_rules_is_edited_well_and_badly(tmp_path: Path) -> None:
    """From the file to the alert, to the trainer, and to who asks why; another server goes on where this one was."""
    file = tmp_path / "rules.toml"
    file.write_text(GOOD)
    server = ServerProcess(tmp_path / "data", "--rules-file", str(file))
    with server:
        trainer = Trainer(server.redis_url)
        trainer.push(start(), step(1, mismatch_k3_kl=0.6))
        wait_for("the alert", lambda: trainer.is_told("own"))
        assert [one["rule"] for one in server.get("/alerts")["alerts"]] == ["own"]

        file.write_text(BAD)
        told = wait_for("the complaint", lambda: _problem(server))
        assert str(file) in told
        assert "mismatch_k3_kl" in told
        ready = httpx.get(f"{server.url}/readyz")
        assert ready.status_code == 200
        assert ready.json()["rules"] == {"ok": False, "why": told}
        assert server.get("/rules")["document"] == GOOD
        assert len(server.get("/alerts")["alerts"]) == 1
        headers = {"Content-Type": "text/toml"}
        assert httpx.put(f"{server.url}/api/v1/rules", content=BETTER, headers=headers).status_code == 409

        file.write_text(BETTER)
        wait_for("the better rules", lambda: server.get("/rules")["document"] == BETTER)
        assert _problem(server) is None
        wait_for("the end of the alert", lambda: trainer.is_told())
        (ended,) = server.get("/alerts", state="all")["alerts"]
        assert ended["reason"] == "the rule was changed"

        trainer.push(step(2, mismatch_k3_kl=0.6), step(3, mismatch_k3_kl=0.8))
        wait_for("the next alert", lambda: trainer.is_told("own"))
        server.kill()
        server.start()
        assert [one["firing_step"] for one in server.get("/alerts")["alerts"]] == [3]
        trainer.push(step(4, mismatch_k3_kl=0.1), RunEnd(5.0))
        wait_for("the end", lambda: trainer.is_told())
        assert server.get("/alerts") == {"alerts": []}
        trainer.close()


def _problem(server: ServerProcess) -> str | None:
    return str(server.get("/rules")["problem"]) or None
