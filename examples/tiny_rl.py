"""Reinforcement learning small enough for one core, watched by Rolloutwatch.

A transformer learns to sort eight digits by GRPO.
As in a real setup one engine generates (a bf16 copy with its own sampler and log-probs) and another trains (fp32),
and the two do not quite agree. The lines marked with >>> are all that a trainer needs to see how much.

    python examples/tiny_rl.py                        # against a running `rolloutwatch serve`
    python examples/tiny_rl.py --fault stale          # from step 150 on the weights are not synced for 100 steps
    python examples/tiny_rl.py --list-faults          # what can be broken, and what a diagnosis calls it
"""

import argparse
import itertools
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

import torch
from torch import Tensor

import rolloutwatch  # >>>
from tiny.faults import FAULTS, HEALTHY, Fault, Moment
from tiny.model import Policy, response_logprobs
from tiny.rollout import PRECISIONS, RolloutEngine, Rollouts
from tiny.task import VOCABULARY, answers_to, make_prompts, rewards_of

GROUP = 8  # responses to the same prompt, compared with each other
LEARNING_RATE = 1e-3
CORRECTION = {"rollout_is": "token", "rollout_is_threshold": 2.0, "rollout_token_veto_threshold": 1e-4}


def main() -> int:
    """Train; returns the exit code."""
    args = parse_arguments()
    if args.list_faults:
        for name, fault in FAULTS.items():
            print(f"{name:<12} {fault.what}; look for: {fault.look_for}; it is called {fault.cause}")
        return 0
    monitor = rolloutwatch.Monitor(  # >>>
        project=args.project, run=args.run, config=CORRECTION, redis_url=args.redis_url
    )
    print(
        f"Training run {monitor.run_id}: {args.sequences} sequences a step, rollout in {args.rollout}",
        flush=True,
    )
    train(args, monitor, stop_on_signals())
    monitor.close()  # >>>
    return 0


def train(args: argparse.Namespace, monitor: rolloutwatch.Monitor, stopping: Sequence[int]) -> None:
    """Train until all steps are done, or someone asks to stop."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(args.seed)
    torch.manual_seed(args.seed)

    policy = Policy()
    imitate(policy, generator)
    engine = RolloutEngine(policy, args.rollout)
    optimizer = torch.optim.Adam(policy.parameters(), lr=LEARNING_RATE)

    began = time.monotonic()
    for step in itertools.count() if args.steps == 0 else range(args.steps):
        if stopping:
            break
        (fault, now), version = fault_at(step, args), engine.version
        fault.sync(engine, policy, now)
        if engine.version != version:
            monitor.mark("weight_sync", step, version=engine.version)  # >>>
        prompts = make_prompts(args.sequences // GROUP, generator).repeat_interleave(GROUP, dim=0)
        rollouts = engine.generate(prompts, fault.sampling(now), generator)
        rollouts = fault.damage(rollouts, generator, now)
        rewards = rewards_of(rollouts.prompts, rollouts.responses)

        training_logprobs, entropy = response_logprobs(policy, rollouts.prompts, rollouts.responses)
        correction = monitor.correct(  # >>>
            step=step,
            training_logprobs=training_logprobs,
            rollout_logprobs=rollouts.logprobs,
            response_mask=rollouts.mask,
            training_entropy=entropy,
        )
        loss = policy_loss(training_logprobs, rewards, correction)
        optimizer.zero_grad()
        loss.backward()
        grad_norm = torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()

        monitor.log(step, scalars(rollouts, rewards, loss, grad_norm, entropy))  # >>>
        if step % 20 == 0:
            print(
                f"step {step:5}  reward {rewards.mean():.3f}  {(step + 1) / (time.monotonic() - began):4.1f} steps/s",
                flush=True,
            )
        if args.pace:
            time.sleep(max(0.0, began + (step + 1) / args.pace - time.monotonic()))


def policy_loss(logprobs: Tensor, rewards: Tensor, correction: rolloutwatch.Correction) -> Tensor:
    """GRPO: better than the group's mean is good. Weights and mask are those of the correction."""
    assert correction.weights is not None, "CORRECTION asks for weights"
    grouped = rewards.view(-1, GROUP)
    advantage = (
        (grouped - grouped.mean(dim=1, keepdim=True)) / (grouped.std(dim=1, keepdim=True) + 1e-4)
    ).view(-1, 1)
    # one update for each batch: the ratio to the policy that is trained is 1, and its gradient is that of the log-prob
    per_token: Tensor = -advantage * (logprobs - logprobs.detach()).exp() * correction.weights
    mask: Tensor = correction.response_mask
    return (per_token * mask).sum() / mask.sum().clamp(min=1)


def scalars(
    rollouts: Rollouts, rewards: Tensor, loss: Tensor, grad_norm: Tensor, entropy: Tensor
) -> dict[str, Tensor]:
    """Return what else one wants to see beside the mismatch."""
    mask = rollouts.mask
    return {
        "reward": rewards.mean(),
        "exact_match": (rewards == 1).float().mean(),
        "entropy": (entropy.detach() * mask).sum() / mask.sum(),
        "loss": loss.detach(),
        "grad_norm": grad_norm,
        "response_length": mask.sum(dim=1).float().mean(),
    }


def imitate(policy: Policy, generator: torch.Generator, steps: int = 60) -> None:
    """Make the base model: it has seen answers, one digit in five of them wrong."""
    optimizer = torch.optim.Adam(policy.parameters(), lr=3e-3)
    for _ in range(steps):
        prompts = make_prompts(128, generator)
        answers = answers_to(prompts)
        wrong = torch.rand(answers.shape, generator=generator) < 0.2
        noise = torch.randint(0, min(10, VOCABULARY), answers.shape, generator=generator)
        shown = torch.where(wrong, noise, answers)
        logprobs, _ = response_logprobs(policy, prompts, shown)
        optimizer.zero_grad()
        (-logprobs.mean()).backward()
        optimizer.step()


def fault_at(step: int, args: argparse.Namespace) -> tuple[Fault, Moment]:
    """Return what is wrong at a step, how much, and since how many steps."""
    since = step - args.fault_from
    if args.fault is None or not 0 <= since < args.fault_steps:
        return HEALTHY, Moment()
    fault = FAULTS[args.fault]
    return fault, Moment(fault.usual if args.fault_strength is None else args.fault_strength, since)


def stop_on_signals() -> list[int]:
    """Return a list that has an element as soon as someone asked the run to end."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, remember)
    return received


def parse_arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--steps", type=int, default=500, help="training steps, 0 = until stopped (default: %(default)s)"
    )
    parser.add_argument(
        "--sequences", type=int, default=64, help="responses a step, a multiple of 8 (default: %(default)s)"
    )
    parser.add_argument(
        "--rollout",
        choices=PRECISIONS,
        default="bf16",
        help="precision of the rollout (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--project", default="tiny-rl")
    parser.add_argument("--run", help="name of the run; made from date and time if left out")
    parser.add_argument(
        "--redis-url", help="where to push to; ROLLOUTWATCH_REDIS_URL or this host's Redis if left out"
    )
    parser.add_argument("--fault", choices=FAULTS, help="break something on purpose")
    parser.add_argument(
        "--fault-strength", type=float, metavar="X", help="how much; what that is depends on the fault"
    )
    parser.add_argument(
        "--fault-from", type=int, default=150, metavar="STEP", help="first faulty step (default: %(default)s)"
    )
    parser.add_argument(
        "--fault-steps", type=int, default=100, metavar="N", help="for how many steps (default: %(default)s)"
    )
    parser.add_argument("--pace", type=float, default=0.0, metavar="N", help="at most N steps a second")
    parser.add_argument("--list-faults", action="store_true", help="tell what can be broken, and end")
    args = parser.parse_args(given)
    if args.sequences < GROUP or args.sequences % GROUP:
        parser.error(f"--sequences is {args.sequences}: expected a multiple of {GROUP}")
    return args


if __name__ == "__main__":
    sys.exit(main())
