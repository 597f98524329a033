"""How many steps of a run were judged again."""

from collections.abc import Iterable, Iterator

from rolloutwatch_server.alerts.feed import Piece


class Steps:
    """Counts the steps that were judged, from `first` to `last`, among all that has a place in a run.

    A note may stand at a step that never was: that a run ended stands behind its last one.
    """

    def __init__(self) -> None:
        self.first: int | None = None
        self.last: int | None = None
        self.count = 0
        self._shown = -1

    def of(self, pieces: Iterable[Piece]) -> Iterator[Piece]:
        """Yield the pieces that are shown of a run, on their way to be judged."""
        for piece in pieces:
            self._shown = piece.step
            yield piece

    def judged(self, step: int) -> None:
        """Count a place at which something was judged, if it is a step that is not counted yet."""
        if step == self._shown and step != self.last:
            self.first = step if self.first is None else self.first
            self.last = step
            self.count += 1
