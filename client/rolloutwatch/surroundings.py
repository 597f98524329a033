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
_HIDDEN = "***"
_OPTION = re.compile(r"-{0,2}[+~]{0,2}[A-Za-z_][A-Za-z0-9_./-]{0,79}", re.ASCII)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# of a word in an option's name whose value is nobody's business
_SUSPICIOUS = re.compile(
    r".*(?:keys?|token|secrets?|pass|passw(?:or)?ds?|pwd|pw|auth|user|login|cookies?)"
    r"|(?:pass|secret|cred|auth|cookie|sig|cert|priv|bearer|session|header|login|user|oauth).*"
    r"|pin|otp|mfa|sas|dsn|pem|jwt|url|uri|email|mail|salt|seedphrase|license|licence|p|h|u|b|d",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[+-]?(?:[0-9][0-9_]{0,11})?(?:\.[0-9]{0,12})?(?:[eE][+-]?[0-9]{1,3})?", re.ASCII)
_FLAG = re.compile(r"true|false|none|null|yes|no|on|off", re.IGNORECASE)
_WORDS = re.compile(r"[A-Za-z0-9_./,+-]{1,39}", re.ASCII)
# a word of letters, and what models and versions are called; a random one is longer, or has both
_PLAIN = re.compile(r"[A-Za-z]{0,20}|[0-9]{1,8}|[A-Za-z0-9]{1,6}", re.ASCII)
_SEPARATOR = re.compile(r"[_./,+-]")
# what keys begin with: of Hugging Face, OpenAI, GitHub, GitLab, Slack, AWS, Google, npm, PyPI, JWT
_KEY = re.compile(
    r"(?:hf|sk|pk|rk|gh[a-z]|github|glpat|xox[a-z]|npm|pypi)[_-].*|(?:AKIA|ASIA|AIza|eyJ).*", re.ASCII
)


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
    """Return a command with the names of its options, and values only where they are plainly harmless.

    That is a number, a flag, or a short path of words, of an option whose name does not sound like a secret;
    whatever else there is, a URL, a header, a text in quotes, somebody may have put a password into.
    """
    script = [Path(argument).name for argument in arguments[:1]]
    value = _Value()
    return [
        *(name if _is_harmless(name) else _HIDDEN for name in script),
        *(value.shown(argument) for argument in arguments[1:]),
    ]


class _Value:
    """What is known of the next argument: which option it may be the value of."""

    def __init__(self) -> None:
        self._may_be_shown = True
        self._is_awaited = False  # after an option that sounds like a secret, which takes whatever comes

    def shown(self, argument: str) -> str:
        """Return how an argument is shown."""
        if self._is_awaited:
            self._is_awaited = False
            return _HIDDEN
        name, equals, value = argument.partition("=")
        if equals and _OPTION.fullmatch(name):
            self._may_be_shown = True
            return f"{name}={value if _is_harmless(value, name) else _HIDDEN}"
        if argument.startswith("-") and not _NUMBER.fullmatch(argument):
            return self._option(argument)
        return argument if self._may_be_shown and _is_harmless(argument) else _HIDDEN

    def _option(self, argument: str) -> str:
        is_name = _OPTION.fullmatch(argument) is not None
        self._may_be_shown = is_name and not _is_suspicious(argument)
        self._is_awaited = not self._may_be_shown
        return argument if is_name else _HIDDEN


def _is_suspicious(name: str) -> bool:
    return any(_SUSPICIOUS.fullmatch(word) for word in _WORD.findall(name))


def _is_harmless(value: str, name: str = "") -> bool:
    if _FLAG.fullmatch(value):
        return True
    if _is_suspicious(name):
        return False
    if _NUMBER.fullmatch(value):
        return True
    is_short = _WORDS.fullmatch(value) is not None and not _KEY.fullmatch(value)
    return is_short and "tokens" not in name.lower() and all(map(_PLAIN.fullmatch, _SEPARATOR.split(value)))


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
