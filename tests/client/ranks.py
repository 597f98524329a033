"""What each rank does in the tests of `test_ranks`; it runs in a process of its own.

Axes: B sequences, T response tokens.
"""

import datetime
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from rolloutwatch import CorrectionConfig, MemorySink, Monitor, TokenCapture
from rolloutwatch_correction import correct
from tests.correction.batches import Batch
from tests.correction.families import FAMILIES, entropy_of, sample
from tests.correction.test_no_sync import NoReadback
from tests.ranks import BOUNDED, Collectives

WORLD = 4
NAMES = ("observe", "token", "token normalized", "sequence masked, normalized", "geometric", "everything")
GROUPS = ("math", "code", "chat")
STEP = 5
MANY = 5000  # sequences, more than a record has rows
LONG = 40  # tokens of the responses whose tokens are looked at

# where the sequences of the batch of nine are cut; the last two have no valid token
CUTS = {
    "two ranks": (0, 3, 9),
    "two ranks, one without sequences": (0, 0, 9),
    "four ranks, uneven": (0, 1, 6, 7, 9),
    "four ranks, without sequences and without valid tokens": (0, 5, 5, 7, 9),
    "four ranks, all of it on one": (0, 0, 0, 9, 9),
}


def take_part(rank: int) -> dict[str, Any]:
    """Do every case with the other ranks, and return what came of it on this one."""
    pair = dist.new_group([0, 1], timeout=BOUNDED)
    everyone = dist.group.WORLD
    outcomes: dict[str, Any] = {}
    for case, cuts in CUTS.items():
        ranks = len(cuts) - 1
        if rank < ranks:
            rows = slice(*cuts[rank : rank + 2])
            group = everyone if ranks == WORLD else pair
            outcomes[case] = {name: part_of(FAMILIES[name], rows, group) for name in NAMES}
    for case, misfortune in MISFORTUNES.items():
        outcomes[case] = unfortunate(misfortune, rank)
    for case, arguments in DISAGREEMENTS.items():
        outcomes[case] = refusal(arguments[rank], everyone)
    if rank < 2:
        outcomes["many"] = many(rank, pair)
        outcomes["more vetoed than there is room for"] = too_many_vetoed(rank, pair)
        outcomes["tokens"] = tokens(rank, pair)
        outcomes["a peer"] = part_of(FAMILIES["token"], slice(0, 9), pair, push=False)
    for case, (rows, vetoed) in VETOED_AT.items():
        outcomes[case] = vetoed_at(rank, rows, vetoed)
    outcomes["not a member"] = refusal({}, pair)
    outcomes["silent"] = silent(rank)
    outcomes["gone"] = gone(rank)
    return outcomes


def numbers(b: Batch) -> Tensor:
    """Sample ids that neither float32 nor float64 can tell apart."""
    return 2**60 + torch.arange(len(b.mask))


def arguments_of(b: Batch) -> dict[str, Any]:
    """What `correct` and `observe` take, all of it."""
    return {
        "training_logprobs": b.training,
        "rollout_logprobs": b.rollout,
        "response_mask": b.mask,
        "groups": b.groups,
    }


def part(rows: slice) -> dict[str, Any]:
    """The same for some of the sequences of the batch of nine."""
    whole = sample()
    more = {"training_entropy": entropy_of(whole)[rows], "sample_ids": numbers(whole)[rows]}
    return arguments_of(whole.rows(rows)) | more


def built(sink: MemorySink, config: CorrectionConfig, process_group: Any, **more: Any) -> Monitor:
    return Monitor(
        project="math", run="grpo", config=config, sink=sink, process_group=process_group,
        **{"group_names": GROUPS} | more,
    )  # fmt: skip


def part_of(config: CorrectionConfig, rows: slice, process_group: Any, **more: Any) -> dict[str, Any]:
    """Correct some of the sequences, with every way to wait for a device forbidden."""
    sink, arguments = MemorySink(), part(rows)
    with built(sink, config, process_group, **more) as monitor:
        with Collectives() as within, NoReadback():
            correction = monitor.correct(step=STEP, **arguments)
        with Collectives() as without:
            monitor.log(STEP, {"reward": 1.0})
            monitor.mark("checkpoint")
    return {
        "records": sink.records,
        "weights": correction.weights,
        "response_mask": correction.response_mask,
        "collectives": within.names,
        "collectives of log and mark": without.names,
    }


def _goes_on(monitor: Monitor) -> Any:
    return monitor.correct(step=STEP, **part(own_rows(dist.get_rank())))


# what a rank meets instead of its part of the batch, by rank; the others go on
def _raises(monitor: Monitor) -> Any:
    return monitor.correct(
        step=STEP, **part(own_rows(dist.get_rank())) | {"rollout_logprobs": torch.zeros(2, 5)}
    )


def _observes_nonsense(monitor: Monitor) -> Any:
    return monitor.observe(step=STEP, **part(own_rows(dist.get_rank())) | {"rollout_logprobs": "none"})  # type: ignore[arg-type]


def _records_another(monitor: Monitor) -> Any:
    b = sample().rows(slice(2, 4))
    return monitor.record(STEP, correct(*b.tensors, CorrectionConfig(rollout_is="geometric")))


def _records_nothing(monitor: Monitor) -> Any:
    return monitor.record(STEP, None)  # type: ignore[arg-type]


def _has_no_step(monitor: Monitor) -> Any:
    return monitor.correct(step="five", **part(own_rows(dist.get_rank())))  # type: ignore[arg-type]


def _is_elsewhere(monitor: Monitor) -> Any:
    return monitor.correct(step=STEP + 1, **part(own_rows(dist.get_rank())))


def nan_rows() -> dict[str, Any]:
    """Two sequences without a number."""
    given = part(slice(2, 4))
    return given | {"training_logprobs": torch.full_like(given["training_logprobs"], torch.nan)}


def _has_nothing_but_nan(monitor: Monitor) -> Any:
    return monitor.correct(step=STEP, **nan_rows())


def _has_other_groups(monitor: Monitor) -> Any:
    return monitor.correct(step=STEP, **part(own_rows(dist.get_rank())) | {"groups": ["math", "music"]})


def _has_labels(monitor: Monitor) -> Any:
    return monitor.correct(step=STEP, **part(own_rows(dist.get_rank())) | {"groups": ["code", "code"]})


def _logs_nonsense(monitor: Monitor) -> Any:
    monitor.log(STEP, {"reward": "high"})
    return monitor.correct(step=STEP, **part(own_rows(dist.get_rank())))


OPTIONAL = ("training_entropy", "sample_ids", "groups")


def _gives_more(monitor: Monitor) -> Any:
    return monitor.correct(step=STEP, **part(own_rows(dist.get_rank())))


def _gives_no_more(monitor: Monitor) -> Any:
    given = part(own_rows(dist.get_rank()))
    return monitor.correct(step=STEP, **{name: given[name] for name in given if name not in OPTIONAL})


class Unshown:
    def __repr__(self) -> str:
        raise RuntimeError("not today")


class Nothing:
    @property
    def __class__(self) -> Any:
        raise RuntimeError("not today")

    @__class__.setter
    def __class__(self, other: Any) -> None: ...


def _at(step: Any) -> Callable[[Monitor], Any]:
    return lambda monitor: monitor.observe(step=step, **part(own_rows(dist.get_rank())))


MISFORTUNES: dict[str, dict[int, Callable[[Monitor], Any]]] = {
    "a rank raises": {1: _raises},
    "the rank that pushes raises": {0: _raises},
    "all ranks raise": dict.fromkeys(range(WORLD), _raises),
    "a rank observes nonsense": {1: _observes_nonsense},
    "a rank records another correction": {1: _records_another},
    "a rank records nothing": {2: _records_nothing},
    "a rank has no step": {1: _has_no_step},
    "the rank that pushes has no step": {0: _has_no_step},
    "a rank is elsewhere": {3: _is_elsewhere},
    "a rank has nothing but NaN": {1: _has_nothing_but_nan},
    "a rank has undeclared labels": {1: _has_other_groups},
    "a rank has labels": {1: _has_labels},
    "a rank logs nonsense": {2: _logs_nonsense},
    "given by one rank alone": {0: _gives_more} | dict.fromkeys(range(1, WORLD), _gives_no_more),
    "a huge step": {1: _at(10**5000)},
    "a step that cannot be shown": {1: _at(Unshown())},
    "a step that says it is nothing": {1: _at(Nothing())},
}


def own_rows(rank: int) -> slice:
    return slice(2 * rank, 2 * rank + 2)


def unfortunate(misfortune: dict[int, Callable[[Monitor], Any]], rank: int) -> dict[str, Any]:
    """Meet a misfortune in one step, and have none in the next."""
    sink, said, correction = MemorySink(), "", None
    with built(sink, FAMILIES["token normalized"], dist.group.WORLD) as monitor:
        try:
            correction = misfortune.get(rank, _goes_on)(monitor)
        except ValueError as error:
            said = str(error)
        monitor.correct(step=STEP + 5, **part(own_rows(rank)))
        dropped = monitor.health().dropped
    weights = None if correction is None else correction.weights
    return {"records": sink.records, "said": said, "weights": weights, "dropped": dropped}


DISAGREEMENTS: dict[str, list[dict[str, Any]]] = {
    "other configurations": [{"config": {"rollout_is": "token"}}] * 3 + [{"config": {"rollout_is": "geometric"}}],
    "other groups": [{"group_names": GROUPS}, {"group_names": GROUPS[::-1]}, {}, {}],
    "other projects": [{}, {"project": "code"}, {}, {}],
    "tokens here and none there": [{"tokens": TokenCapture(str)}, {}, {}, {}],
    "one that does not push": [{}, {}, {"push": False}, {}],
    "a configuration that cannot be": [{}, {}, {"config": {"rollout_is": "batch"}}, {}],
    "a url that cannot be": [{"sink": None, "redis_url": "nonsense"}, {}, {}, {}],
}  # fmt: skip


def refusal(arguments: dict[str, Any], process_group: Any) -> str:
    """Return what is said where a monitor cannot be built."""
    usual = {"project": "math", "run": "grpo", "sink": MemorySink(), "process_group": process_group}
    try:
        Monitor(**usual | arguments).close()
    except ValueError as error:
        return str(error)
    return "nothing"


def crowd() -> Batch:
    """More sequences than a record has rows, some of which are vetoed."""
    random = torch.Generator().manual_seed(3)
    rollout_BT = -torch.rand((MANY, 3), generator=random, dtype=torch.float64)
    training_BT = rollout_BT + 0.3 * torch.randn((MANY, 3), generator=random, dtype=torch.float64)
    vetoed_B = torch.rand(MANY, generator=random) < 0.1
    training_BT[:, 1] -= 4.0 * vetoed_B  # which is less of K3 than a ratio of e^2 has
    return Batch(training_BT, rollout_BT, torch.ones(MANY, 3))


VETO = CorrectionConfig(rollout_token_veto_threshold=0.05)


def many(rank: int, process_group: Any) -> Any:
    """Observe a crowd of which one rank has but ten."""
    sink, b = MemorySink(), crowd().rows(slice(0, 10) if rank == 0 else slice(10, MANY))
    with built(sink, VETO, process_group, group_names=None) as monitor:
        monitor.observe(step=STEP, **arguments_of(b))
    return sink.records


# how many sequences four ranks have, unevenly, and which of them are vetoed
VETOED_AT = {
    "vetoed in the midst": (6000, (2000, 3800)),
    "all vetoed on the last rank": (6000, (4200, 6000)),
}


def flawed(rows: int, vetoed: tuple[int, int]) -> Batch:
    """Sequences of which some are vetoed, and the last one of these is the worst of all."""
    rollout_BT = -torch.ones(rows, 2, dtype=torch.float64)
    training_BT = rollout_BT.clone()
    training_BT[:, 0] += torch.linspace(0.1, 2.0, rows)  # most of the mismatch is where no veto is
    training_BT[slice(*vetoed), 1] -= 4.0
    training_BT[vetoed[1] - 1, 0] += 4.0
    return Batch(training_BT, rollout_BT, torch.ones(rows, 2))


def vetoed_at(rank: int, rows: int, vetoed: tuple[int, int]) -> Any:
    """Observe sequences that four ranks have a part of; the last one has nearly all of the second half."""
    cuts = (0, 1500, 3000, vetoed[0] + 100 if vetoed[0] > 3000 else 4500, rows)
    own, sink, b = slice(*cuts[rank : rank + 2]), MemorySink(), flawed(rows, vetoed)
    ids, numbers = 2**60 + torch.arange(rows), torch.arange(rows)[:, None].expand(rows, 2)
    capture = TokenCapture(word, sequences=1)
    with built(sink, VETO, dist.group.WORLD, group_names=None, tokens=capture) as monitor:
        monitor.observe(step=STEP, **arguments_of(b.rows(own)), sample_ids=ids[own], token_ids=numbers[own])
    return sink.records


def too_many_vetoed(rank: int, process_group: Any) -> Any:
    """Observe 4996 vetoed sequences and four others."""
    sink, b = MemorySink(), flawed(MANY, (4, MANY))
    with built(sink, VETO, process_group, group_names=None) as monitor:
        monitor.observe(step=STEP, **arguments_of(b.rows(slice(0, 1000) if rank == 0 else slice(1000, MANY))))
    return sink.records


def long() -> Batch:
    """Six responses, the fourth of which has a catastrophic token and the last of which is the worst of the others."""
    rollout_BT = -torch.ones(6, LONG, dtype=torch.float64)
    training_BT = rollout_BT.clone()
    training_BT[3, 7] -= 5.0
    training_BT[5, 30] += 0.9
    training_BT[1, 3] += 0.5
    mask_BT = torch.arange(LONG)[None, :] < torch.tensor([10, 20, 30, 12, 40, 35])[:, None]
    mask_BT[5, 2] = False
    return Batch(training_BT, rollout_BT, mask_BT)


def tokens(rank: int, process_group: Any) -> Any:
    """Have the tokens of the worst two sequences of six sent along."""
    sink, rows = MemorySink(), slice(0, 4) if rank == 0 else slice(4, 6)
    capture = TokenCapture(word, sequences=2)
    with built(sink, VETO, process_group, group_names=None, tokens=capture) as monitor:
        ids = torch.arange(6 * LONG).view(6, LONG)
        with Collectives() as within, NoReadback():
            monitor.observe(step=STEP, **arguments_of(long().rows(rows)), token_ids=ids[rows])
    return {"records": sink.records, "collectives": within.names}


def word(number: int) -> str:
    return f"<{number}>"


def silent(rank: int) -> dict[str, Any]:
    """Return how it is on a rank, and what it has started."""
    with Monitor(project="math", sink=MemorySink(), process_group=dist.group.WORLD) as monitor:
        threads = [thread.name for thread in threading.enumerate() if "rolloutwatch" in thread.name]
        flushed = monitor.flush(5)
        return {
            "run_id": monitor.run_id, "threads": threads, "state": monitor.health().state, "flushed": flushed,
        }  # fmt: skip


def gone(rank: int) -> dict[str, Any]:
    """Go on without the last rank, which takes part no more."""
    sink, weights, said = MemorySink(), [], ""
    impatient = [dist.new_group(timeout=datetime.timedelta(seconds=1)) for _ in range(2)]
    with (
        built(sink, FAMILIES["token"], impatient[0]) as plain,
        built(MemorySink(), FAMILIES["token normalized"], impatient[1]) as dividing,
    ):
        if rank < WORLD - 1:
            weights = [plain.correct(step=step, **part(own_rows(rank))).weights for step in range(3)]
            try:
                dividing.correct(step=0, **part(own_rows(rank)))
            except RuntimeError as error:
                said = str(error)
        dropped = plain.health().dropped
        dist.barrier()
    return {"weights": weights, "said": said, "dropped": dropped, "records": sink.records}
