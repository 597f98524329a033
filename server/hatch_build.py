"""Brings the guides along, which lie in docs/guides of the repository, so that the server can show them."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACE = "rolloutwatch_server/guides"


class GuidesHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts them into what is built from the repository; what is built from an sdist has them from there."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add them, unless the server is only linked to: it then reads them where they lie."""
        root = Path(self.root)
        guides = root.parent / "docs" / "guides"
        if version == "editable" or (root / PLACE).is_dir():
            return
        if not guides.is_dir():
            raise FileNotFoundError(
                f"{guides} is not there: the server shows the guides of the repository. "
                "Build it where docs/guides lies beside server/."
            )
        build_data["force_include"][str(guides)] = PLACE
