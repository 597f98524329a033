"""Words for what a trainer has handed over, whatever that is: a message must not cost what it is about."""

import reprlib

from torch import Tensor

LETTERS = 100


def shown(value: object, letters: int = LETTERS) -> str:
    """Return how a value looks, cut; never raises, and never waits for a device."""
    try:
        if isinstance(value, Tensor):
            return f"a tensor of {value.dtype} and shape {tuple(value.shape)} on {value.device}"
        # all of a list of a million would take as long as a step
        is_long = isinstance(value, list | tuple | dict | set | frozenset)
        return _cut(reprlib.repr(value) if is_long else repr(value), letters)
    except Exception:  # noqa: BLE001 - of an integer of thousands of digits, say, or of somebody's own class
        return f"a {_kind(value)} that cannot be shown"


def told(error: BaseException, letters: int = 1000) -> str:
    """Return what an exception says, with its kind before it; never raises."""
    return f"{_kind(error)}: {said(error, letters)}"


def said(error: BaseException, letters: int = 1000) -> str:
    """Return what an exception says; never raises."""
    try:
        return _cut(str(error), letters)
    except Exception:  # noqa: BLE001 - it is somebody's own
        return "it does not say what"


def _cut(text: str, letters: int) -> str:
    """Return the beginning of a text, of no class but str, and without half letters."""
    return str.__getitem__(text, slice(letters)).encode(errors="backslashreplace").decode()


def _kind(value: object) -> str:
    try:
        return _cut(type(value).__name__, LETTERS)
    except Exception:  # noqa: BLE001 - of a class whose class is somebody's own
        return "thing"
