"""The functions of the language: what each takes, and the node it makes."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from rolloutwatch_contract.conditions.nodes import Absent, Absolute, Node, Over, Share, Silent

MOST_SAMPLES = 10_000
MOST_SECONDS = 1e9

Expression = Literal["metric", "number", "condition"]


class Literally(NamedTuple):
    """An argument that is written as a number, not computed."""

    what: str
    lowest: float
    highest: float
    is_whole: bool
    otherwise: float | None = None

    @property
    def expected(self) -> str:
        """Return what may stand here, in words."""
        return f"{self.what}, {'an integer' if self.is_whole else 'a number'} from {self.lowest:g} to {self.highest:g}"


class Function(NamedTuple):
    """One function: how it is written, its arguments, and what they make."""

    usage: str
    arguments: "tuple[Expression | Literally, ...]"
    make: Callable[..., Node]


_SAMPLES = Literally("how many values", 2, MOST_SAMPLES, is_whole=True)
# of which the older half is what is usual, and less than 20 say nothing of that
_TO_LOOK_BACK = _SAMPLES._replace(lowest=40)
_STEPS = Literally("how many steps", 1, MOST_SAMPLES, is_whole=True)


def _over(name: Any, samples: Literally = _SAMPLES) -> Function:
    return Function(
        f"{name}(metric, samples)", ("metric", samples), lambda metric, count: Over(name, metric, count)
    )


FUNCTIONS: Mapping[str, Function] = {
    **{name: _over(name) for name in ("mean", "min", "max", "change", "rate", "off", "trend", "saw")},
    **{name: _over(name, _TO_LOOK_BACK) for name in ("jump", "drift")},
    "share": Function(
        "share(condition, steps)", ("condition", _SAMPLES._replace(what="how many steps")), Share
    ),
    "abs": Function("abs(number)", ("number",), Absolute),
    "absent": Function("absent(metric, steps)", ("metric", _STEPS), Absent),
    "silent": Function(
        "silent(seconds, steps)",
        (
            Literally("how many seconds", 1, MOST_SECONDS, is_whole=False),
            Literally("how many times the usual time of a step", 0, MOST_SAMPLES, False, otherwise=10),
        ),
        Silent,
    ),
}
