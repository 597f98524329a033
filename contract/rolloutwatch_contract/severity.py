"""How bad something is."""

import enum


class Severity(enum.IntEnum):
    """How bad it is, the worst last."""

    OK = 0
    WARNING = 1
    CRITICAL = 2

    @property
    def word(self) -> str:
        """Return the name as people write it."""
        return self.name.lower()
