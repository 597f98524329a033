"""The words the trainer and the server of Rolloutwatch share.

Metric catalogue, record of one step, Redis keys, default rules, and the protocol
through which a dashboard asks for data.
Nothing here opens a socket, a thread, or a file but that of the default rules, a part of this package;
the command `rolloutwatch`, which is here too, prints.
"""

from rolloutwatch_contract.catalogue import CORE_METRICS, METRICS, describe
from rolloutwatch_contract.keys import ack_key, run_id, stream_key
from rolloutwatch_contract.metric import Better, Group, Level, Metric
from rolloutwatch_contract.record import (
    SCHEMA_VERSION,
    Array,
    Heartbeat,
    Mark,
    MarkKind,
    Outcome,
    Record,
    RecordError,
    RunEnd,
    RunStart,
    SequenceTokens,
    StepRecord,
    decode,
    encode,
)

__version__ = "0.1.0"

__all__ = [
    "CORE_METRICS",
    "METRICS",
    "SCHEMA_VERSION",
    "Array",
    "Better",
    "Group",
    "Heartbeat",
    "Level",
    "Mark",
    "MarkKind",
    "Metric",
    "Outcome",
    "Record",
    "RecordError",
    "RunEnd",
    "RunStart",
    "SequenceTokens",
    "StepRecord",
    "ack_key",
    "decode",
    "describe",
    "encode",
    "run_id",
    "stream_key",
]
