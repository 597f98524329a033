"""What a trainer logs, sorted: numbers, what will be one when its device has come so far, and what is none."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.shown import said, shown
from rolloutwatch_contract.names import is_metric_name
from rolloutwatch_contract.record import MAX_METRICS


def sorted_out(values: Mapping[str, Any], ledger: Ledger) -> tuple[dict[str, float], dict[str, Tensor]]:
    """Return the scalars that are numbers, and those that are on a GPU yet; what is neither is counted.

    Raises:
        Exception: Whatever a mapping raises that cannot be read.
    """
    numbers: dict[str, float] = {}
    later: dict[str, Tensor] = {}
    for name, value in _copied(values).items():
        try:
            if len(numbers) + len(later) == MAX_METRICS:
                ledger.drop(
                    DropReason.TOO_MANY,
                    f"{shown(name, 150)} was not logged: expected at most {MAX_METRICS} scalars at a time.",
                )
            elif not is_metric_name(name):
                ledger.drop(DropReason.BAD_NAME, _no_name(name))
            elif type(value) is float:  # nearly all are, and need not be asked
                numbers[name] = value
            elif isinstance(value, Tensor) and value.is_cuda and value.numel() == 1:
                later[name] = value.detach().reshape(()).to(torch.float64, copy=True)
            else:
                numbers[name] = _number(value)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others can be logged
            ledger.drop(
                DropReason.BAD_VALUE,
                f"{shown(name, 150)} was not logged: expected one number: {said(error)}.",
            )
    return numbers, later


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is in a mapping now, which another thread may be changing: then it is read a second time."""
    try:
        return dict(values) if type(values) is dict else dict(values.items())
    except RuntimeError:
        return dict(values.items())


def _no_name(name: object) -> str:
    return f"{shown(name, 150)} was not logged: expected a name like 'train/reward'."


def _number(value: Any) -> float:
    """Return a number, or an array or a tensor of one, as a float. NumPy's float64 is a float, and slow to be asked."""
    is_plain = isinstance(value, (float, int)) or not hasattr(value, "item")
    return float(value if is_plain else value.item())
