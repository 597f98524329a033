"""The command `rolloutwatch serve`."""

import os
import sys
from collections.abc import Sequence

from rolloutwatch_server import logs
from rolloutwatch_server.settings import SettingError, parse


def serve(arguments: Sequence[str]) -> int:
    """Serve until interrupted; returns the exit code."""
    from rolloutwatch_server.serve import CannotServe  # the web stack is loaded when it is needed
    from rolloutwatch_server.serve import serve as serve_with

    try:
        os.umask(0o077)  # what is written here, and by a Redis started here, is for its owner alone
        settings = parse(arguments, os.environ)
        logs.set_up(settings.log_format, settings.log_level)
        serve_with(settings)
    except (SettingError, CannotServe) as error:
        print(f"rolloutwatch serve: {error}", file=sys.stderr)
        return 2
    return 0
