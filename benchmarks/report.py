"""Figures by name, with what each has to be and what it means, as a table that a person can read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Bar:
    """What a figure has to be: at least so much where more is better, else at most."""

    limit: float
    at_least: bool = False

    def is_missed(self, figure: float) -> bool:
        """Tell whether a figure is on the wrong side."""
        return figure < self.limit if self.at_least else figure > self.limit

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.limit:,g}"


def complete(figures: Mapping[str, float | None], meanings: Mapping[str, str]) -> Figures:
    """Return every figure that has a meaning by name; None for what was not measured."""
    return {name: figures.get(name) for name in meanings}


def show(
    figures: Mapping[str, float | None],
    meanings: Mapping[str, str],
    bars: Mapping[str, Bar],
    peers: Mapping[str, str] | None = None,
    reasons: Sequence[str] = (),
) -> None:
    """Print each figure with its bar, with that of a peer beside it, and what it means; and why some are missing."""
    width = max(map(len, meanings)) + 2
    print(f"\n{'figure':<{width}}{'measured':>12}{'bar':>10}" + (f"{'peer':>12}" if peers else ""))
    for name, figure in figures.items():
        bar = bars.get(name)
        missed = "  missed" if bar and figure is not None and bar.is_missed(figure) else ""
        line = f"{name:<{width}}{_cell(figure)}{bar or ''!s:>10}"
        if peers:
            line += _cell(figures.get(peers[name])) if name in peers else f"{'':>12}"
        print(f"{line}  {meanings[name]}{missed}")
    for reason in reasons:
        print(f"\n{reason}")


def _cell(figure: float | None) -> str:
    if figure is None:
        return f"{'-':>12}"
    return f"{figure:>12,.0f}" if abs(figure) >= 100 or figure == int(figure) else f"{figure:>12.3g}"
