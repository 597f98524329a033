"""The command `rolloutwatch doctor`: is the way from this trainer to the archive free, and if not, what is the cure?"""

import argparse
import os
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence

from rolloutwatch.examination import Finding, Verdict, examine
from rolloutwatch.spool import root_of
from rolloutwatch_contract import __version__
from rolloutwatch_contract.keys import DEFAULT_REDIS_URL, REDIS_URL_VARIABLE

SECONDS_AT_MOST = 15.0


def doctor(arguments: Sequence[str]) -> int:
    """Examine and report; returns 0 if nothing has failed, else 1."""
    options = _parser().parse_args(arguments)
    url, source = options.redis_url, "--redis-url"
    if url is None:
        url, source = os.environ.get(REDIS_URL_VARIABLE), REDIS_URL_VARIABLE
    if not url:
        url, source = DEFAULT_REDIS_URL, "the default"
    print(f"rolloutwatch {__version__}: from this host to the archive\n")
    verdicts: Counter[Verdict] = Counter()
    for finding in in_time(examine(url, source, root_of(options.spool_dir)), SECONDS_AT_MOST):
        verdicts[finding.verdict] += 1
        print(_lines(finding), flush=True)
    print(f"\n{_summary(verdicts)}")
    return 1 if verdicts[Verdict.FAILED] else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="rolloutwatch doctor",
        description="Check the way from this trainer to the archive, and name the cure for what is wrong. "
        "Exit code 0: nothing has failed; 1: something has; 2: wrong arguments.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--redis-url",
        metavar="URL",
        help=f"as for Monitor (default: {DEFAULT_REDIS_URL}) [{REDIS_URL_VARIABLE}]",
    )
    parser.add_argument(
        "--spool-dir",
        metavar="DIR",
        help="as for Monitor (default: ~/.local/state/rolloutwatch/spool) [ROLLOUTWATCH_SPOOL_DIR]",
    )
    return parser


def _lines(finding: Finding) -> str:
    line = f"  {finding.verdict.value:<9}{finding.what:<12}{finding.found}"
    return f"{line}\n{'cure: ':>23}{finding.cure}" if finding.cure else line


def _summary(verdicts: "Counter[Verdict]") -> str:
    failed, warnings = verdicts[Verdict.FAILED], verdicts[Verdict.WARNING]
    if not failed and not warnings:
        return "All is well."
    told = [f"{failed} failed"] * bool(failed) + [f"warnings: {warnings}"] * bool(warnings)
    return f"{', '.join(told)}."


def in_time(findings: Iterator[Finding], seconds: float) -> Iterator[Finding]:
    """Pass on findings as they come, and end in time whatever an examination hangs in."""
    told: queue.SimpleQueue[Finding | BaseException | None] = queue.SimpleQueue()

    def collect() -> None:
        try:
            for finding in findings:
                told.put(finding)
            told.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised again where it is seen
            told.put(error)

    threading.Thread(target=collect, name="rolloutwatch-doctor", daemon=True).start()
    deadline = time.monotonic() + seconds
    while True:
        try:
            one = told.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            yield Finding(
                "time",
                Verdict.FAILED,
                f"what comes after this has not ended within {seconds:.0f} s",
                "See whether Redis or the resolution of names hangs; a socket_timeout in the URL may be too long",
            )
            return
        if one is None:
            return
        if isinstance(one, BaseException):
            raise one
        yield one
