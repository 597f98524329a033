"""The runs that detection is measured on: which fault, how strong, which seed, and what it should be called.

Limits and points were chosen by looking at the runs of `TUNED_SEEDS`, of faults that are not in `UNSEEN`, and at
`TUNED_HEALTHY`. What is reported is of all others.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.detection.recording import FOLDER

BEGINS, LASTS, STEPS = 80, 40, 130  # of a run with a fault, in steps

TUNED_SEEDS, OTHER_SEEDS = (0, 2, 4), (5, 6)
UNSEEN = ("head", "minp")  # faults that nothing was chosen by
TUNED_FAULTS = ("rough", "stretched")  # of every seed
TUNED_HEALTHY = ("healthy_int8_10",)

CAUSES: Mapping[str, str] = {
    "stale": "stale_weights",
    "late": "stale_weights",
    "layer": "unsynced_tensor",
    "scales": "precision",
    "drift": "precision",
    "cache": "precision",
    "head": "precision",
    "rough": "precision",
    "positions": "grows_with_position",
    "stretched": "grows_with_position",
    "temperature": "temperature",
    "cold": "temperature",
    "coldraw": "raw_logprobs",
    "topk": "truncated_sampling",
    "topp": "truncated_sampling",
    "minp": "truncated_sampling",
    "offbyone": "misaligned_logprobs",
    "wrongseq": "mixed_sequences",
    "retokenised": "other_tokens",
    "placeholders": "other_tokens",
    "zeros": "missing_logprobs",
}
GRADUAL = ("layer", "drift")  # the others are there at their first step, or at their second


@dataclass(frozen=True)
class Case:
    """A run with a fault, or a healthy one, whose fault is ""."""

    fault: str
    strength: float
    precision: str
    seed: int
    steps: int = STEPS

    @property
    def name(self) -> str:
        """Return what its recording is called."""
        what = f"{self.fault}_{self.strength:g}" if self.fault else "healthy"
        return f"{what}_{self.precision}_{self.seed}"

    @property
    def was_tuned_on(self) -> bool:
        """Whether limits or points were chosen by looking at it."""
        if not self.fault:
            return self.name in TUNED_HEALTHY
        return self.fault in TUNED_FAULTS or (self.seed in TUNED_SEEDS and self.fault not in UNSEEN)


def faulty(seed: int, strengths: Mapping[str, tuple[float, ...]]) -> Iterator[Case]:
    """Return the runs with faults of one seed, given the strengths of each; every other seed has an int8 rollout."""
    precision = "int8" if seed % 2 else "bf16"
    for fault in CAUSES:
        for strength in strengths[fault]:
            yield Case(fault, strength, precision, seed)


def recorded_faults() -> list[Case]:
    """Return the runs with faults that there are recordings of."""
    names = sorted(path.stem for path in FOLDER.glob("*.rwz"))
    parts = [name.split("_") for name in names if not name.startswith("healthy")]
    return [Case(fault, float(strength), precision, int(seed)) for fault, strength, precision, seed in parts]


# "async" is bf16, with weights that are one step old at every other step, as many trainers have them
HEALTHY: tuple[Case, ...] = tuple(
    Case("", 0.0, precision, seed, steps)
    for seed, precision, steps in (
        (10, "int8", 2500),
        (10, "bf16", 3500),
        (11, "fp32", 1500),
        (11, "int8", 3500),
        (11, "async", 1000),
    )
)
