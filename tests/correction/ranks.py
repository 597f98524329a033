"""What each rank does in the tests of `test_distributed`; it runs in a process of its own.

Axes: B sequences.
"""

import warnings
from typing import Any

import torch
from torch import distributed as dist

from rolloutwatch_correction import Groups, Metrics, all_reduce_statistics, correct
from tests.correction.families import FAMILIES, entropy_of, sample
from tests.ranks import BOUNDED, Collectives

WORLD = 4
# where the sequences of the batch of nine are cut; the last two have no valid token
CUTS = {
    "two ranks": (0, 3, 9),
    "two ranks, one without sequences": (0, 0, 9),
    "four ranks, without sequences and without valid tokens": (0, 5, 5, 7, 9),
    "four ranks, all of it on one": (0, 0, 0, 9, 9),
}
OTHER_NAMES = (("math", "code", "chat"), ("math", "chat", "code"))


def take_part(rank: int) -> dict[str, Any]:
    """Do every case with the other ranks, and return what came of it on this one."""
    pair = dist.new_group([0, 1], timeout=BOUNDED)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        outcomes: dict[str, Any] = {}
        for case, cuts in CUTS.items():
            ranks = len(cuts) - 1
            if rank < ranks:
                rows = slice(*cuts[rank : rank + 2])
                outcomes[case] = {
                    name: part_of(name, rows, None if ranks == WORLD else pair) for name in FAMILIES
                }
        if rank < 2:
            outcomes["other names"] = refusal(rank, pair)
            outcomes["labels alone"] = refusal_of_labels(pair)
            outcomes["other sums"] = refusal_of_other_sums(rank, pair)
    outcomes["warnings"] = [str(warning.message) for warning in said]
    return outcomes


def part_of(name: str, rows: slice, process_group: Any) -> dict[str, Any]:
    """Correct some of the sequences, and make figures of all."""
    config, whole = FAMILIES[name], sample()
    b, entropy = whole.rows(rows), entropy_of(whole)[rows]
    with Collectives() as before:
        correction = correct(
            *b.tensors, config, groups=b.groups, training_entropy=entropy,
            process_group=dist.group.WORLD if process_group is None else process_group,
        )  # fmt: skip
    with Collectives() as within:
        statistics = all_reduce_statistics(correction.statistics, process_group)
    return {
        "metrics": Metrics(statistics, config).as_dict(),
        "vector": statistics.vector,
        "by_group": statistics.by_group,
        "weights": correction.weights,
        "response_mask": correction.response_mask,
        "collectives of correct": before.names,
        "collectives of all_reduce_statistics": within.names,
    }


def refusal_of_other_sums(rank: int, process_group: Any) -> str:
    """Return what is said where one rank has groups and the other none, and so fewer numbers."""
    logprobs = torch.zeros(2, 1)
    groups = Groups.of(["math", "code"], names=("math", "code")) if rank else None
    statistics = correct(logprobs, logprobs, logprobs + 1, groups=groups).statistics
    try:
        all_reduce_statistics(statistics, process_group)
    except ValueError as error:
        return str(error)
    return "nothing"


def refusal_of_labels(process_group: Any) -> str:
    """Return what is said of groups that nobody named beyond those of one batch."""
    logprobs = torch.zeros(2, 1)
    statistics = correct(logprobs, logprobs, logprobs + 1, groups=Groups.of(["math", "code"])).statistics
    try:
        all_reduce_statistics(statistics, process_group)
    except ValueError as error:
        return str(error)
    return "nothing"


def refusal(rank: int, process_group: Any) -> str:
    """Return what is said where ranks name as many groups, but not the same."""
    b = sample()
    statistics = correct(*b.tensors, groups=Groups(b.groups.ids, OTHER_NAMES[rank])).statistics  # type: ignore[union-attr]
    try:
        all_reduce_statistics(statistics, process_group)
    except ValueError as error:
        return str(error)
    return "nothing"
