"""What a server says of itself in Redis while it reads there, as JSON under SERVER_KEY.

A trainer's doctor reads it: whether anybody archives what is pushed, which version that is, and how its clock goes.
"""

import msgspec

from rolloutwatch_contract.record import SCHEMA_VERSION

SECONDS_BETWEEN_SIGNS = 2.0
SECONDS_OF_A_SIGN = 10  # after which a server that says nothing more is none


class Presence(msgspec.Struct, frozen=True, kw_only=True):
    """A sign of life of a server.

    `time` is its clock and `redis_time` that of Redis, in seconds since 1970, both at the same moment:
    what lies between them can be compared with the same of another host.
    `trouble` is what keeps it from archiving, "" if nothing does, and `reason` says more of that.
    """

    version: str
    host: str
    pid: int
    time: float
    redis_time: float
    trouble: str = ""
    reason: str = ""
    schema: int = SCHEMA_VERSION


def encode_presence(presence: Presence) -> bytes:
    """Return what stands in Redis."""
    return msgspec.json.encode(presence)


def decode_presence(text: bytes) -> Presence:
    """Return what a server said; ValueError if it cannot have said so."""
    try:
        return msgspec.json.decode(text, type=Presence)
    except msgspec.MsgspecError as error:
        raise ValueError(f"what stands for the server in Redis is no sign of one: {error}.") from error
