"""exp(l), exp(l) - 1 and exp(l) - 1 - l at once, none of which cancels where l is small.

Policies that nearly agree have log ratios of 1e-4, where the plain exp(l) - 1 - l of float32 is rounding and nothing else.
The usual way to exp has what is needed inside (Cody and Waite, Software Manual for the Elementary Functions, 1980):
l = k ln 2 + f with a whole k, |f| <= ln(2) / 2, and exp(l) = 2^k exp(f). Where k is 0, f is l itself,
and the polynomial that gives exp(f) - 1 - f gives K3. It costs one exponential instead of three,
and it is arithmetic alone, which a compiler can fuse with everything around it.

In float32 exp(l) is right to 9e-8, and K3 to 3e-7 where |l| < 0.34, to 2e-6 at worst, where |l| is 0.36,
and to 2e-7 from |l| = 2 on (all relative).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

LOG2_E = 1 / math.log(2)
# ln 2 in two parts, the first of so few bits that its product with a whole number up to 128 is exact
_LN2_HIGH = 0.693359375
_LN2_LOW = math.log(2) - _LN2_HIGH
_COEFFICIENTS = tuple(1 / math.factorial(n) for n in (7, 6, 5, 4, 3, 2))

# exp is held where it is a number, and in float64 where even the sum of a batch of its squares is one
LARGEST_EXPONENT = {torch.float32: 88.0, torch.float64: 600.0}


class Exponential(NamedTuple):
    """exp(l), exp(l) - 1, and exp(l) - 1 - l, each of the shape and dtype of l."""

    exp: Tensor
    expm1: Tensor
    k3: Tensor


def exponential(log_ratio: Tensor) -> Exponential:
    """Return exp of finite log ratios and what is left of it, held at the LARGEST_EXPONENT of float32 or float64."""
    largest = LARGEST_EXPONENT[log_ratio.dtype]
    if log_ratio.dtype == torch.float64:
        held = log_ratio.clamp(max=largest)
        return Exponential(held.exp(), held.expm1(), held.expm1() - held)
    return _float32(log_ratio, largest)


def _float32(log_ratio: Tensor, largest: float) -> Exponential:
    held = log_ratio.clamp(1 - largest, largest)
    k = (held * LOG2_E).round_()
    f = torch.sub(held, k, alpha=_LN2_HIGH).sub_(k, alpha=_LN2_LOW)
    rest = f * _COEFFICIENTS[0]
    for coefficient in _COEFFICIENTS[1:]:
        rest = rest.add_(coefficient).mul_(f)
    rest = rest.mul_(f)
    power = power_of_two(k)
    part = (f + rest).mul_(power)  # 2^k (exp(f) - 1)
    below = power - 1
    # f - l is 0 where k is 0, so that nothing but the polynomial is left there
    k3 = rest.mul_(power).add_(below).add_(f.mul_(power).sub_(log_ratio.clamp(max=largest)))
    return Exponential(part + power, part + below, k3)


def power_of_two(k: Tensor) -> Tensor:
    """Return 2^k, exactly, of whole numbers from -126 to 127 in float32."""
    return ((k.to(torch.int32) + 127) << 23).view(torch.float32)


def copy(values: Tensor) -> Tensor:
    """Return a copy in float64."""
    return values.to(torch.float64, copy=True)


def probability(logprob: Tensor, precise: Callable[[Tensor], Tensor]) -> Tensor:
    """Return exp of log-probs, held at 1, in what `precise` makes of them: a float64 tensor of its own.

    Right to 1e-14 (relative) where it is above 1e-6; compiled, of float32, to 6e-8 (absolute) and 1e-6 (relative).
    """
    if torch.compiler.is_compiling() and logprob.dtype == torch.float32:
        held = logprob.clamp(max=0)
        return precise(
            _float32(held, LARGEST_EXPONENT[held.dtype]).exp
        )  # which is fused, where exp2 is a call
    return precise(logprob).clamp_(max=0).mul_(LOG2_E).exp2_()
