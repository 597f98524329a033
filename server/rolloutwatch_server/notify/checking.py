"""Targets are looked at when they are read: one that Apprise cannot use is not to be found out by the first alert."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from rolloutwatch_server.notify.children import inspected
from rolloutwatch_server.notify.targets import Target, TargetsError, read_targets

log = logging.getLogger(__name__)


def usable_targets(
    path: Path, environment: Mapping[str, str], of_processes: Mapping[str, str]
) -> tuple[Target, ...]:
    """Read the targets of a file as `read_targets` does, and let Apprise look at their URLs; TargetsError."""
    targets = read_targets(path, environment)
    refuse_unusable(targets, str(path), of_processes)
    return targets


def refuse_unusable(targets: Sequence[Target], file: str, of_processes: Mapping[str, str]) -> None:
    """Raise TargetsError for the first target whose URL Apprise cannot use, without its URL."""
    by_apprise = [one for one in targets if one.place is None]
    if not by_apprise:
        return
    findings = inspected([one.address.reveal() for one in by_apprise], of_processes)
    if findings is None:
        log.warning("URLs of %s could not be looked at: try them with `rolloutwatch notify test`", file)
        return
    for target, finding in zip(by_apprise, findings, strict=True):
        if finding.problem:
            raise TargetsError(f"{file}, target {target.name}: {finding.problem}")
