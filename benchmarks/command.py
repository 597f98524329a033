"""What the commands of benchmarks made of sections have in common: how they are called, and where figures go."""

import argparse
import json
import signal
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from benchmarks.measure import environment, where
from benchmarks.report import Bar, Figures, show


def parser(name: str, about: str | None, sections: Collection[str]) -> argparse.ArgumentParser:
    """Return a parser that knows --quick, --json and the names of sections."""
    made = argparse.ArgumentParser(prog=f"python -m benchmarks.{name}", description=about)
    made.formatter_class = argparse.RawDescriptionHelpFormatter
    made.add_argument("--quick", action="store_true", help="less of everything, in less than 50 s")
    made.add_argument("--json", type=Path, metavar="FILE", help="write the figures to this file too")
    made.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(sections))
    return made


def arguments(made: argparse.ArgumentParser, sections: Collection[str]) -> argparse.Namespace:
    """Return what the command was called with, all sections where none is named; one that is not known ends it.

    From now on a SIGTERM ends what was started first, and then the command.
    """
    given = made.parse_args()
    if unknown := set(given.sections) - set(sections):
        made.error(f"no section {', '.join(sorted(unknown))}: expected {', '.join(sections)}.")
    given.sections = given.sections or list(sections)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    return given


def tell(
    figures: Figures,
    meanings: Mapping[str, str],
    bars: Mapping[str, Bar],
    given: argparse.Namespace,
    *,
    peers: Mapping[str, str] | None = None,
    reasons: Sequence[str] = (),
    **more: str | int | float | None,
) -> None:
    """Print figures as a table and write them where asked to, with what they were measured on and `more` about that."""
    print(where())
    show(figures, meanings, bars, peers, reasons)
    if given.json:
        on = environment() | {"quick": given.quick, **more}
        given.json.write_text(json.dumps({"figures": figures, "environment": on}, indent=2) + "\n")
