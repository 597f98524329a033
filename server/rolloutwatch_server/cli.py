"""Command line of the server."""


def main() -> int:
    """Run the command."""
    raise SystemExit("not yet")
