"""What a run is surrounded by, for people to read: host, versions, device, commit.

Everything is looked up in the background, without a process, without a library that is not there already,
and without CUDA being made ready. Of the environment's variables none is read but the numbers that a scheduler gave.
"""

import contextlib
import importlib.metadata
import os
import platform
import re
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import distributed as dist

LIBRARIES = (
    "rolloutwatch", "numpy", "redis", "transformers", "vllm", "sglang", "verl", "trl", "accelerate", "deepspeed",
    "megatron-core", "flash-attn", "ray",
)  # fmt: skip
SCHEDULERS = ("SLURM_JOB_ID", "RAY_JOB_ID")
MAX_COMMAND_LETTERS = 500

_DRIVER = Path("/proc/driver/nvidia/gpus")
_SECRET = r"[\w.+-]*(?:keys?|token|secrets?|passw(?:or)?ds?|passphrase|credentials?|auth)"
_NAMED = re.compile(rf"({_SECRET})=.*", re.IGNORECASE | re.DOTALL)
_NESTED = re.compile(
    rf"""({_SECRET}['"]?\s*[=:]\s*)(?:'[^']*'|"[^"]*"|[^\s,}}\]'"]+)""", re.IGNORECASE
)  # as in {"api_key": "..."}
_OPTION = re.compile(rf"-{_SECRET}", re.IGNORECASE)
_IN_A_URL = re.compile(r"(?<=://)[^/@\s]*@")
_HIDDEN = "***"


def _facts() -> dict[str, Callable[[], object]]:
    return {
        "host": socket.gethostname,
        "pid": os.getpid,
        "python": platform.python_version,
        "torch": lambda: torch.__version__,
        **{name: lambda name=name: importlib.metadata.version(name) for name in LIBRARIES},  # type: ignore[misc]
        "cuda": lambda: torch.version.cuda or "",
        "device": lambda: devices()[0],
        "devices": lambda: len(devices()) or "",
        "rank": lambda: dist.get_rank() if dist.is_initialized() else "",
        "world_size": lambda: dist.get_world_size() if dist.is_initialized() else "",
        **{name.lower(): lambda name=name: os.environ.get(name, "") for name in SCHEDULERS},  # type: ignore[misc]
        "command": lambda: " ".join(without_secrets(sys.argv))[:MAX_COMMAND_LETTERS],
        "git_commit": lambda: git_commit(Path.cwd()),
    }


def environment() -> dict[str, str]:
    """Return what is known of the surroundings; a fact that cannot be had, of a deleted folder say, is left out."""
    found = {}
    for name, look in _facts().items():
        with contextlib.suppress(Exception):
            # arguments and names of files need not be text
            found[name] = str(look()).encode(errors="backslashreplace").decode()
    return {name: value for name, value in found.items() if value}


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """Return arguments of a command without the values of those whose name says key, token, password or secret."""
    shown, hides_next = [], False
    for argument in (whole[:MAX_COMMAND_LETTERS] for whole in arguments):
        if hides_next and not argument.startswith("--"):
            shown.append(_HIDDEN)
            hides_next = False
            continue
        hides_next = _OPTION.fullmatch(argument) is not None
        if named := _NAMED.fullmatch(argument):
            shown.append(f"{named[1]}={_HIDDEN}")
        else:
            shown.append(_IN_A_URL.sub(f"{_HIDDEN}@", _NESTED.sub(rf"\1{_HIDDEN}", argument)))
    return shown


def git_commit(folder: Path) -> str:
    """Return the commit that is checked out around a folder, "" if there is none; starts no process."""
    for parent in (folder, *folder.parents):
        git = parent / ".git"
        if git.is_dir():
            return _commit_in(git)
        if git.is_file():  # of a worktree or a submodule
            return _commit_in(parent / git.read_text().removeprefix("gitdir:").strip())
    return ""


def _commit_in(git: Path) -> str:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    shared = git / "commondir"
    common = git / shared.read_text().strip() if shared.exists() else git
    for folder in (git, common):
        if (folder / name).exists():
            return (folder / name).read_text().strip()
    return _packed(name, (common / "packed-refs").read_text().splitlines())


def _packed(name: str, lines: Iterable[str]) -> str:
    return next((line.split()[0] for line in lines if line.endswith(f" {name}")), "")


def devices(driver: Path = _DRIVER) -> list[str]:
    """Return the names of the GPUs of this host; asks CUDA where it is ready, else the driver's files."""
    if torch.cuda.is_initialized():
        return [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    return [_model(file.read_text()) for file in sorted(driver.glob("*/information"))]


def _model(text: str) -> str:
    return next(
        (line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Model:")), ""
    )
