"""What a person sees: the first chart of a long run, and a chart that is drawn anew, in a real headless browser."""

from pathlib import Path

from benchmarks.server.report import Figures
from benchmarks.server.servers import Server


def look(server: Server, redis_url: str, steps: int, folder: Path, reasons: list[str]) -> Figures:
    return {}
