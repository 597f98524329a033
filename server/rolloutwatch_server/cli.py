"""The command `rolloutwatch`."""

import argparse
import logging
import os
import sys
from collections.abc import Sequence

from rolloutwatch_contract.presets import PRESETS, as_yaml, preset
from rolloutwatch_server import __version__
from rolloutwatch_server.settings import SettingError, parse

_USAGE = """usage: rolloutwatch COMMAND [OPTION ...]

commands:
  serve      read what trainers push, archive it, serve API and dashboard (rolloutwatch serve --help)
  presets    print configurations of the correction by name, as YAML to copy (rolloutwatch presets --help)
  version    print the version
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    command, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if command == "serve":
        return _serve(rest)
    if command == "presets":
        return _presets(rest)
    if command in ("version", "--version"):
        print(f"rolloutwatch {__version__}")
        return 0
    known = command in ("help", "--help", "-h")
    print(
        _USAGE if known else f"rolloutwatch: no command {command!r}.\n{_USAGE}",
        file=sys.stdout if known else sys.stderr,
    )
    return 0 if known else 2


def _serve(arguments: Sequence[str]) -> int:
    from rolloutwatch_server.serve import CannotServe, serve  # the web stack is loaded when it is needed

    try:
        settings = parse(arguments, os.environ)
        logging.basicConfig(
            level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
        )
        serve(settings)
    except (SettingError, CannotServe) as error:
        print(f"rolloutwatch serve: {error}", file=sys.stderr)
        return 2
    return 0


def _presets(arguments: Sequence[str]) -> int:
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
