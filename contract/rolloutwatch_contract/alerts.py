"""Alerts as others see them: pages, the API, a trainer, and whoever is notified."""

import enum
import hashlib

import msgspec

from rolloutwatch_contract.severity import Severity


class Change(enum.Enum):
    """What happens to an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"
    FLAPPING = "flapping"  # it fires and ends so often that only this is told
    STABLE = "stable"  # no more
    REPEAT = "repeat"  # it still fires, and nobody has acknowledged it


def event_id(run: str, rule: str, change: Change, epoch: int, count: int = 0) -> str:
    """Return the name of one event for ever: who is told twice knows it by this.

    `epoch` counts how often the rule has fired on the run, `count` the repeats within that.
    """
    told = "\n".join((run, rule, change.value, str(epoch), str(count)))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


class AlertView(msgspec.Struct, frozen=True, kw_only=True):
    """One alert from when it fired to when it was resolved, if it was.

    `id` is that of its firing event. Steps and times are those of records, times in seconds since 1970;
    `values` are the figures that made it fire, those of the rule's metrics that were known.
    `reason` says why it ended, if that was not because the condition did; it is `given_up` if the run went back behind it.
    `late` tells that it was found only long after, because the server had been away.
    """

    id: str
    run: str
    rule: str
    epoch: int
    severity: Severity
    condition: str
    firing_step: int
    firing_time: float
    values: dict[str, float] = {}
    resolved_step: int | None = None
    resolved_time: float | None = None
    reason: str = ""
    summary: str = ""
    cure: str = ""
    guide: str = ""
    acknowledged_by: str = ""
    acknowledged_until: float | None = None
    note: str = ""
    silenced_until: float | None = None
    flapping: bool = False
    late: bool = False
    given_up: bool = False

    @property
    def is_firing(self) -> bool:
        """Whether it still stands."""
        return self.resolved_step is None


class FiringAlert(msgspec.Struct, frozen=True, kw_only=True):
    """What a trainer is told of an alert of its run that fires; `id` is the same as that of its view."""

    id: str
    rule: str
    severity: str
    since_step: int
    since_time: float
    values: dict[str, float | None] = {}
    summary: str = ""
    cure: str = ""
    guide: str = ""
    acknowledged: bool = False


class FiringAlerts(msgspec.Struct, frozen=True, kw_only=True):
    """All alerts of a run that fire, as JSON under `keys.alerts_key(run)`; `step` is the last one that was judged."""

    step: int
    time: float
    alerts: tuple[FiringAlert, ...] = ()


MAX_FIRING_BYTES = 1024 * 1024


def encode_firing(alerts: FiringAlerts) -> bytes:
    """Return what stands in Redis; a value that is not finite becomes null.

    Where so many fire that it were longer than a trainer reads, values and texts are left out, which pages have too.
    """
    text = msgspec.json.encode(alerts)
    if len(text) <= MAX_FIRING_BYTES:
        return text
    bare = tuple(
        msgspec.structs.replace(alert, values={}, summary="", cure="", guide="") for alert in alerts.alerts
    )
    return msgspec.json.encode(msgspec.structs.replace(alerts, alerts=bare))


def decode_firing(text: bytes) -> FiringAlerts:
    """Return what a server said; ValueError if it cannot have said so."""
    if len(text) > MAX_FIRING_BYTES:
        raise ValueError(f"what stands for alerts in Redis is longer than {MAX_FIRING_BYTES} bytes.")
    try:
        return msgspec.json.decode(text, type=FiringAlerts)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError(f"what stands for alerts in Redis was not written by a server: {error}.") from error
