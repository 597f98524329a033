"""A run that is judged in memory, with the past of it at hand for where it goes back."""

from rolloutwatch_server.alerts.evaluation import RunAlerts
from rolloutwatch_server.alerts.feed import Fed, Piece


class InMemory:
    """All that a run brings; `pieces` are what counts of it, in the order in which it came."""

    def __init__(self, alerts: RunAlerts) -> None:
        self.alerts = alerts
        self._pieces: list[tuple[int, Piece]] = []  # each with the step that was open once it had come

    @property
    def pieces(self) -> list[Piece]:
        return [piece for _, piece in self._pieces]

    def feed(self, piece: Piece) -> Fed:
        """Judge figures that have come, and go back first if the run does."""
        back = self._go_back(piece) if self.alerts.goes_back(piece) else Fed([], {}, [])
        fed = self.alerts.feed(piece)
        self._pieces.append((self.alerts.open_step, piece))
        return Fed(back.transitions + fed.transitions, {**back.states, **fed.states}, back.notes + fed.notes)

    def _go_back(self, piece: Piece) -> Fed:
        fed = self.alerts.rewind(piece)
        self._pieces = [(during, one) for during, one in self._pieces if during < piece.step]
        self.alerts.warm(self.pieces)
        return fed
