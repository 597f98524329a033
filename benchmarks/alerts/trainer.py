"""What listening to alerts costs a trainer, with a Redis that is up or hangs, and how soon it hears of one.

    python -m benchmarks.alerts.trainer

`figures` is what the benchmark of alerts takes from here.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import redis

from benchmarks.client_cost.servers import Redis
from benchmarks.measure import where
from rolloutwatch import AlertEvent, FiringAlert, FiringAlerts, Monitor
from rolloutwatch_contract.alerts import encode_firing
from rolloutwatch_contract.keys import alerts_key

CALLS = 20_000
ALERTS = 20  # that fire at once, which is a bad night
HEARINGS = 5
SECONDS_TO_HEAR = 20.0
SECONDS_TO_HANG = 1.5  # after which a call that waited for Redis would have been held up
SECONDS_BETWEEN_CALLS = 0.0001


def figures(calls: int = CALLS, hearings: int = HEARINGS) -> dict[str, float]:
    """Return microseconds of `alerts()` on the trainer's thread, and seconds from the server's word to the trainer's function."""
    with tempfile.TemporaryDirectory(prefix="alerts-in-a-trainer-") as folder:
        home = Path(folder)
        with Redis(home / "redis") as server, redis.Redis.from_url(server.url) as client:
            told: list[float] = []

            def note(event: AlertEvent) -> None:
                told.append(time.perf_counter())

            monitor = Monitor(
                project="bench", run="alerts", redis_url=server.url, spool_dir=home / "spool", on_alert=note
            )
            heard = [_hear(client, monitor, told, number) for number in range(hearings)]
            up = _microseconds(monitor, calls)
            server.hang()
            monitor.log(1, {"loss": 1.0})
            time.sleep(SECONDS_TO_HANG)
            hung = _microseconds(monitor, calls)
            server.be_well()
            monitor.close()
    return {
        "trainer_heard_median_s": statistics.median(heard),
        **_told_of("up", up),
        **_told_of("hung", hung),
    }


def _hear(client: "redis.Redis", monitor: Monitor, told: list[float], number: int) -> float:
    """Let the server say that alerts fire; return seconds until the trainer's function is told of the first."""
    before = len(told)
    client.set(alerts_key(monitor.run_id), _firing(number))
    began = time.perf_counter()
    while len(told) == before and time.perf_counter() - began < SECONDS_TO_HEAR:
        monitor.alerts()
        time.sleep(0.005)
    ended = told[before] - began
    time.sleep(0.37 * number)  # not in step with the courier
    return ended


def _firing(epoch: int) -> bytes:
    alerts = tuple(
        FiringAlert(
            id=f"{epoch}-{number}", rule=f"rule_{number}", severity="warning", since_step=number,
            since_time=time.time() + 60, values={"mismatch_k3_kl": 0.2}, summary="s" * 100, cure="c" * 200,
        )
        for number in range(ALERTS)
    )  # fmt: skip
    return encode_firing(FiringAlerts(step=epoch, time=time.time(), alerts=alerts))


def _microseconds(monitor: Monitor, calls: int) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    times = np.empty(calls)
    for number in range(calls):
        began = time.perf_counter_ns()
        monitor.alerts()
        times[number] = time.perf_counter_ns() - began
        if number % 100 == 0:
            time.sleep(SECONDS_BETWEEN_CALLS)  # else the threads behind it get no turn
    return times / 1e3


def _told_of(situation: str, times: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> dict[str, float]:
    return {
        f"trainer_alerts_median_us_{situation}": float(np.median(times)),
        f"trainer_alerts_p99_us_{situation}": float(np.percentile(times, 99)),
        f"trainer_alerts_max_us_{situation}": float(times.max()),
    }


def main() -> None:
    """Measure and print."""
    print(where())
    for name, value in figures().items():
        print(f"  {name:<36}{value:12.2f}")


if __name__ == "__main__":
    main()
