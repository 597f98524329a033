"""See the mismatch between rollout and training policy, from inside the trainer."""

from rolloutwatch.drops import DropReason
from rolloutwatch.hearing import AlertEvent, Hearing
from rolloutwatch.monitor import Monitor
from rolloutwatch.sink import MemorySink, Sink, SinkError
from rolloutwatch.tokens import TokenCapture
from rolloutwatch.worker import Health
from rolloutwatch_contract.alerts import FiringAlert, FiringAlerts
from rolloutwatch_correction import Correction, CorrectionConfig

__version__ = "0.1.0"

__all__ = [
    "AlertEvent",
    "Correction",
    "CorrectionConfig",
    "DropReason",
    "FiringAlert",
    "FiringAlerts",
    "Health",
    "Hearing",
    "MemorySink",
    "Monitor",
    "Sink",
    "SinkError",
    "TokenCapture",
]
