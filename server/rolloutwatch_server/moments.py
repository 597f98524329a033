"""Where a batch is on its way from Redis into the archive, for whoever brings about a fault at a chosen moment."""

import enum
from collections.abc import Callable


class Moment(enum.Enum):
    """What has just been done with a batch; its next steps have not begun."""

    READ = "read"
    WRITTEN = "written"  # all of it, in a transaction that is not committed
    COMMITTED = "committed"
    LET_GO = "let-go"  # trimmed and acknowledged
    ANNOUNCED = "announced"


Reached = Callable[[Moment], None]


def go_on(moment: Moment) -> None:
    """Do nothing, as in all good order."""
