"""Print docs/settings.md from the table of the server's settings; with --check only tell whether it is fresh."""

import sys
from pathlib import Path

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
    text = page()
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    if PAGE.exists() and PAGE.read_text(encoding="utf-8") == text:
        return 0
    print("docs/settings.md is not what the settings say: run 'make docs' and commit it.", file=sys.stderr)
    return 1


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
