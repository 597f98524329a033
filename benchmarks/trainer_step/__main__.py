"""What a step costs the trainer's thread: the correction alone, and what the monitor adds to it.

    python -m benchmarks.trainer_step

The monitor is measured with a sink that takes everything, and with a Redis that is not there.
"""

import logging

import torch

import rolloutwatch
from benchmarks.measure import interleaved, tell, where
from rolloutwatch_correction import CorrectionConfig, correct

SHAPES = ((64, 512), (256, 2048))
CONFIG = {"rollout_is": "token", "rollout_is_threshold": 2.0, "rollout_token_veto_threshold": 1e-4}
NOBODY = "redis://127.0.0.1:9/0"
ROUNDS = 30


def main() -> None:
    """Measure and print."""
    logging.getLogger("rolloutwatch").setLevel(logging.ERROR)
    torch.set_num_threads(1)
    print(where(), f"torch {torch.__version__} on the CPU, one thread", sep=", ")
    for batch, length in SHAPES:
        measure(batch, length)


def measure(batch: int, length: int) -> None:
    """Measure one shape."""
    torch.manual_seed(0)
    training = -torch.rand(batch, length)
    rollout = training + 0.01 * torch.randn(batch, length)
    mask = torch.ones(batch, length)
    config = CorrectionConfig.from_mapping(CONFIG)
    heard = rolloutwatch.Monitor(project="bench", config=CONFIG, sink=rolloutwatch.MemorySink())
    unheard = rolloutwatch.Monitor(project="bench", config=CONFIG, redis_url=NOBODY)

    def through(monitor: rolloutwatch.Monitor) -> None:
        monitor.correct(step=0, training_logprobs=training, rollout_logprobs=rollout, response_mask=mask)

    medians = interleaved(
        {
            "ratio = exp(training - rollout), for scale": lambda: (training - rollout).exp() * mask,
            "correct(): weights, veto, 53 metrics' sums": lambda: correct(training, rollout, mask, config),
            "Monitor.correct(), a sink that takes all": lambda: through(heard),
            "Monitor.correct(), no Redis": lambda: through(unheard),
            "Monitor.log() of two scalars": lambda: heard.log(0, {"reward": 1.0, "loss": 0.5}),
        },
        ROUNDS,
    )
    tell(f"{batch} sequences of {length} tokens", medians)
    heard.close()
    unheard.close(timeout=0)


if __name__ == "__main__":
    main()
