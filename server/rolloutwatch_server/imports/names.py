"""What imported metrics are called in the archive, and what is to be said of that.

A name of the mapping becomes that of the catalogue. Any other one is kept, and where the archive could not have it,
made valid: every letter that is not one of `A-Z a-z 0-9 _ . / @ -` becomes `_`, `_` is put before a first letter
that may not begin a name, and of a name of more than 128 letters the first 119 stay, with a hash of all of it behind.
Where two names would become one, the one that came first has it, and the other is called `<name>_2`, and so on;
so is what would come to be called as a figure of the catalogue is, and is not that figure.
"""

import hashlib
import re

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.names import MAX_NAME_LENGTH, is_metric_name
from rolloutwatch_server.imports.mapping import NOT_BY_NAME, metric_of
from rolloutwatch_server.imports.refusal import shown

MOST_NAMES = 4096  # of one run
_LETTERS_KEPT = 119
_NOT_OURS = re.compile(r"[^A-Za-z0-9_./@-]")


class TooManyNames(ValueError):
    """A run has more metrics than an archive takes."""


class Names:
    """The names of one run, in the order in which they come."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._taken: set[str] = set()
        self.mapped: dict[str, str] = {}
        self.changed: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """Return what a metric is called in the archive."""
        if name not in self._given:
            if len(self._given) >= MOST_NAMES:
                raise TooManyNames(
                    f"expected at most {MOST_NAMES} metrics in a run; came {shown(name)} as one more"
                )
            self._given[name] = self._choose(name)
        return self._given[name]

    @property
    def kept(self) -> list[str]:
        """Return the names that stand in the archive as they stood in the file."""
        return [name for name, own in self._given.items() if name == own]

    @property
    def alike(self) -> list[str]:
        """Return what is to be said of names that could be taken for figures of the catalogue."""
        return [
            f"{name} ({one.trainer}) is not {one.not_metric}: {one.why}"
            for name in self._given
            if (one := NOT_BY_NAME.get(name)) is not None
        ]

    def _choose(self, name: str) -> str:
        metric = metric_of(name)
        if metric is not None and metric not in self._taken:
            self._taken.add(metric)
            if metric != name:
                self.mapped[name] = metric
            return metric
        own = self._free(valid(name))
        if own != name:
            self.changed[name] = own
        return own

    def _free(self, name: str) -> str:
        number, free = 1, name
        while (
            free in self._taken or free in METRICS
        ):  # a name of the catalogue is given to what is that figure alone
            number += 1
            end = f"_{number}"
            free = name[: MAX_NAME_LENGTH - len(end)] + end
        self._taken.add(free)
        return free


def valid(name: str) -> str:
    """Return a name that the archive can have; the name itself if it can have that."""
    if is_metric_name(name):
        return name
    own = _NOT_OURS.sub("_", name)
    if not own or own[0] in "./@-":
        own = "_" + own
    if len(own) <= MAX_NAME_LENGTH:
        return own
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{own[:_LETTERS_KEPT]}_{digest}"


def valid_run_name(name: str) -> str:
    """Return what a project or a run may be called."""
    own = re.sub(r"[^A-Za-z0-9_.-]", "-", name)[:MAX_NAME_LENGTH]
    return own if own and own[0].isalnum() else f"run{own}"[:MAX_NAME_LENGTH]
