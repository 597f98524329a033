"""The caller's `decode`, called where it can neither keep records from the disk nor break the thread that writes them."""

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from rolloutwatch.drops import DropReason, Ledger
from rolloutwatch.shown import told
from rolloutwatch.tokens import TokenCapture, numbers_of, read
from rolloutwatch_contract import SequenceTokens

SECONDS_TO_DECODE = 2.0  # of a step, which covers a slow tokenizer's first few thousand tokens
PATIENCE = 3  # steps that were waited for in vain


class Decoder:
    """Makes text of the tokens of a step, within a limit of time; numbers where that fails, which is counted.

    While a call is still going on that took too long, nothing is waited for; what it finds in the end is known then.
    """

    def __init__(self, capture: TokenCapture, ledger: Ledger, seconds: float = SECONDS_TO_DECODE) -> None:
        self._capture = capture
        self._ledger = ledger
        self._seconds = seconds
        self._thread: threading.Thread | None = None
        self._waited_in_vain = 0

    def read(self, step: int, rows: npt.NDArray[np.int64]) -> tuple[SequenceTokens, ...]:
        """Return tokens that `tokens.captured` has packed, as the record has them; never raises."""
        unknown = sorted(set().union(*map(numbers_of, rows)) - self._capture.known())
        text = self._capture.text if not unknown or self._learn(step, unknown) else str
        return tuple(read(row, text) for row in rows)

    def _learn(self, step: int, numbers: list[int]) -> bool:
        """Have some numbers decoded; tell whether all of them are known now."""
        if self._waited_in_vain == PATIENCE or (self._thread is not None and self._thread.is_alive()):
            self._without(step, "it takes too long")
            return False
        failed: list[BaseException] = []
        try:
            self._thread = threading.Thread(
                target=self._decode, args=(numbers, failed.append), name="rolloutwatch-decode", daemon=True
            )
            self._thread.start()
        except RuntimeError as error:  # the interpreter is at its end
            self._thread = None
            self._without(step, f"it could not be called: {told(error)}")
            return False
        self._thread.join(self._seconds)
        if self._thread.is_alive():
            self._lose_patience(step)
            return False
        if failed:
            self._without(step, f"it raised {told(failed[0])}")
        return not failed

    def _decode(self, numbers: list[int], failed: Callable[[BaseException], None]) -> None:
        try:
            for number in numbers:
                self._capture.text(number)
        except BaseException as error:  # noqa: BLE001 - it is the caller's function, whose libraries panic
            failed(error)

    def _lose_patience(self, step: int) -> None:
        self._waited_in_vain += 1
        self._without(step, f"it took more than {self._seconds:g} s")
        if self._waited_in_vain == PATIENCE:
            self._ledger.say_once(
                "decode",
                f"decode took more than {self._seconds:g} s in {PATIENCE} steps, and is not called any more in this run: "
                "tokens that are not known yet are shown by their numbers. Give TokenCapture a faster decode.",
            )

    def _without(self, step: int, why: str) -> None:
        self._ledger.drop(
            DropReason.NOT_DECODED,
            f"Tokens of step {step} are shown by their numbers, because of decode: {why}.",
        )
