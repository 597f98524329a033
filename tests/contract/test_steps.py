"""Which sequence has which share of the mismatch of its step."""

import math

import numpy as np
import pytest

from rolloutwatch_contract.protocol_steps import SequencesView, k3_shares


def table(k3: list[float], n_sequences: int | None = None) -> SequencesView:
    rows = len(k3)
    return SequencesView({"k3_sum": np.array(k3)}, (-1,) * rows, (None,) * rows, n_sequences)


def test_shares_of_a_whole_table_are_of_its_sum() -> None:
    """Whatever the figures of the step say, which are rounded otherwise."""
    metrics = {"mismatch_k3_kl": 9.0, "n_tokens": 9.0}
    assert k3_shares(table([1.0, 3.0, 0.0], 3), metrics).tolist() == [0.25, 0.75, 0.0]
    assert k3_shares(table([1.0, 3.0]), {}).tolist() == [0.25, 0.75]


def test_where_only_the_worst_were_sent_shares_are_of_the_whole_batch() -> None:
    """20 tokens, one in five of which is not finite, have 0.5 each: 8 nats, of which the rows have 4."""
    metrics = {"mismatch_k3_kl": 0.5, "n_tokens": 20.0, "nonfinite_fraction": 0.2}
    assert k3_shares(table([1.0, 3.0], 9), metrics).tolist() == pytest.approx([0.125, 0.375])


def test_where_nothing_tells_of_the_others_shares_are_of_those_sent() -> None:
    for metrics in (
        {},
        {"mismatch_k3_kl": math.nan, "n_tokens": 20.0},
        {"mismatch_k3_kl": 1e-9, "n_tokens": 1.0},
    ):
        assert k3_shares(table([1.0, 3.0], 9), metrics).tolist() == [0.25, 0.75]


def test_two_equal_policies_have_shares_of_0() -> None:
    """No mismatch is shared by nobody, which is a number."""
    assert k3_shares(table([0.0, 0.0], 2), {}).tolist() == [0.0, 0.0]


def test_a_sum_that_is_no_number_has_no_share_and_takes_none_from_others() -> None:
    shares = k3_shares(table([math.nan, 1.0, math.inf, 3.0], 4), {})
    assert shares[[1, 3]].tolist() == [0.25, 0.75]
    assert np.isnan(shares[[0, 2]]).all()


def test_a_table_without_the_column_has_no_shares() -> None:
    assert np.isnan(k3_shares(SequencesView({}, (7, 8), (None, None)), {})).all()
