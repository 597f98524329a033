"""How fast the archive takes records, and how fast it gives a long run's series.

python -m benchmarks.archive
"""

import tempfile
import time
from pathlib import Path

from benchmarks.measure import interleaved, tell, where
from rolloutwatch_contract import METRICS, StepRecord, stream_key
from rolloutwatch_server.store import Entry, Position, Store

RUN = "bench~long"
STEPS = 100_000
BATCH = 200
ROUNDS = 10
FIGURES = tuple(METRICS)[:40]  # about as many as a run brings


def main() -> None:
    """Measure and print."""
    print(where())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "archive.db"
        store = Store(path)
        began = time.perf_counter()
        fill(store)
        seconds = time.perf_counter() - began
        size = sum(file.stat().st_size for file in path.parent.iterdir())
        print(
            f"\narchived {STEPS} steps of {len(FIGURES)} metrics: {STEPS / seconds:.0f} steps/s, {size / STEPS:.0f} bytes a step"
        )
        four = ["ratio_eff_sample_size", "rollout_is_veto_fraction", "mismatch_ppl_ratio", "mismatch_k3_kl"]
        medians = interleaved(
            {
                "one metric, whole run, 2000 points": lambda: store.series(RUN, four[:1], points=2000),
                "four metrics, whole run, 2000 points": lambda: store.series(RUN, four, points=2000),
                "four metrics, last 100 steps": lambda: store.series(RUN, four, from_step=STEPS - 100),
                "list of runs": store.runs,
            },
            ROUNDS,
        )
        tell(f"reading a run of {STEPS} steps", medians)
        store.close()


def fill(store: Store) -> None:
    """Archive a long run in batches, as the ingest does."""
    stream = stream_key(RUN, "bench")
    for start in range(0, STEPS, BATCH):
        steps = range(start, min(start + BATCH, STEPS))
        entries = [
            Entry(Position(step + 1, 0), StepRecord(step, float(step), dict.fromkeys(FIGURES, step / 7)))
            for step in steps
        ]
        store.archive(stream, entries)


if __name__ == "__main__":
    main()
