"""The life of an alert, put together from what happened to it, what people did, and the messages that tell of it."""

from collections.abc import Iterator

from rolloutwatch_contract.alert_life import Happening, Moment
from rolloutwatch_contract.alerts import AlertView
from rolloutwatch_server.notify.events import decode
from rolloutwatch_server.store import Delivery, Store

MOST_TRANSITIONS = 200  # of an alert that flaps, the first ones
STATES = {"done": Happening.TOLD, "waiting": Happening.WAITING, "dead": Happening.GIVEN_UP}


def life(store: Store, alert: AlertView) -> list[Moment]:
    """Return what is kept of the life of an alert, in order."""
    moments = [
        Moment(
            what=Happening(one.change.value),
            time=one.seen_at,
            step=one.step,
            note=one.reason,
            quiet=one.quiet,
        )
        for one in store.transitions(alert=alert.id, limit=MOST_TRANSITIONS)
    ]
    moments += [
        Moment(what=Happening(one.what.value), time=one.time, by=one.by, until=one.until, note=one.note)
        for one in store.actions(alert)
    ]
    moments += messages(store, alert)
    return sorted(moments, key=lambda one: one.time)  # what happens at once stays in this order


def messages(store: Store, alert: AlertView) -> list[Moment]:
    """Return the messages that tell of an alert: to whom, what, and what became of each."""
    return [moment for one in store.deliveries_naming(alert.run, alert.id) for moment in _message(one, alert)]


def _message(delivery: Delivery, alert: AlertView) -> Iterator[Moment]:
    told = [event for event in decode(delivery.events).events if event.alert == alert.id]
    if told:
        yield Moment(
            what=STATES[delivery.state],
            time=delivery.created_at if delivery.done_at is None else delivery.done_at,
            step=told[-1].step,
            by=delivery.target,
            note=delivery.error,
            about=", ".join(event.change.value for event in told),
        )
