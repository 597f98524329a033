"""Pages that are printed from what the program knows: written, or compared with what would be written."""

import sys
from pathlib import Path


def write_or_check(page: Path, text: str, source: str) -> int:
    """Write a page, or compare it if `--check` is asked for; returns the exit code. `source` is what it is printed from."""
    if "--check" not in sys.argv[1:]:
        page.write_text(text, encoding="utf-8")
        return 0
    if page.exists() and page.read_text(encoding="utf-8") == text:
        return 0
    print(
        f"{page.relative_to(Path(__file__).parents[1])} is not what {source}: run 'make docs' and commit it.",
        file=sys.stderr,
    )
    return 1
