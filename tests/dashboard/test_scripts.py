"""The scripts of all pages share one object: what one of them puts there no other one may overwrite."""

import re
from collections import Counter

from rolloutwatch_dashboard.shell import HERE

DEFINED = re.compile(r"\brolloutwatch\.(\w+) = (?!\s*\(?rolloutwatch\.\w+ \|\|)(?!rolloutwatch\.\w+ \|\|)")


def test_no_name_is_defined_by_two_scripts() -> None:
    """The one that is loaded last would win, wherever the other one is meant; a shared `x = x || {}` is no definition."""
    scripts = sorted((HERE / "assets").glob("*.js"))
    found = Counter(
        name for script in scripts for name in set(DEFINED.findall(script.read_text(encoding="utf-8")))
    )
    assert len(found) > 50
    assert [name for name, times in found.items() if times > 1] == []
