"""An environment that holds one distribution and what it declares to need, and nothing else.

It is made of links to what is installed here, so it takes no time and no network,
and a dependency that is used but not declared is missing in it, as it would be for a user.
"""

import re
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def environment_with_only(name: str, directory: Path) -> Path:
    """Fill `directory` with links to the packages of `name` and of all that it depends on; return it."""
    for found in closure(name):
        for source, target in packages_of(found):
            link = directory / target
            if not link.exists():
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(source)
    return directory


def closure(name: str) -> list[Distribution]:
    """Return a distribution and everything that it needs, directly or not, on this platform."""
    found: dict[str, Distribution] = {}
    asked = [(name, frozenset[str]())]
    while asked:
        wanted, extras = asked.pop()
        key = f"{canonical(wanted)}[{','.join(sorted(extras))}]"
        if key in found:
            continue
        found[key] = distribution(wanted)
        for line in found[key].requires or []:
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
                asked.append((requirement.name, frozenset(requirement.extras)))
    return list(found.values())


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def packages_of(found: Distribution) -> list[tuple[Path, Path]]:
    """Return what to link, and under which name: packages, modules and metadata, of editable installs too."""
    site = Path(str(found.locate_file("")))
    files = [Path(str(file)) for file in found.files or []]
    tops = {file.parts[0] for file in files if file.parts[0] not in ("..", "__pycache__")}
    links = [(site / top, Path(top)) for top in sorted(tops) if not top.endswith(".pth")]
    for pointer in (file for file in files if file.name.startswith("_editable_impl_")):
        root = Path((site / pointer).read_text().strip())
        links += [(package.parent, Path(package.parent.name)) for package in root.glob("*/__init__.py")]
    return links
