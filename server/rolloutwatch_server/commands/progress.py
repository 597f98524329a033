"""A bar on the terminal that tells how far a long command is; nothing where there is no terminal."""

import sys
import time
from types import TracebackType

_WIDTH = 30
_SECONDS_BETWEEN = 0.1
_UNITS = ("B", "kB", "MB", "GB", "TB")


class Bar:
    """One line on stderr that is written over, and taken away in the end."""

    def __init__(self, label: str, unit: str = "") -> None:
        self._label = label
        self._unit = unit
        self._shown_at = 0.0
        self._is_shown = False
        self._terminal = sys.stderr.isatty()

    def __enter__(self) -> "Bar":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self, done: int, whole: int = 0) -> None:
        """Tell how much is done, and of how much if that is known."""
        now = time.monotonic()
        if not self._terminal or now - self._shown_at < _SECONDS_BETWEEN:
            return
        self._shown_at, self._is_shown = now, True
        sys.stderr.write(f"\r{self._label} {self._text(done, whole)}\x1b[K")
        sys.stderr.flush()

    def _text(self, done: int, whole: int) -> str:
        if whole <= 0:
            return self._amount(done)
        share = min(done / whole, 1.0)
        filled = int(share * _WIDTH)
        return f"[{'#' * filled}{'.' * (_WIDTH - filled)}] {share:4.0%} of {self._amount(whole)}"

    def _amount(self, count: int) -> str:
        if self._unit:
            return f"{count} {self._unit}"
        size, unit = float(count), 0
        while size >= 1000 and unit < len(_UNITS) - 1:
            size, unit = size / 1000, unit + 1
        return f"{size:.0f} {_UNITS[unit]}" if unit == 0 else f"{size:.1f} {_UNITS[unit]}"
