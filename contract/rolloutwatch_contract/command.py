"""The command `rolloutwatch`, on the trainer's host and on the server's: what it can do depends on what is installed.

A command is an entry point of the group COMMANDS, a function that takes the arguments and returns the exit code.
So trainer and server, which never know each other, have one command together.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points

from rolloutwatch_contract.presets import PRESETS, as_yaml, preset

COMMANDS = "rolloutwatch.commands"


@dataclass(frozen=True)
class Command:
    """A command as the usage tells of it, and what brings it: a distribution, and how that is installed."""

    name: str
    summary: str
    distribution: str
    folders: str


KNOWN = (
    Command(
        "serve",
        "read what trainers push, archive it, serve API and dashboard (rolloutwatch serve --help)",
        "rolloutwatch-server",
        "./contract ./dashboard ./server",
    ),
    Command(
        "backup",
        "copy the archive while the server runs (rolloutwatch backup --help)",
        "rolloutwatch-server",
        "./contract ./dashboard ./server",
    ),
    Command(
        "export",
        "write a run to CSV, JSONL, Parquet or an archive file of its own (rolloutwatch export --help)",
        "rolloutwatch-server",
        "./contract ./dashboard ./server",
    ),
    Command(
        "import",
        "read past runs into the archive (rolloutwatch import --help)",
        "rolloutwatch-server",
        "./contract ./dashboard ./server",
    ),
    Command(
        "rules",
        "try alert rules on a run of the archive (rolloutwatch rules --help)",
        "rolloutwatch-server",
        "./contract ./dashboard ./server",
    ),
    Command(
        "notify",
        "try whether those who are told of alerts can be reached (rolloutwatch notify --help)",
        "rolloutwatch-server",
        "./contract ./dashboard ./server",
    ),
    Command(
        "access",
        "make login links and passwords (rolloutwatch access --help)",
        "rolloutwatch-server",
        "./contract ./dashboard ./server",
    ),
    Command(
        "doctor",
        "check the way from this trainer to the archive (rolloutwatch doctor --help)",
        "rolloutwatch",
        "./contract ./correction ./client",
    ),
    Command(
        "deliver",
        "bring what trainers left on disk to Redis (rolloutwatch deliver --help)",
        "rolloutwatch",
        "./contract ./correction ./client",
    ),
    Command(
        "presets",
        "print configurations of the correction by name, as YAML to copy (rolloutwatch presets --help)",
        "rolloutwatch-contract",
        "./contract",
    ),
    Command("version", "print the version", "rolloutwatch-contract", "./contract"),
)
_HELP = ("help", "--help", "-h")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    name, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if name in _HELP:
        print(_usage())
        return 0
    run = _find("version" if name == "--version" else name)
    if run is None:
        print(_refusal(name), file=sys.stderr)
        return 2
    return run(rest)


def presets(arguments: Sequence[str]) -> int:
    """Print configurations of the correction."""
    parser = argparse.ArgumentParser(
        prog="rolloutwatch presets",
        description="Print configurations of the correction as YAML that can be copied into verl's.",
        allow_abbrev=False,
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="which ones; all of them if none is named")
    names = parser.parse_args(arguments).names or PRESETS
    try:
        chosen = [preset(name) for name in names]
    except ValueError as error:
        print(f"rolloutwatch presets: {error}", file=sys.stderr)
        return 2
    print("---\n".join(map(as_yaml, chosen)), end="")
    return 0


def version(arguments: Sequence[str]) -> int:
    """Print the version, which all distributions share."""
    from rolloutwatch_contract import __version__

    print(f"rolloutwatch {__version__}")
    return 0


def _find(name: str) -> "Callable[[Sequence[str]], int] | None":
    for entry in entry_points(group=COMMANDS, name=name):
        run: Callable[[Sequence[str]], int] = entry.load()  # what it needs is imported now and not before
        return run
    return None


def _usage() -> str:
    installed = entry_points(group=COMMANDS).names
    lines = [
        f"  {one.name:<10} {one.summary}"
        + ("" if one.name in installed else f" - not installed here, comes with {one.distribution}")
        for one in KNOWN
    ]
    return "\n".join(["usage: rolloutwatch COMMAND [OPTION ...]", "", "commands:", *lines, ""])


def _refusal(name: str) -> str:
    for one in KNOWN:
        if one.name == name:
            return (
                f"rolloutwatch {name}: not installed here. It comes with {one.distribution}; "
                f"in the repository: pip install {one.folders}"
            )
    return f"rolloutwatch: no command {name!r}.\n{_usage()}"
