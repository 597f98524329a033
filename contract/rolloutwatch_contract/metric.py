"""What a figure is: its name, unit, level, ideal value, meaning and formula."""

import enum

import msgspec


class Group(enum.Enum):
    """Where a figure stands on a page, in this order."""

    HEALTH = "health"
    DISTRIBUTION = "distribution"
    DIAGNOSTICS = "diagnostics"
    PERPLEXITY = "perplexity"
    KL = "kl"
    RATIO = "ratio"
    REJECTION = "rejection"
    DATA = "data"


class Level(enum.Enum):
    """What one sample of the figure is."""

    TOKEN = "token"
    SEQUENCE = "sequence"
    BATCH = "batch"


class Better(enum.Enum):
    """Which way is good."""

    LOWER = "lower"
    HIGHER = "higher"
    IDEAL = "ideal"
    NEITHER = "neither"


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One figure. `needs` names the configuration key that brings it; empty means it always comes."""

    name: str
    title: str
    group: Group
    level: Level
    unit: str
    better: Better
    ideal: float | None = None
    meaning: str
    formula: str
    needs: str = ""


FRACTION = "fraction"
FACTOR = "factor"
NATS = "nats"
COUNT = "count"
PERPLEXITY = "perplexity"
