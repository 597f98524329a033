"""What a trainer wants to have marked, in the form in which it can be sent."""

import enum
from collections.abc import Mapping

import numpy as np
from torch import Tensor

from rolloutwatch.shown import said, shown
from rolloutwatch_contract.names import is_metric_name
from rolloutwatch_contract.record import MAX_FIELD_LETTERS, MAX_FIELDS, MAX_NAME_LETTERS

Value = str | int | float | bool | None
_INTEGERS = range(-(2**63), 2**63)


def kind_of(kind: object) -> str | None:
    """Return the name of a kind of mark, such as "weight_sync"; None if it is no name."""
    name = kind.value if isinstance(kind, enum.Enum) else kind
    return str(name) if is_metric_name(name) else None


def fields_of(fields: Mapping[str, object]) -> tuple[dict[str, Value], list[str]]:
    """Return the fields of a mark as they can be sent, and what had to be left out or cut, in words."""
    kept: dict[str, Value] = {}
    trouble: list[str] = []
    for name, value in fields.items():
        try:
            if len(kept) == MAX_FIELDS:
                trouble.append(f"{shown(name, 150)} was left out: expected at most {MAX_FIELDS} fields.")
            elif not 1 <= len(name) <= MAX_NAME_LETTERS or not _is_text(name):
                trouble.append(
                    f"{shown(name, 150)} was left out: expected a name of 1 to {MAX_NAME_LETTERS} letters."
                )
            else:
                sent = kept[str.__str__(name)] = _value_of(value)
                if isinstance(sent, str) and len(sent) > MAX_FIELD_LETTERS:
                    kept[str.__str__(name)] = sent[:MAX_FIELD_LETTERS]
                    trouble.append(
                        f"{shown(name, 150)} was cut: expected at most {MAX_FIELD_LETTERS} letters."
                    )
        except Exception as error:  # noqa: BLE001 - whatever it is, the other fields can be sent
            trouble.append(f"{shown(name, 150)} was left out: {said(error)}")
    return kept, trouble


def _value_of(value: object) -> Value:
    if isinstance(value, Tensor) and value.device.type != "cpu":
        raise ValueError(
            f"it is a tensor on {value.device}, for which training would wait; bring it to the host."
        )
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.numel() == 1):
        value = value.item()
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int) and int(value) in _INTEGERS:
        return int(value)
    if isinstance(value, float):
        return float(value)
    # half a letter is no text
    return str(value).encode(errors="backslashreplace").decode()


def _is_text(name: str) -> bool:
    return name.encode(errors="replace").decode() == name
