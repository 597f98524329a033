"""What a condition is made of.

A node is a number (Number, Metric, Negative, Absolute, Arithmetic, Over, Share) or a condition
(Comparison, Not, And, Or, Absent, Silent); the parser sees to it that each stands where it may.
Nodes are compared and hashed by what they say, so that the same one written twice is computed once.
"""

from typing import Literal

import msgspec

# so many times the median distance from their median is the standard deviation of normally distributed values
OF_A_NORMAL = 1.4826


class Number(msgspec.Struct, frozen=True):
    """A finite number, as written."""

    value: float


class Metric(msgspec.Struct, frozen=True):
    """The value of a metric at the step; unknown where it has none, or NaN. Infinity is a value."""

    name: str


class Negative(msgspec.Struct, frozen=True):
    """-operand."""

    operand: "Node"


class Absolute(msgspec.Struct, frozen=True):
    """abs(operand)."""

    operand: "Node"


class Arithmetic(msgspec.Struct, frozen=True):
    """Two numbers; divided by 0, or of infinities that cancel, it is unknown."""

    operator: Literal["+", "-", "*", "/"]
    left: "Node"
    right: "Node"


class Over(msgspec.Struct, frozen=True):
    """A figure of the last `samples` values of a metric, that of this step being the last; unknown until there are so many.

    NaN is no value. `mean`, `min`, `max` are what they say; `change` is the last less the first of them;
    `rate` is the slope of the least-squares line through them, per step; `off` is how far the last of them is from the
    median of those before it, in spreads: the median distance from that median times 1.4826, which is the standard deviation
    of normal values and is not moved by a few wild ones. Where most of them are equal the spread is 0, and `off` is 0 within
    all of them and infinite beyond.

    `trend` is Kendall's tau-a over time: of all pairs of these values the share that rises less the share that falls.
    `saw` is the same of the changes from each of them to the next alone.

    `jump` and `drift` compare with a baseline: of the values before one, at most `samples` - 1 and since the metric began to
    come from this session, the older half, but at least 20; with fewer they are unknown, and with fewer than `samples` known.
    They count by `scales` where the metric has one, in spreads, which are on a scale at least LEAST_SPREAD. `jump` is how far
    this value is from the median of the baseline. `drift` adds up how far the last 32 were from halfway between its quartiles,
    each without what it has from the one before it: a two-sided CUSUM, positive where they went up, negative where down.

    Where the metric has no value at this step all of them are unknown.
    """

    function: Literal["mean", "min", "max", "change", "rate", "off", "trend", "saw", "jump", "drift"]
    metric: str
    samples: int


class Comparison(msgspec.Struct, frozen=True):
    """Two numbers compared; unknown if one is."""

    operator: Literal["<", "<=", ">", ">=", "==", "!="]
    left: "Node"
    right: "Node"


class Not(msgspec.Struct, frozen=True):
    """True where the operand is false, and unknown where it is unknown."""

    operand: "Node"


class And(msgspec.Struct, frozen=True):
    """True if all are true, false if one is false, else unknown."""

    operands: tuple["Node", ...]


class Or(msgspec.Struct, frozen=True):
    """True if one is true, false if all are false, else unknown."""

    operands: tuple["Node", ...]


class Share(msgspec.Struct, frozen=True):
    """Of the last `steps` steps at which a condition was known the share, from 0 to 1, at which it was true.

    A number. This step is the last of them; unknown until there are so many, and where the condition is unknown.
    """

    condition: "Node"
    steps: int


class Absent(msgspec.Struct, frozen=True):
    """True if a metric that has come before has not come at the last `steps` steps, this one included.

    Unknown as long as the metric never came, and while this step may still bring it; false as soon as it has come lately.
    """

    metric: str
    steps: int


class Silent(msgspec.Struct, frozen=True):
    """True if a run that has not ended has had no step for `seconds`, and for `steps` times its usual time for one.

    Judged by the clock of the server, and the whole of its condition.
    """

    seconds: float
    steps: float


Node = (
    Number
    | Metric
    | Negative
    | Absolute
    | Arithmetic
    | Over
    | Share
    | Comparison
    | Not
    | And
    | Or
    | Absent
    | Silent
)


class Condition(msgspec.Struct, frozen=True):
    """A condition: what was written, and what it says."""

    text: str
    node: Node
