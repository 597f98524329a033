"""The small RL run: it learns, its mismatch is real, and each fault shows where it says it does."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from redis import Redis
from tiny_rl import CORRECTION, imitate

import rolloutwatch
from benchmarks.detection.cases import CAUSES
from rolloutwatch import MemorySink
from rolloutwatch_contract import StepRecord, decode
from rolloutwatch_contract.conditions import Truth
from rolloutwatch_contract.default_rules import DEFAULT_RULES
from rolloutwatch_contract.diagnosis.hypotheses import HYPOTHESES
from rolloutwatch_contract.keys import RECORD_FIELD, STREAM_PATTERN
from tests.contract.test_default_rules import judged
from tests.processes import ROOT
from tests.redis_process import RedisProcess
from tiny.faults import FAULTS, HEALTHY, Fault, Moment
from tiny.model import Policy, response_logprobs
from tiny.rollout import PRECISIONS, RolloutEngine, Sampling
from tiny.task import RESPONSE_LENGTH, answers_to, make_prompts, rewards_of


@pytest.fixture(scope="module")
def policy() -> Policy:
    """The base model that a run begins with."""
    torch.manual_seed(0)
    policy = Policy()
    imitate(policy, torch.Generator().manual_seed(0))
    return policy


def measured(policy: Policy, fault: Fault, precision: str = "bf16", updates: int = 0) -> Mapping[str, float]:
    """The figures of one step with a fault; `updates` is how far the policy has gone since the engine was made."""
    generator = torch.Generator().manual_seed(1)
    engine = RolloutEngine(policy, precision)
    newer = Policy()
    newer.load_state_dict(policy.state_dict())
    with torch.no_grad():
        for weight in newer.parameters():
            weight.mul_(1 + 0.02 * updates)
    now = Moment(fault.usual, since=updates)
    fault.sync(engine, newer, now)
    prompts = make_prompts(64, generator)
    rollouts = fault.damage(engine.generate(prompts, fault.sampling(now), generator), generator, now)
    logprobs, entropy = response_logprobs(newer, rollouts.prompts, rollouts.responses)
    sink = MemorySink()
    with rolloutwatch.Monitor(project="tiny", run="fault", config=CORRECTION, sink=sink) as monitor:
        monitor.observe(
            step=0,
            training_logprobs=logprobs.detach(),
            rollout_logprobs=rollouts.logprobs,
            response_mask=rollouts.mask,
            training_entropy=entropy.detach(),
        )
    (record,) = [one for one in sink.records if isinstance(one, StepRecord)]
    return record.metrics


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_a_healthy_rollout_differs_a_little_and_only_a_little(precision: str, policy: Policy) -> None:
    """Another precision is another policy: KL is above 0 and far below any limit."""
    metrics = measured(policy, HEALTHY, precision)
    assert 1e-8 < metrics["mismatch_k3_kl"] < 0.005
    assert 0.99 < metrics["ratio_eff_sample_size"] < 1.0
    assert metrics["mismatch_ppl_ratio"] == pytest.approx(1.0, abs=0.02)


def test_the_same_precision_agrees_to_rounding(policy: Policy) -> None:
    """In fp32 cached generation and one full pass are the same function."""
    assert measured(policy, HEALTHY, "fp32")["logprob_abs_diff_max"] < 1e-3


SIGNS = {
    "stale": lambda m: m["mismatch_k3_kl"] > 0.01,
    "late": lambda m: m["mismatch_k3_kl"] > 0.01,
    "layer": lambda m: m["mismatch_k3_kl"] > 1e-4,
    "scales": lambda m: m["mismatch_k3_kl"] > 0.003,
    "drift": lambda m: m["mismatch_k3_kl"] > 1e-4,
    "cache": lambda m: m["mismatch_k3_kl"] > 0.003,
    "positions": lambda m: m["logprob_abs_diff_last_quarter"] > 3 * m["logprob_abs_diff_first_quarter"],
    "stretched": lambda m: m["logprob_abs_diff_last_quarter"] > 2 * m["logprob_abs_diff_first_quarter"],
    "head": lambda m: m["mismatch_k3_kl"] > 5e-4,
    "temperature": lambda m: m["surprise_gap"] > 0.25 and m["prob_pearson_corr"] > 0.8,
    "cold": lambda m: m["surprise_gap"] < -0.1,
    "coldraw": lambda m: m["surprise_gap"] < -0.1 and m["mismatch_k3_kl"] < 0.005,
    "topk": lambda m: m["mismatch_kl"] > 0.005,
    "topp": lambda m: m["mismatch_kl"] > 10 * m["mismatch_k3_kl"],
    "minp": lambda m: m["mismatch_kl"] > 10 * m["mismatch_k3_kl"],
    "offbyone": lambda m: m["prob_pearson_corr"] < 0.5 and m["mismatch_k3_kl"] > 0.5,
    "retokenised": lambda m: m["logprob_abs_diff_max"] > 2 and m["logprob_abs_diff_mean"] < 0.5,
    "placeholders": lambda m: m["ratio_min"] < 1e-3 and m["logprob_abs_diff_median"] < 0.01,
    "wrongseq": lambda m: m["logprob_abs_diff_max"] > 0.5,
    "rough": lambda m: m["logprob_abs_diff_median"] > 0.01 and abs(m["mismatch_kl"]) < 0.01,
    "zeros": lambda m: m["zero_logprob_fraction"] > 0.02,
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_shows_in_the_figures_and_without_it_they_do_not(name: str, policy: Policy) -> None:
    """What a fault is said to do it does; the healthy run has no such sign."""
    sign = SIGNS[name]
    assert sign(measured(policy, FAULTS[name], updates=5))
    assert not sign(measured(policy, HEALTHY, updates=5))


def test_every_fault_is_called_what_a_diagnosis_can_call_it_and_what_detection_is_measured_by() -> None:
    assert {fault.cause for fault in FAULTS.values()} == {one.name for one in HYPOTHESES}
    assert {name: fault.cause for name, fault in FAULTS.items()} == CAUSES


def test_generation_reports_the_log_probs_it_drew_from(policy: Policy) -> None:
    """Drawn often enough, tokens come as often as their log-probs say."""
    generator = torch.Generator().manual_seed(2)
    engine = RolloutEngine(policy, "fp32")
    prompt = make_prompts(1, generator).repeat(4000, 1)
    drawn = engine.generate(prompt, Sampling(temperature=1.5), generator)
    first, logprobs = drawn.responses[:, 0], drawn.logprobs[:, 0]
    likeliest = int(first.mode().values)
    share = float((first == likeliest).float().mean())
    assert share == pytest.approx(float(logprobs[first == likeliest][0].exp()), abs=0.03)


def test_a_right_answer_is_worth_everything() -> None:
    prompts = make_prompts(16, torch.Generator().manual_seed(3))
    answers = answers_to(prompts)
    assert answers.shape == (16, RESPONSE_LENGTH)
    assert rewards_of(prompts, answers).tolist() == [1.0] * 16
    assert (rewards_of(prompts, answers.roll(1, dims=1)) < 1.0).all()


def test_precisions_and_faults_are_told_to_whoever_asks() -> None:
    command = [sys.executable, "examples/tiny_rl.py", "--list-faults"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    assert [line.split()[0] for line in told.splitlines()] == list(FAULTS)
    assert [line.split()[-1] for line in told.splitlines()] == [fault.cause for fault in FAULTS.values()]
    assert set(PRECISIONS) == {"bf16", "int8", "fp32"}


@pytest.mark.end_to_end
@pytest.mark.redis
def test_a_hundred_steps_teach_it_something(tmp_path: Path) -> None:
    """The reward of the last steps is well above that of the first, with corrected weights in the loss."""
    with RedisProcess(tmp_path) as redis:
        command = [
            sys.executable,
            "examples/tiny_rl.py",
            "--steps",
            "100",
            "--redis-url",
            redis.url,
            "--run",
            "learns",
        ]
        told = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
        ).stdout
        client = Redis.from_url(redis.url, protocol=2)
        key = next(iter(client.scan_iter(STREAM_PATTERN)))
        frames = [fields[RECORD_FIELD] for _, fields in client.xrange(key)]
    assert "Training run tiny-rl~learns" in told
    records = [record for frame in frames if isinstance(record := decode(frame), StepRecord)]
    rewards = [record.metrics["reward"] for record in records if "reward" in record.metrics]
    assert len(rewards) == 100
    assert sum(rewards[-20:]) / 20 > sum(rewards[:20]) / 20 + 0.05


@pytest.mark.parametrize("precision", PRECISIONS)
def test_missing_log_probs_are_named_as_what_they_are(policy: Policy, precision: str) -> None:
    """One in twenty is enough, and nothing else that is wrong is taken for it."""
    (rule,) = (one for one in DEFAULT_RULES if one.name == "missing_logprobs")
    named = {
        name
        for name, fault in {**FAULTS, "nothing": HEALTHY}.items()
        for updates in (0, 30)
        if judged(rule.when, measured(policy, fault, precision, updates)) is Truth.TRUE
    }
    assert named == {"zeros"}
