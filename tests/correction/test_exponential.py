"""exp(l), exp(l) - 1 and exp(l) - 1 - l are as precise as they are said to be, measured against float64."""

import math

import pytest
import torch
from torch import Tensor

from rolloutwatch_correction.exponential import (
    LARGEST_EXPONENT,
    copy,
    exponential,
    power_of_two,
    probability,
)

LN_2 = math.log(2)
FLOAT32 = torch.finfo(torch.float32)


def spread(largest: float, *, smallest: float = 1e-30, count: int = 200_000) -> Tensor:
    """Return float32 numbers of every magnitude and both signs, and evenly spread ones."""
    magnitudes = torch.logspace(math.log10(smallest), math.log10(largest), count, dtype=torch.float64)
    even = torch.linspace(-largest, largest, count, dtype=torch.float64)
    # where the power of two changes, on both sides
    seams = (torch.arange(-120, 120, dtype=torch.float64) + 0.5) * LN_2
    seams = torch.cat([seams, seams * (1 + 1e-7), seams * (1 - 1e-7)])
    return torch.cat([magnitudes, -magnitudes, even, seams[seams.abs() <= largest]]).float()


def k3_of(log_ratio: Tensor) -> Tensor:
    """Return exp(l) - 1 - l in float64, where l is small by its series."""
    series = sum(log_ratio**n / math.factorial(n) for n in range(2, 14))
    return torch.where(log_ratio.abs() < 0.5, series, log_ratio.expm1() - log_ratio)


def relative(actual: Tensor, expected: Tensor) -> float:
    return ((actual.double() - expected) / expected).abs().max().item()


def test_the_exponential_is_right_to_nine_in_a_hundred_million() -> None:
    x = spread(87)
    assert relative(exponential(x).exp, x.double().exp()) < 9e-8


def test_what_is_left_without_one_does_not_cancel() -> None:
    """exp(l) - 1 of 1e-30 is 1e-30, and nowhere wrong by more than three in ten million."""
    x = spread(87)
    assert relative(exponential(x).expm1, x.double().expm1()) < 3e-7


def test_k3_of_a_small_log_ratio_keeps_its_digits() -> None:
    """Where |l| < 0.34 it is right to 3e-7, down to squares that float32 holds."""
    x = spread(0.34, smallest=1e-18)
    assert relative(exponential(x).k3, k3_of(x.double())) < 3e-7


def test_k3_beyond_is_right_to_what_a_float32_of_its_size_can_tell() -> None:
    """To 1e-7 as a number, or of the largest of exp(l), 1 and |l| if that is more."""
    x = spread(87)
    x = x[x.abs() >= 0.34]
    error = (exponential(x).k3.double() - k3_of(x.double())).abs()
    size = torch.stack([x.double().exp(), x.double().abs(), torch.ones(x.shape, dtype=torch.float64)]).amax(0)
    assert (error / size).max() < 2e-7
    near = x.abs() < 1
    assert error[near].max() < 2.5e-7


def test_k3_is_never_negative_but_for_rounding() -> None:
    """And not at all where policies nearly agree, which is the healthy case."""
    x = spread(87)
    k3 = exponential(x).k3
    assert (k3[x.abs() < 0.34] >= 0).all()
    assert k3.min() >= 0


def test_k3_joins_where_the_power_of_two_changes() -> None:
    """At ln(2) / 2 the way it is computed changes; its figures do not."""
    seam = torch.linspace(0.3465, 0.3467, 2001)
    for x in (seam, -seam):
        k3 = exponential(x).k3
        assert (k3.double() - k3_of(x.double())).abs().max() < 2e-7


def test_zero_is_exact() -> None:
    """Where policies agree the ratio is 1 and nothing is left, on both sides of zero."""
    for dtype in LARGEST_EXPONENT:
        for at in (0.0, -0.0):
            of = exponential(torch.tensor([at], dtype=dtype))
            assert [x.tolist() for x in of] == [[1.0], [0.0], [0.0]]


def test_powers_of_two_are_exact() -> None:
    """All that float32 has without losing digits."""
    k = torch.arange(-126, 128).float()
    assert power_of_two(k).tolist() == [2.0**n for n in range(-126, 128)]


@pytest.mark.parametrize("dtype", LARGEST_EXPONENT)
@pytest.mark.parametrize("size", [60.0, 88.0, 89.0, 104.0, 600.0, 750.0, 1e30, 3e38])
def test_extremes_are_held_where_they_are_numbers(dtype: torch.dtype, size: float) -> None:
    """A ratio ends at exp(88), or exp(600) in float64; K3 of a ratio near 0 still grows with the log ratio."""
    high, low = (
        exponential(torch.tensor([size], dtype=dtype)),
        exponential(torch.tensor([-size], dtype=dtype)),
    )
    assert all(x.isfinite().all() for x in (*high, *low))
    held = math.exp(min(size, LARGEST_EXPONENT[dtype]))
    assert high.exp.item() == pytest.approx(held, rel=1e-6)
    assert high.expm1.item() == pytest.approx(held - 1, rel=1e-6)
    assert high.k3.item() == pytest.approx(held - 1 - min(size, LARGEST_EXPONENT[dtype]), rel=1e-6)
    assert 0 <= low.exp.item() <= math.exp(-60)
    assert low.expm1.item() == -1
    assert low.k3.item() == pytest.approx(size - 1, rel=1e-6)


def test_the_exponential_grows() -> None:
    """No seam between powers of two turns the order of two ratios, beyond the last digit."""
    x = torch.linspace(-40, 40, 400_001)
    for values in (exponential(x).exp, exponential(x).expm1):
        steps = values.diff()
        assert (steps >= -FLOAT32.eps * values[1:].abs()).all()


def test_float64_is_float64() -> None:
    x = spread(599, smallest=1e-8).double() * 1.000000001
    of = exponential(x)
    assert {each.dtype for each in of} == {torch.float64}
    assert torch.allclose(of.exp, x.exp(), rtol=1e-15, atol=0)
    assert torch.allclose(of.expm1, x.expm1(), rtol=1e-15, atol=0)
    assert torch.allclose(of.k3, k3_of(x), rtol=1e-9, atol=1e-16)


def test_what_came_in_stays_as_it_was() -> None:
    """It computes in place, but not there."""
    x = torch.linspace(-100, 100, 1001)
    before = x.clone()
    exponential(x)
    probability(x, copy)
    assert torch.equal(before, x)


def test_probabilities_are_precise_and_end_at_one() -> None:
    """Right to 1e-14 of themselves down to 1e-6; a log-prob above 0 is rounding."""
    x = -spread(87, smallest=1e-10).abs()
    expected = x.double().exp()
    assert (probability(x, copy) - expected).abs().max() < 1e-15
    for least, error in ((math.exp(-1), 1e-15), (1e-6, 1e-14), (1e-37, 1e-13)):
        there = expected > least
        assert relative(probability(x[there], copy), expected[there]) < error
    assert probability(torch.tensor([0.0, 1e-3, 5.0, -1e30]), copy).tolist() == [1.0, 1.0, 1.0, 0.0]
    assert probability(torch.tensor([-1.0], dtype=torch.float64), copy).item() == pytest.approx(
        math.exp(-1), rel=1e-15
    )
