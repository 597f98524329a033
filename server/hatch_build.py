"""Brings the documentation along, which lies in docs of the repository: the server shows guides and what they lead to."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "rolloutwatch_server/documentation"


class GuidesHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts it into what is built from the repository; what is built from an sdist has it from there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add it, unless the server is only linked to: it then reads it where it lies."""
        root = Path(self.root)
        docs = root.parent / "docs"
        if version == "editable" or (root / PLACE).is_dir():
            return
        if not (docs / "guides").is_dir():
            raise FileNotFoundError(
                f"{docs / 'guides'} is not there: the server shows the guides of the repository. "
                "Build it where docs lies beside server/."
            )
        shown = ("*.md", "guides/*.md", "guides/diagnosis/*.md", "decisions/*.md", "images/diagnosis/*.svg")
        for path in (one for pattern in shown for one in docs.glob(pattern)):
            build_data["force_include"][str(path)] = f"{PLACE}/{path.relative_to(docs)}"
