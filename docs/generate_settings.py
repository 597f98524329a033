"""Print docs/settings.md from the table of the server's settings; with --check only tell whether it is fresh."""

import sys
from pathlib import Path

from generating import write_or_check

from rolloutwatch_server.settings import SETTINGS, Setting

BAR = r"\|"  # a bar inside a cell
PAGE = Path(__file__).with_name("settings.md")

INTRODUCTION = """# Settings of the server

Printed by `make docs` from `server/rolloutwatch_server/settings.py`; edit that.

An option of `rolloutwatch serve` goes before the environment variable, which goes before the default.
A value that cannot be is refused at the start, with what was expected.

"""


def main() -> int:
    """Write the page, or compare it; returns the exit code."""
    return write_or_check(PAGE, page(), "the settings say")


def page() -> str:
    """Return the whole page."""
    lines = [["option", "environment variable", "default", "meaning"], ["---"] * 4, *map(row, SETTINGS)]
    return INTRODUCTION + "".join(
        f"| {' | '.join(cell.replace('|', BAR) for cell in line)} |\n" for line in lines
    )


def row(setting: Setting) -> list[str]:
    """Return the cells of one setting."""
    default = "" if setting.default in (None, False, ()) else f"`{setting.default}`"
    return [f"`{setting.flag}`", f"`{setting.variable}`", default, setting.help]


if __name__ == "__main__":
    sys.exit(main())
