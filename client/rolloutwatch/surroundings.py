"""What a run is surrounded by, for people to read: host, versions, device, commit."""

import contextlib
import os
import platform
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch


def _device() -> str:
    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else ""


_FACTS: Mapping[str, Callable[[], object]] = {
    "host": socket.gethostname,
    "pid": os.getpid,
    "python": platform.python_version,
    "torch": lambda: torch.__version__,
    "command": lambda: " ".join(sys.argv)[:500],
    "git_commit": lambda: _git_commit(Path.cwd()),
    "device": _device,
}


def environment() -> dict[str, str]:
    """Return what is known of the surroundings; a fact that cannot be had, of a deleted folder say, is left out."""
    found = {}
    for name, look in _FACTS.items():
        with contextlib.suppress(Exception):
            # arguments and names of files need not be text
            found[name] = str(look()).encode(errors="backslashreplace").decode()
    return {name: value for name, value in found.items() if value}


def _git_commit(folder: Path) -> str:
    """Return the commit that is checked out around a folder, "" if there is none; starts no process."""
    for parent in (folder, *folder.parents):
        try:
            head = (parent / ".git" / "HEAD").read_text().strip()
            return (
                (parent / ".git" / head.removeprefix("ref: ")).read_text().strip()
                if head.startswith("ref: ")
                else head
            )
        except OSError:
            continue
    return ""
