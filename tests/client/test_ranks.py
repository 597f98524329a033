"""Ranks that share a batch push the record of the whole batch, whatever happens to one of them."""

import math
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from rolloutwatch import MemorySink, Monitor, TokenCapture
from rolloutwatch_contract import Mark, Record, RunStart, StepRecord
from rolloutwatch_contract.record import MAX_SEQUENCES
from rolloutwatch_contract.tables import SEQUENCE_COLUMNS
from rolloutwatch_correction import Correction
from tests.client.batches import steps
from tests.client.ranks import (
    CUTS,
    DISAGREEMENTS,
    GROUPS,
    LONG,
    MANY,
    NAMES,
    OPTIONAL,
    STEP,
    VETO,
    VETOED_AT,
    WORLD,
    arguments_of,
    built,
    crowd,
    long,
    nan_rows,
    own_rows,
    part,
    take_part,
    word,
)
from tests.correction.families import FAMILIES, sample
from tests.ranks import needs_ranks, outcomes_of

pytestmark = needs_ranks

Outcomes = list[dict[str, Any]]


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Four processes, once for all tests here."""
    return outcomes_of(take_part, WORLD, tmp_path_factory.mktemp("ranks"))


def alone(name: str, arguments: dict[str, Any]) -> tuple[StepRecord, Correction]:
    """Record and correction of a batch that one process has."""
    sink = MemorySink()
    with built(sink, FAMILIES[name], None) as monitor:
        correction = monitor.correct(step=STEP, **arguments)
    (record,) = steps(sink.records)
    return record, correction


@cache
def whole(name: str) -> tuple[StepRecord, Correction]:
    return alone(name, part(slice(0, 9)))


def without(name: str, missing: slice) -> StepRecord:
    """The record of the first eight sequences without two of them."""
    arguments = part(slice(0, 8))
    kept = [row for row in range(8) if row not in range(8)[missing]]
    groups = arguments.pop("groups")
    arguments = {name: tensor[kept] for name, tensor in arguments.items()}
    return alone(name, arguments | {"groups": type(groups)(groups.ids[kept], groups.names)})[0]


def parts(outcomes: Outcomes, case: str, name: str) -> Outcomes:
    return [outcomes[rank][case][name] for rank in range(len(CUTS[case]) - 1)]


def record_of(records: list[Record], step: int = STEP) -> StepRecord:
    """The one record of a step that was measured."""
    (record,) = [record for record in steps(records) if record.step == step and record.sequences]
    return record


def same(record: StepRecord, expected: StepRecord) -> bool:
    """Tell whether figures are the same to twelve digits, and tables to the last bit."""
    assert record.metrics == pytest.approx(expected.metrics, rel=1e-12, abs=0, nan_ok=True)
    for name in ("histogram", "sample_ids", "sequences", "groups"):
        assert getattr(record, name) == getattr(expected, name), name
    return True


@pytest.mark.parametrize("case", CUTS)
@pytest.mark.parametrize("name", NAMES)
def test_ranks_push_the_record_of_the_whole_batch(outcomes: Outcomes, case: str, name: str) -> None:
    """Once, with figures of groups, and rows in the order of ranks with numbers of samples that no float can hold."""
    first, *others = parts(outcomes, case, name)
    record = record_of(first["records"])
    assert same(record, whole(name)[0])
    assert record.dropped == {}
    assert record.sample_ids is not None
    assert record.sample_ids.numpy().tolist() == [2**60 + row for row in range(9)]
    assert record.groups == GROUPS
    assert all(other["records"] == [] for other in others)


@pytest.mark.parametrize("case", CUTS)
@pytest.mark.parametrize("name", NAMES)
def test_ranks_have_the_weights_of_the_whole_batch(outcomes: Outcomes, case: str, name: str) -> None:
    """Also where they are divided by their mean over all ranks, which comes with the figures."""
    together, expected = parts(outcomes, case, name), whole(name)[1]
    assert torch.equal(torch.cat([part["response_mask"] for part in together]), expected.response_mask)
    assert {part["weights"] is None for part in together} == {expected.weights is None}
    if expected.weights is not None:
        weights = torch.cat([part["weights"] for part in together])
        torch.testing.assert_close(weights, expected.weights, rtol=1e-12, atol=0)


@pytest.mark.parametrize("case", CUTS)
def test_one_collective_a_step_is_all_it_takes(outcomes: Outcomes, case: str) -> None:
    """Whatever is asked for; and none to log or to mark."""
    for name in NAMES:
        for part_of_rank in parts(outcomes, case, name):
            assert len(part_of_rank["collectives"]) == 1
            assert part_of_rank["collectives of log and mark"] == []


def test_the_first_rank_speaks_for_all(outcomes: Outcomes) -> None:
    """It alone has threads and pushes what is logged and marked; all know what the run is called."""
    start, *rest = outcomes[0]["four ranks, uneven"]["token"]["records"]
    assert isinstance(start, RunStart)
    assert [record.metrics for record in steps(rest)[1:]] == [{"reward": 1.0}]
    assert [record.kind for record in rest if isinstance(record, Mark)] == ["checkpoint"]
    told = [outcome["silent"] for outcome in outcomes]
    assert len({each["run_id"] for each in told}) == 1
    assert [bool(each["threads"]) for each in told] == [True, False, False, False]
    assert [each["state"] for each in told[1:]] == ["silent"] * 3
    assert all(each["flushed"] for each in told)


def test_a_group_whose_tokens_another_one_pushes_says_nothing(outcomes: Outcomes) -> None:
    """Peers of tensor parallelism have the same tokens: they need the weights, and one of them pushes."""
    for rank in range(2):
        assert outcomes[rank]["a peer"]["records"] == []
        assert torch.equal(outcomes[rank]["a peer"]["weights"], whole("token")[1].weights)


MISSING = {
    "a rank raises": (1, {"not_corrected": 1}),
    "the rank that pushes raises": (0, {"not_corrected": 1}),
    "a rank observes nonsense": (1, {"not_measured": 1}),
    "a rank records another correction": (1, {"not_measured": 1}),
    "a rank records nothing": (2, {}),
    "a rank has no step": (1, {"bad_step": 1}),
    "a rank is elsewhere": (3, {"not_measured": 1}),
}


@pytest.mark.parametrize("case", MISSING)
def test_a_rank_that_fails_takes_part_and_is_missing(outcomes: Outcomes, case: str) -> None:
    """Nobody waits for it: the others have their figures, the record tells what is missing, and the next step is whole."""
    rank, dropped = MISSING[case]
    record = record_of(outcomes[0][case]["records"])
    assert same(record, without("token normalized", own_rows(rank)))
    assert record.dropped == dropped
    after = record_of(outcomes[0][case]["records"], STEP + 5)
    assert same(after, alone("token normalized", part(slice(0, 8)))[0])
    assert after.dropped == dropped, "what was counted once is not counted again"


def test_the_rank_that_fails_is_told_and_the_others_train_on(outcomes: Outcomes) -> None:
    """With weights that are divided by the mean over those that could be measured."""
    said = [outcome["a rank raises"]["said"] for outcome in outcomes]
    assert said[0] == said[2] == said[3] == ""
    assert said[1].startswith("rollout_logprobs has shape (2, 5) but training_logprobs has (2, 12)")
    b = sample().rows([0, 1, 4, 5, 6, 7])
    weights = torch.cat([outcomes[rank]["a rank raises"]["weights"] for rank in (0, 2, 3)])
    torch.testing.assert_close(weights, b.weights(FAMILIES["token normalized"]), rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    "case", ["a rank has no step", "the rank that pushes has no step", "a rank is elsewhere"]
)
def test_a_rank_that_counts_otherwise_has_the_weights_of_the_whole_batch(
    outcomes: Outcomes, case: str
) -> None:
    """What is used together has one mean, whatever the step is called."""
    weights = torch.cat([outcome[case]["weights"] for outcome in outcomes])
    expected = sample().rows(slice(0, 8)).weights(FAMILIES["token normalized"])
    torch.testing.assert_close(weights, expected, rtol=1e-12, atol=0)


def test_a_step_that_no_rank_could_measure_is_told_as_such(outcomes: Outcomes) -> None:
    first, second = steps(outcomes[0]["all ranks raise"]["records"])
    assert (first.step, first.metrics, first.dropped) == (STEP, {}, {"not_corrected": WORLD})
    assert second.metrics


def test_a_step_that_the_pushing_rank_does_not_know_is_lost_and_counted(outcomes: Outcomes) -> None:
    records = outcomes[0]["the rank that pushes has no step"]["records"]
    assert [(record.step, record.dropped) for record in steps(records)] == [(STEP + 5, {"bad_step": 1})]


def test_a_rank_with_nothing_but_nan_is_measured_as_such(outcomes: Outcomes) -> None:
    """Its sequences are there, and their share of all tokens is what is not finite."""
    arguments = part(slice(0, 8))
    arguments["training_logprobs"][2:4] = nan_rows()["training_logprobs"]
    record = record_of(outcomes[0]["a rank has nothing but NaN"]["records"])
    assert same(record, alone("token normalized", arguments)[0])
    assert record.dropped == {}


def test_labels_cost_no_more_than_the_figures_of_groups(outcomes: Outcomes) -> None:
    """Declared ones cost nothing, of the only sequence that has another label there are no figures."""
    usual = alone("token normalized", part(slice(0, 8)))[0]
    record = record_of(outcomes[0]["a rank has undeclared labels"]["records"])
    assert record.dropped == {}
    assert {name: value for name, value in record.metrics.items() if "@" not in name} == pytest.approx(
        {name: value for name, value in usual.metrics.items() if "@" not in name}, rel=1e-12
    )
    declared = record_of(outcomes[0]["a rank has labels"]["records"])
    ids = sample().groups.ids[:8].clone()  # type: ignore[union-attr]
    ids[2:4] = GROUPS.index("code")
    for place, name in enumerate(GROUPS):
        assert declared.metrics[f"n_sequences@{name}"] == int((ids == place).sum())


def test_what_other_ranks_have_lost_reaches_the_page(outcomes: Outcomes) -> None:
    """With the next step, exactly, and once."""
    records = outcomes[0]["a rank logs nonsense"]["records"]
    assert [record.dropped for record in steps(records)] == [{"bad_value": 1}] * 2
    assert [outcome["a rank logs nonsense"]["dropped"] for outcome in outcomes[1:]] == [
        {},
        {"bad_value": 1},
        {},
    ]


@pytest.mark.parametrize("case", DISAGREEMENTS)
def test_ranks_that_disagree_are_told_where_they_build_their_monitors(outcomes: Outcomes, case: str) -> None:
    """All of them, lest one waits for the others."""
    said = {outcome[case] for outcome in outcomes}
    assert len(said) == 1
    expected = "cannot take part" if "cannot be" in case else "expected the same arguments on every rank"
    assert expected in said.pop()


def test_who_is_no_member_of_a_group_is_told(outcomes: Outcomes) -> None:
    assert [outcome["not a member"] for outcome in outcomes[:2]] == ["nothing"] * 2
    for outcome in outcomes[2:]:
        assert "expected a group that this process is a member of" in outcome["not a member"]


def test_who_is_told_of_ranks_that_do_not_exist_says_so() -> None:
    with pytest.raises(ValueError, match="process_group needs torch"):
        Monitor(project="math", process_group="everyone")


def test_a_rank_that_is_gone_costs_figures_and_no_step(outcomes: Outcomes) -> None:
    """The others wait for it as long as their group does, once; unless weights need the mean over all ranks, they train on."""
    for rank, outcome in enumerate(outcomes[:-1]):
        weights = sample().rows(own_rows(rank)).weights(FAMILIES["token"])
        assert all(torch.equal(each, weights) for each in outcome["gone"]["weights"])
        assert outcome["gone"]["dropped"] == {"not_measured": 3}
        assert "weights cannot be divided by their mean over all ranks" in outcome["gone"]["said"]
    assert steps(outcomes[0]["gone"]["records"]) == []


def column(table: Any, name: str) -> Any:
    return table[:, SEQUENCE_COLUMNS.index(name)]


def worst_of(table: Any, vetoed: Any, room: int) -> list[int]:
    """The rows that are to be kept, found one by one."""
    share = column(table, "k3_sum").tolist()
    by_badness = sorted(range(len(table)), key=lambda row: (not vetoed[row], -share[row], row))
    return sorted(by_badness[:room])


@pytest.mark.parametrize("ranks", [1, 2])
def test_of_a_crowd_all_vetoed_rows_and_the_worst_are_kept(outcomes: Outcomes, ranks: int) -> None:
    """As many as a record holds, whichever rank has them; figures are of all, and what is left out is counted."""
    b = crowd()
    sink = MemorySink()
    if ranks == 1:
        with built(sink, VETO, None, group_names=None) as monitor:
            monitor.observe(step=STEP, **arguments_of(b))
    record = record_of(sink.records if ranks == 1 else outcomes[0]["many"])
    table = b.correct(VETO).sequences.numpy()
    vetoed = (b.log_ratio < math.log(0.05)).any(dim=1).numpy()
    assert vetoed.sum() > 400
    kept = worst_of(table, vetoed, MAX_SEQUENCES)
    assert record.sequences is not None
    assert np.array_equal(record.sequences.numpy(), table[kept].astype(np.float32))
    assert set(np.flatnonzero(vetoed)) <= set(kept)
    assert record.dropped == {"too_many": MANY - MAX_SEQUENCES}
    assert record.metrics["n_sequences"] == MANY
    assert record.metrics["rollout_is_veto_fraction"] == vetoed.sum() / MANY


@pytest.mark.parametrize("ranks", [1, 2])
def test_tokens_of_the_worst_sequences_go_along(outcomes: Outcomes, ranks: int) -> None:
    """Of the vetoed one and of that with most of the mismatch: texts up to the last valid token, NaN at a hole."""
    b, sink = long(), MemorySink()
    ids = torch.arange(6 * LONG).view(6, LONG)
    if ranks == 1:
        with built(sink, VETO, None, group_names=None, tokens=TokenCapture(word, sequences=2)) as monitor:
            monitor.observe(step=STEP, **arguments_of(b), token_ids=ids)
    record = record_of(sink.records if ranks == 1 else outcomes[0]["tokens"]["records"])
    assert [one.row for one in sorted(record.tokens, key=lambda one: one.row)] == [3, 5]
    for one, length in zip(sorted(record.tokens, key=lambda one: one.row), (12, 35), strict=True):
        assert one.texts == tuple(word(one.row * LONG + place) for place in range(length))
        expected = torch.where(b.mask, b.training - b.rollout, math.nan)[one.row, :length].float()
        assert np.array_equal(one.log_ratios.numpy(), expected.numpy(), equal_nan=True)
    assert ranks == 1 or len(outcomes[0]["tokens"]["collectives"]) == 1


@pytest.mark.parametrize("case", ["vetoed in the midst", "all vetoed on the last rank"])
def test_every_vetoed_row_is_kept_wherever_it_is(outcomes: Outcomes, case: str) -> None:
    """As long as a record has room for all of them, with its own number, and tokens beside the row that they are of."""
    record = record_of(outcomes[0][case])
    rows, vetoed = VETOED_AT[case]
    assert record.sample_ids is not None
    assert record.sequences is not None
    kept = [number - 2**60 for number in record.sample_ids.numpy().tolist()]
    assert set(range(*vetoed)) <= set(kept)
    assert len(kept) == MAX_SEQUENCES
    assert kept == sorted(kept)
    assert record.dropped == {"too_many": rows - MAX_SEQUENCES}
    (worst,) = record.tokens
    assert kept[worst.row] in range(*vetoed)
    assert worst.texts[0] == word(kept[worst.row])


def test_vetoed_rows_beyond_the_room_are_counted(outcomes: Outcomes) -> None:
    """To the last one, beside the others that have no row."""
    record = record_of(outcomes[0]["more vetoed than there is room for"])
    assert record.sequences is not None
    assert len(record.sequences.numpy()) == MAX_SEQUENCES
    assert record.dropped == {"vetoed_left_out": 900, "too_many": 4}


def test_what_only_some_ranks_give_is_not_shown_as_that_of_all(outcomes: Outcomes) -> None:
    """It is left out and counted, once for each: entropy, numbers of samples, groups; places count through the batch."""
    record = record_of(outcomes[0]["given by one rank alone"]["records"])
    arguments = {
        name: tensor for name, tensor in part(slice(0, 8)).items() if name not in OPTIONAL
    }  # fmt: skip
    assert same(record, alone("token normalized", arguments)[0])
    assert record.dropped == {"not_measured": 3}
    assert record.sequences is not None
    assert column(record.sequences.numpy(), "sample_id").tolist() == list(range(8))


NONSENSE = ("a huge step", "a step that cannot be shown", "a step that says it is nothing")


@pytest.mark.parametrize("case", NONSENSE)
def test_a_step_of_whatever_kind_keeps_no_rank_from_the_collective(outcomes: Outcomes, case: str) -> None:
    """The next step is whole."""
    record = record_of(outcomes[0][case]["records"])
    assert record.dropped == {"bad_step": 1}
    after = record_of(outcomes[0][case]["records"], STEP + 5)
    assert same(after, alone("token normalized", part(slice(0, 8)))[0])


def test_ranks_that_disagree_are_told_in_what(outcomes: Outcomes) -> None:
    said = outcomes[0]["other configurations"]
    assert "config.rollout_is is 'token' on rank 0 and 'geometric' on rank 3" in said
    assert "project" not in said
    assert "push is True on rank 0 and False on rank 2" in outcomes[0]["one that does not push"]
