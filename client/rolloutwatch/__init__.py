"""See the mismatch between rollout and training policy, from inside the trainer."""

from rolloutwatch.drops import DropReason
from rolloutwatch.monitor import Monitor
from rolloutwatch.sink import MemorySink, Sink, SinkError
from rolloutwatch.tokens import TokenCapture
from rolloutwatch.worker import Health
from rolloutwatch_correction import Correction, CorrectionConfig

__version__ = "0.1.0"

__all__ = [
    "Correction",
    "CorrectionConfig",
    "DropReason",
    "Health",
    "MemorySink",
    "Monitor",
    "Sink",
    "SinkError",
    "TokenCapture",
]
