"""What a step brings beside its figures: numbers of samples, names of groups, tokens of the worst sequences.

Axes: B sequences, T response tokens.
"""

import logging
import math
import threading
import time
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rolloutwatch import MemorySink, TokenCapture
from rolloutwatch.decoding import Decoder
from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.tokens import HEAD
from rolloutwatch_contract import StepRecord
from rolloutwatch_contract.record import MAX_METRICS, MAX_SEQUENCES, MAX_TOKENS
from rolloutwatch_correction import CorrectionConfig, Groups, correct
from tests.client.batches import Gate, batch, monitor, steps
from tests.correction.batches import LAYOUTS, Batch
from tests.correction.families import FAMILIES, entropy_of, sample
from tests.correction.test_no_sync import NoReadback
from tests.processes import wait_for

CONFIG = FAMILIES["everything"]
IDS = [2**60 + row for row in range(9)]  # which no float can tell apart
NAMES = ("math", "code", "chat")


def arguments(layout: str) -> dict[str, Any]:
    """Everything that a step can have, in a layout; tokens are numbered through the batch."""
    b = sample()
    numbers_BT = torch.arange(b.mask.numel()).view(b.mask.shape)
    tokens = {
        "training_logprobs": b.training, "rollout_logprobs": b.rollout, "response_mask": b.mask,
        "training_entropy": entropy_of(b), "token_ids": numbers_BT,
    }  # fmt: skip
    given: dict[str, Any] = {name: b.arranged(tensor, layout) for name, tensor in tokens.items()}
    if layout == "packed":
        lengths = torch.tensor([len(row) for row in b.arranged(b.mask, "ragged")])
        given["cu_seqlens"] = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    return given | {"groups": b.groups, "sample_ids": torch.tensor(IDS)}


def pushed(given: dict[str, Any], config: CorrectionConfig = CONFIG, **options: Any) -> StepRecord:
    sink = MemorySink()
    with monitor(sink, config=config, **options) as one:
        one.observe(step=0, **given)
    (record,) = steps(sink.records)
    return record


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_brings_the_same_record(layout: str) -> None:
    """That of the correction alone; numbers of samples to the last digit, and groups by their names."""
    record, b = pushed(arguments(layout)), sample()
    expected = b.correct(CONFIG, entropy=entropy_of(b)).metrics.as_dict()
    assert record.metrics == pytest.approx(expected, rel=1e-12)
    assert record.sample_ids is not None
    assert record.sample_ids.numpy().tolist() == IDS
    assert record.groups == NAMES
    assert record.dropped == {}
    assert record.tokens == (), "nobody asked for them"


DTYPES = [torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64]


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_samples_may_be_of_any_integers(dtype: torch.dtype) -> None:
    """Of a tensor, of an array, and of a correction that the trainer has computed itself."""
    ids = torch.arange(9).to(dtype)
    for given in (ids, ids.numpy()):
        record = pushed(arguments("padded") | {"sample_ids": given})
        assert record.dropped == {}
        assert record.sample_ids is not None
        assert record.sample_ids.numpy().tolist() == list(range(9))
    sink = MemorySink()
    with monitor(sink, config=CorrectionConfig()) as one:
        one.record(0, correct(*sample().tensors, sample_ids=ids))
    (record,) = steps(sink.records)
    assert record.sample_ids is not None
    assert record.sample_ids.numpy().tolist() == list(range(9))


def test_numbers_of_a_correction_that_fit_nowhere_cost_themselves() -> None:
    sink, ids = MemorySink(), torch.arange(-1, 8).to(torch.uint64)  # the first is the last that there is
    with monitor(sink, config=CorrectionConfig()) as one:
        one.record(0, correct(*sample().tensors, sample_ids=ids))
    (record,) = steps(sink.records)
    assert record.metrics
    assert (record.sample_ids, record.dropped) == (None, {"not_measured": 1})
    assert record.sequences is not None
    assert record.sequences.numpy()[:, 14].tolist() == list(range(9))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("make", [torch.tensor, np.array, list])
def test_numbers_of_samples_may_be_written_over_after_the_call(make: Any, layout: str) -> None:
    """A buffer that the next batch is loaded into, say."""
    sink, gate, ids = Gate(), threading.Event(), make(IDS)
    with monitor(sink, config=CONFIG, tokens=TokenCapture(lambda number: str(gate.wait(1.5)))) as one:
        one.observe(step=0, **arguments(layout))  # keeps the background busy
        one.observe(step=1, **arguments(layout) | {"sample_ids": ids})
        ids[:] = [7] * 9 if make is list else 7
        gate.set()
        sink.open.set()
    record = steps(sink.records)[1]
    assert record.sample_ids is not None
    assert record.sample_ids.numpy().tolist() == IDS


@pytest.mark.parametrize("ids", [IDS, tuple(IDS), np.array(IDS), torch.tensor(IDS)])
def test_numbers_of_samples_come_as_whatever_holds_integers(ids: Any) -> None:
    record = pushed(arguments("padded") | {"sample_ids": ids})
    assert record.sample_ids is not None
    assert record.sample_ids.numpy().tolist() == IDS


def test_labels_are_groups_in_the_order_of_their_declaration_if_there_is_one() -> None:
    """Else in that of the alphabet; a label that was not declared belongs to none."""
    labels = ["math", "code", "math", "chat", *["code"] * 5]
    given = arguments("padded") | {"groups": labels}
    assert pushed(given).groups == ("chat", "code", "math")
    record = pushed(given, group_names=["math", "chat"])
    assert record.groups == ("math", "chat")
    assert record.metrics["n_sequences@math"] == 2
    assert record.sequences is not None
    assert record.sequences.numpy()[:4, 13].tolist() == [0, -1, 0, 1]


@pytest.mark.parametrize(
    "pair",
    [
        ("数学", "物理"),
        ("a b", "a_b"),
        ("/data/" + 40 * "x" + "math", "/data/" + 40 * "x" + "code"),
        ("", "_"),
    ],
)
def test_labels_that_differ_stay_apart(pair: tuple[str, str]) -> None:
    """Whatever a metric's name can hold of them; a label has the same name in every step, alone or not."""
    both = pushed(arguments("padded") | {"groups": [pair[0]] * 4 + [pair[1]] * 5})
    counts = {name: both.metrics[f"n_sequences@{name}"] for name in both.groups}
    assert sorted(counts.values()) == [4, 5]
    for label in pair:
        (name,) = pushed(arguments("padded") | {"groups": [label] * 9}).groups
        assert name in counts
        assert len(name) <= 40


def test_groups_are_treated_as_labels_are() -> None:
    """By names that a metric can have, and the last ones as one where a record has no room for all."""
    two = Groups(torch.arange(9) % 2, ("gsm 8k", "math"))
    record = pushed(arguments("padded") | {"groups": two})
    labels = pushed(arguments("padded") | {"groups": [two.names[number % 2] for number in range(9)]})
    assert (record.metrics, record.groups, record.dropped) == (labels.metrics, labels.groups, {})
    ids = torch.tensor([0, 22, 23, 40, 63, 64, -1, 23, 1])
    for names in (
        tuple(f"g{number}" for number in range(64)),
        ("others", *(f"g{number}" for number in range(63))),
    ):
        record = pushed(arguments("padded") | {"groups": Groups(ids, names)})
        assert record.dropped == {}
        assert record.metrics["n_sequences@others"] == (4 if names[0] == "g0" else 5)
        assert sum(record.metrics[f"n_sequences@{name}"] for name in record.groups) == 7


def test_a_step_without_them_has_none() -> None:
    record = pushed({**batch()})
    assert (record.sample_ids, record.groups, record.tokens) == (None, (), ())


WRONG: dict[str, Any] = {
    "training_entropy": [0.7, "high", torch.zeros(9, 13)],
    "groups": [7, ["math"], Groups.of(["math"] * 8), [None]],
    "sample_ids": [
        [1.0] * 9, [True] * 9, [True, *range(8)], [2**63] * 9, np.full(9, 2**64 - 1, np.uint64), np.ones(9, bool),
        torch.full((9,), -1).to(torch.uint64), torch.ones(9, dtype=torch.bool),
        7, IDS[:8], ["a"] * 9, [0.5] * 8 + [None], torch.zeros(9), torch.zeros(9, 1, dtype=torch.int64),
    ],
    "token_ids": [7, [[1]], torch.zeros(9, 12), torch.zeros(9, 13, dtype=torch.int64)],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in WRONG.items() for value in values]
)
def test_what_is_wrong_costs_itself_and_nothing_else(
    name: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither the weights nor the other figures; that is counted, and said with the name of what is wrong."""
    right, sink, alone = arguments("padded"), MemorySink(), MemorySink()
    options: Any = {"config": CONFIG, "tokens": TokenCapture(str)}
    with caplog.at_level(logging.WARNING), monitor(sink, **options) as one:
        given = one.correct(step=0, **right | {name: value})
        one.observe(step=0, **right | {name: value})
        assert one.health().dropped == {"not_measured": 2}
    with monitor(alone, **options) as one:
        expected = one.correct(step=0, **{key: right[key] for key in right if key != name})
    assert torch.equal(given.weights, expected.weights)
    (wanted,) = steps(alone.records)
    for record in steps(sink.records):
        assert record.metrics == wanted.metrics
        assert (record.sample_ids, record.groups, record.tokens) == (
            wanted.sample_ids, wanted.groups, wanted.tokens
        )  # fmt: skip
    (said,) = [message for message in caplog.messages if "Step 0 is measured without" in message]
    assert name in said or "tokens" in said


@pytest.mark.parametrize("layout", LAYOUTS)
def test_nothing_is_waited_for(layout: str) -> None:
    """With everything that can be asked for, and more sequences than a record has rows."""
    given, sink = arguments(layout), MemorySink()
    crowd = torch.full((MAX_SEQUENCES + 1, 2), -1.0)
    options: Any = {"config": CONFIG, "tokens": TokenCapture(str), "group_names": NAMES}
    with monitor(sink, **options) as one, NoReadback():
        one.correct(step=0, **given)
        one.observe(
            step=1, training_logprobs=crowd, rollout_logprobs=crowd, response_mask=-crowd,
            token_ids=-crowd.long(), sample_ids=range(len(crowd)), groups=["math"] * len(crowd),
        )  # fmt: skip
    records = steps(sink.records)
    assert [record.dropped for record in records] == [{}, {"too_many": 1}]
    assert all(record.tokens and record.groups and record.sample_ids for record in records)


# -- the tokens of the worst sequences -------------------------------------------------------------------------------


def worst_first(table: Any) -> list[int]:
    """Sequences in the order of their share of the mismatch."""
    return sorted(range(len(table)), key=lambda row: -float(table[row, 7]))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [1, 3, 64])
def test_tokens_of_the_worst_sequences_are_those_of_the_batch(layout: str, count: int) -> None:
    """Up to the last valid one, with the log ratio of each as the difference says it; NaN where none is valid."""
    b, given = sample(), arguments(layout)
    record = pushed(given, CorrectionConfig(), tokens=TokenCapture(lambda number: f"<{number}>", count))
    table = b.correct().sequences
    rows = [one.row for one in record.tokens]
    assert rows == sorted(worst_first(table)[:count])
    ratio_BT = torch.where(b.mask, b.training - b.rollout, math.nan).float()
    for one in record.tokens:
        length = int(max([0, *(b.mask[one.row].nonzero() + 1).flatten().tolist()]))
        assert one.texts == tuple(f"<{one.row * 12 + place}>" for place in range(length))
        assert np.array_equal(one.log_ratios.numpy(), ratio_BT[one.row, :length].numpy(), equal_nan=True)


def test_tokens_stand_beside_the_rows_that_they_belong_to() -> None:
    """Also where rows were left out before them."""
    rollout_BT = torch.full((MAX_SEQUENCES + 100, 2), -1.0, dtype=torch.float64)
    training_BT = rollout_BT.clone()
    training_BT[-1] += 3.0
    training_BT[101:-1, 0] += 0.1
    sink = MemorySink()
    with monitor(sink, tokens=TokenCapture(str, 1)) as one:
        one.observe(
            step=0, training_logprobs=training_BT, rollout_logprobs=rollout_BT,
            response_mask=torch.ones_like(rollout_BT), token_ids=torch.arange(rollout_BT.numel()).view_as(rollout_BT),
        )  # fmt: skip
    (record,) = steps(sink.records)
    (worst,) = record.tokens
    assert record.sequences is not None
    assert worst.row == MAX_SEQUENCES - 1
    assert record.sequences.numpy()[worst.row, 4] == 3.0
    assert worst.texts == (str(rollout_BT.numel() - 2), str(rollout_BT.numel() - 1))


def test_a_record_has_room_for_so_many_tokens() -> None:
    """Those from the beginning of long responses, a fair share of each."""
    logprobs = torch.full((2, MAX_TOKENS), -1.0)
    sink = MemorySink()
    with monitor(sink, tokens=TokenCapture(str, 2)) as one:
        one.observe(
            step=0, training_logprobs=logprobs, rollout_logprobs=logprobs, response_mask=-logprobs,
            token_ids=torch.arange(2 * MAX_TOKENS).view(2, -1),
        )  # fmt: skip
    (record,) = steps(sink.records)
    assert [len(one.texts) for one in record.tokens] == [MAX_TOKENS // 2] * 2
    assert record.tokens[1].texts[0] == str(MAX_TOKENS)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_of_no_sequences_there_are_no_tokens(layout: str) -> None:
    nothing: Any = {"padded": torch.zeros(0, 5), "ragged": [], "packed": torch.zeros(0)}[layout]
    ids: Any = [] if layout == "ragged" else nothing.long()
    more = {"cu_seqlens": torch.zeros(1, dtype=torch.int64)} if layout == "packed" else {}
    given = dict.fromkeys(("training_logprobs", "rollout_logprobs", "response_mask"), nothing)
    record = pushed(given | more | {"token_ids": ids}, tokens=TokenCapture(str))
    assert (record.tokens, record.dropped) == ((), {})


def test_a_text_is_what_the_trainer_makes_of_a_token_once() -> None:
    """Cut to what a record takes, and without half letters; whatever is no text is made one."""
    asked: list[int] = []

    def decode(number: int) -> Any:
        asked.append(number)
        return {1: "x" * 100, 2: "\udce2", 3: 7}[number]

    logprobs = torch.full((1, 4), -1.0)
    sink = MemorySink()
    with monitor(sink, tokens=TokenCapture(decode)) as one:
        for step in range(2):
            one.observe(
                step=step, training_logprobs=logprobs, rollout_logprobs=logprobs, response_mask=-logprobs,
                token_ids=torch.tensor([[1, 2, 3, 1]]),
            )  # fmt: skip
    for record in steps(sink.records):
        assert record.tokens[0].texts == ("x" * 64, "\\udce2", "7", "x" * 64)
    assert asked == [1, 2, 3]


def test_a_decode_that_fails_costs_the_texts_and_no_record(caplog: pytest.LogCaptureFixture) -> None:
    """The tokens' numbers are shown instead, which a person can look up."""
    given = arguments("padded")

    def decode(number: int) -> str:
        raise KeyError(number)

    with caplog.at_level(logging.WARNING):
        record = pushed(given, tokens=TokenCapture(decode, 1))
    assert record.dropped == {"not_decoded": 1}
    assert record.metrics == pushed(given).metrics
    (worst,) = record.tokens
    assert worst.texts[0] == str(worst.row * 12)
    assert "because of decode: it raised KeyError" in caplog.text


class Panic(BaseException):
    """As libraries in Rust raise it."""


def test_whatever_a_decode_raises_costs_the_texts_alone() -> None:
    def decode(number: int) -> str:
        raise Panic("index out of bounds")

    record = pushed(arguments("padded"), tokens=TokenCapture(decode, 1))
    assert record.dropped == {"not_decoded": 1}
    assert record.metrics == pushed(arguments("padded")).metrics


def test_a_decode_that_hangs_keeps_no_record_waiting() -> None:
    """A step waits two seconds for it, and no later one while it hangs."""
    sink, ends, given = MemorySink(), threading.Event(), arguments("padded")
    calls: list[int] = []

    def decode(number: int) -> str:
        calls.append(number)
        ends.wait(60)
        return "late"

    with monitor(sink, tokens=TokenCapture(decode, 1)) as one:
        began = time.monotonic()
        for step in range(20):
            one.observe(step=step, **given)
        one.log(20, {"loss": 1.0})
        assert one.flush(20)
        assert time.monotonic() - began < 20, "steps do not wait for the call one after the other"
        assert len(calls) == 1, "no other call was begun, and waited for, while it hangs"
        ends.set()
    assert [record.step for record in steps(sink.records)] == list(range(21))
    assert steps(sink.records)[-1].dropped == {"not_decoded": 20}
    assert steps(sink.records)[0].tokens[0].texts[0].isdigit()


def packed(*numbers: int) -> Any:
    """One sequence of some tokens, as `tokens.captured` packs it."""
    return np.array([[0, len(numbers), 0, *(number << 32 for number in numbers)]], dtype=np.int64)


def test_a_decode_that_is_slow_is_asked_three_times(caplog: pytest.LogCaptureFixture) -> None:
    """What it has found in the end is known, and what is not stays a number."""
    ledger, asked, goes_on = Ledger(), [], threading.Event()

    def decode(number: int) -> str:
        asked.append(number)
        goes_on.wait(60)
        return f"<{number}>"

    def is_over() -> bool:
        return all(thread.name != "rolloutwatch-decode" for thread in threading.enumerate())

    decoder = Decoder(TokenCapture(decode), ledger, seconds=0.01)
    with caplog.at_level(logging.WARNING):
        for number in range(5):
            goes_on.clear()
            (tokens,) = decoder.read(number, packed(number))
            assert tokens.texts == (str(number),)
            goes_on.set()
            wait_for("the end of the call", is_over)
    assert asked == [0, 1, 2]
    assert decoder.read(5, packed(2, 1))[0].texts == ("<2>", "<1>")
    assert ledger.count(DropReason.NOT_DECODED) == 5
    assert "is not called any more in this run" in caplog.text
    assert len(packed(1)[0]) == HEAD + 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("gpt2",), "decode is a str: expected a function from a token's number to its text"),
        ((str, 0), "sequences is 0: expected an integer from 1 to 64"),
        ((str, 65), "sequences is 65"),
        ((str, 4.0), "sequences is 4.0"),
    ],
)
def test_a_capture_that_cannot_be_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TokenCapture(*arguments)


# -- more than a record holds ----------------------------------------------------------------------------------------


def test_of_too_many_scalars_the_first_are_sent(caplog: pytest.LogCaptureFixture) -> None:
    sink = MemorySink()
    values = {f"layer/{number}": float(number) for number in range(MAX_METRICS + 3)}
    with caplog.at_level(logging.WARNING), monitor(sink) as one:
        one.log(0, values)
        one.log(1, values)
    for step, record in enumerate(steps(sink.records)):
        assert record.metrics == dict(list(values.items())[:MAX_METRICS])
        assert record.dropped == {"too_many": 6}
        assert record.step == step
    assert len(caplog.messages) == 1
    assert "'layer/512' was not logged: expected at most 512 scalars at a time" in caplog.text


def test_a_name_of_too_many_letters_is_not_sent() -> None:
    sink = MemorySink()
    with monitor(sink) as one:
        one.log(0, {"x" * 128: 1.0, "y" * 129: 1.0})
    (record,) = steps(sink.records)
    assert (record.metrics, record.dropped) == ({"x" * 128: 1.0}, {"bad_name": 1})


def test_of_too_many_sequences_the_vetoed_and_the_worst_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    """In their order; of the others one knows how many they were, and figures are of all."""
    veto = CorrectionConfig(rollout_token_veto_threshold=0.1)
    random = torch.Generator().manual_seed(1)
    rollout_BT: Tensor = -torch.rand((2 * MAX_SEQUENCES, 2), generator=random, dtype=torch.float64)
    training_BT = rollout_BT + 0.5 * torch.randn(rollout_BT.shape, generator=random, dtype=torch.float64)
    b = Batch(training_BT, rollout_BT, torch.ones_like(rollout_BT))
    sink = MemorySink()
    with caplog.at_level(logging.WARNING), monitor(sink, config=veto) as one:
        one.observe(
            step=0, training_logprobs=b.training, rollout_logprobs=b.rollout, response_mask=b.mask,
            sample_ids=range(2 * MAX_SEQUENCES),
        )  # fmt: skip
    (record,) = steps(sink.records)
    alone = correct(*b.tensors, veto)
    vetoed = (b.log_ratio < math.log(0.1)).any(dim=1).tolist()
    share = alone.sequences[:, 7].tolist()
    order = sorted(range(len(share)), key=lambda row: (not vetoed[row], -share[row], row))
    kept = sorted(order[:MAX_SEQUENCES])
    assert record.sample_ids is not None
    assert record.sample_ids.numpy().tolist() == kept
    assert record.sequences is not None
    assert np.array_equal(record.sequences.numpy()[:, :14], alone.sequences[kept, :14].float().numpy())
    assert record.metrics == alone.metrics.as_dict()
    assert record.dropped == {"too_many": MAX_SEQUENCES}
    assert "Step 0 has 8192 sequences, of which the worst 4096 are sent one by one" in caplog.text


def test_numbers_that_are_not_finite_are_numbers() -> None:
    """A batch of nothing else is measured, and says so."""
    logprobs = torch.full((2, 3), math.nan)
    record = pushed(
        {"training_logprobs": logprobs, "rollout_logprobs": logprobs, "response_mask": torch.ones(2, 3)}
    )
    assert record.metrics["nonfinite_fraction"] == 1.0
    assert record.dropped == {}


def test_of_too_many_vetoed_sequences_one_knows_how_many_have_no_row() -> None:
    veto = CorrectionConfig(rollout_token_veto_threshold=0.1)
    rollout = torch.full((MAX_SEQUENCES + 10, 2), -1.0)
    training = rollout.clone()
    training[3:] -= 4.0
    record = pushed(
        {"training_logprobs": training, "rollout_logprobs": rollout, "response_mask": -rollout}, config=veto
    )
    assert record.dropped == {"vetoed_left_out": 7, "too_many": 3}
