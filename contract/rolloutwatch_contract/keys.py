"""Every name that Rolloutwatch uses in Redis.

A run is a project and a name; each process that writes to a run is a session and owns one stream.
The run's id stands in braces so that on a cluster all keys of a run live in one slot.

    rolloutwatch:stream:{<run id>}:<session>   stream, ids "1-0", "2-0", ...: one record each, in field RECORD
    rolloutwatch:ack:{<run id>}:<session>      string: the server has archived all records up to this number
    rolloutwatch:alerts:{<run id>}             string: which alerts of the run fire, see alerts.py; expires
    rolloutwatch:server                        string: how the server is that reads here, see presence.py; expires

The run id "doctor", which no run can have, is that of probes: what a trainer writes there in order to see
whether a server reads is acknowledged and taken away, and never archived.

A stream that is no longer as its session left it is not written to any more:
the session goes on in another one, `<session>.part1`, then `<session>.part2`, and so on.
"""

import re

from rolloutwatch_contract.names import check_name

PREFIX = "rolloutwatch:"
STREAM_PREFIX = PREFIX + "stream:"
ACK_PREFIX = PREFIX + "ack:"
ALERTS_PREFIX = PREFIX + "alerts:"
SERVER_KEY = PREFIX + "server"
PROBE_RUN = "doctor"
STREAM_PATTERN = STREAM_PREFIX + "*"
RECORD_FIELD = b"r"
DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
REDIS_URL_VARIABLE = "ROLLOUTWATCH_REDIS_URL"

_BETWEEN_PROJECT_AND_NAME = "~"
_PART = re.compile(r"\.part[1-9][0-9]*\Z")


def run_id(project: str, name: str) -> str:
    """Return the id of a run, `project~name`: what URLs, streams and the archive call it."""
    return check_name("project", project) + _BETWEEN_PROJECT_AND_NAME + check_name("run", name)


def split_run_id(run: str) -> tuple[str, str]:
    """Return project and name of a run id; ValueError if it is none."""
    project, tilde, name = run.partition(_BETWEEN_PROJECT_AND_NAME)
    if not tilde:
        raise ValueError(f"run id {run!r} has no '~': expected project~name, as run_id() makes it.")
    return check_name("project", project), check_name("run", name)


def stream_key(run: str, session: str) -> str:
    """Return the key of the stream that one session writes for one run."""
    return f"{STREAM_PREFIX}{{{run}}}:{check_name('session', session)}"


def ack_key(run: str, session: str) -> str:
    """Return the key under which the server says how far it has archived a session's stream."""
    return f"{ACK_PREFIX}{{{run}}}:{check_name('session', session)}"


def alerts_key(run: str) -> str:
    """Return the key under which the server says which alerts of a run fire."""
    return f"{ALERTS_PREFIX}{{{run}}}"


def part_of(session: str, part: int) -> str:
    """Return what a session is called in the keys of its stream number `part`, of which 0 is the first."""
    return f"{session}.part{part}" if part else session


def first_stream_key(key: str) -> str:
    """Return the key of the first stream of the session that writes the stream `key`."""
    return _PART.sub("", key)


def split_stream_key(key: str) -> tuple[str, str]:
    """Return run id and session of a stream's key; ValueError if the key is not one of ours."""
    opening, brace, session = key.rpartition("}:")
    run = opening.removeprefix(STREAM_PREFIX + "{")
    if not brace or run == opening:
        raise ValueError(
            f"key {key!r} is not a Rolloutwatch stream: expected {STREAM_PREFIX}{{run}}:session."
        )
    split_run_id(run)
    return run, check_name("session", session)


def is_probe(key: str) -> bool:
    """Tell whether a stream is a probe, not a run."""
    return key.startswith(f"{STREAM_PREFIX}{{{PROBE_RUN}}}:")


def ack_key_of(key: str) -> str:
    """Return the key under which the stream `key` is acknowledged."""
    return ACK_PREFIX + key.removeprefix(STREAM_PREFIX)


def entry_id(sequence: int) -> str:
    """Return the stream id of a session's record number `sequence`, which counts from 1 without holes."""
    return f"{sequence}-0"


def sequence_of(entry: bytes | str) -> int:
    """Return the number of the record that stands under a stream id; ValueError if the id is not ours."""
    text = entry.decode("ascii") if isinstance(entry, bytes) else entry
    number, dash, part = text.partition("-")
    if not dash or part != "0" or not number.isdecimal():
        raise ValueError(f"stream id {text!r}: expected '<number>-0'.")
    return int(number)
