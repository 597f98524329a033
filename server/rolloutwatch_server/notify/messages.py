"""What people read: what fired, its figures beside their limits, what that probably means, what to do, and where to look."""

from collections.abc import Sequence
from typing import NamedTuple

from rolloutwatch_contract.alerts import Change
from rolloutwatch_contract.diagnosis import Diagnosis
from rolloutwatch_server.notify import thresholds
from rolloutwatch_server.notify.events import Content, Links, is_over, moment, number, span, title_of
from rolloutwatch_server.store import Event

MOST_LETTERS_OF_A_TITLE = 200
MOST_LETTERS = 1800  # the least that a chat service takes is 2000, with the title
MOST_LINES_OF_OTHERS = 8
MOST_CAUSES, MOST_EVIDENCE = 3, 3
SECONDS_UNTIL_TOLD_LATE = 180.0
_MOST_LETTERS_OF_A_PART = 500

_STATES = {
    Change.RESOLVED: "resolved",
    Change.FLAPPING: "flapping",
    Change.STABLE: "no longer flapping",
}


class Message(NamedTuple):
    """A title in one line, and plain text."""

    title: str
    body: str


def compose(content: Content, links: Links, now: float) -> Message:
    """Return the words for events of one run, as they go out at `now`.

    The worst one is told as a whole, the others in a line each.
    """
    events = content.shown
    others = events[1:]
    parts = [*_openings(content, now), _story(events[0], content, links)]
    if others:
        parts.append(_lines(others, content))
    closing = _closing(content, links)  # which stands there in any case: it leads to all the rest
    body = _cut("\n\n".join(filter(None, parts)), MOST_LETTERS - len(closing) - 2)
    return Message(_title(content, events, now), f"{body}\n\n{closing}")


def _title(content: Content, events: Sequence[Event], now: float) -> str:
    first, run = events[0], title_of(content.run)
    if content.is_test:
        return _cut(f"[test] {run}: this is how an alert looks", MOST_LETTERS_OF_A_TITLE)
    state = _state(first, content)
    state += ", found late" if content.is_late else ""
    state += ", told late" if _lateness(content, now) else ""
    if len(events) == 1:
        return _cut(f"[{state}] {run}: {_what(first)}", MOST_LETTERS_OF_A_TITLE)
    begin = f"[{state}] {run}: {_count(len(events), 'event')} {_steps(events)}: "
    names = list(dict.fromkeys(one.rule for one in events))
    return _cut(begin + _names(names, MOST_LETTERS_OF_A_TITLE - len(begin)), MOST_LETTERS_OF_A_TITLE)


def _names(names: Sequence[str], room: int) -> str:
    """Return names, as many as there is room for, and how many more there are; the first one in any case.

    >>> _names(["kl_high", "kl_very_high", "stalled"], 30), _names(["kl_high", "kl_very_high", "stalled"], 25)
    ('kl_high, kl_very_high, stalled', 'kl_high and 2 more')
    """
    for count in range(len(names), 1, -1):
        more = len(names) - count
        text = ", ".join(names[:count]) + (f" and {more} more" if more else "")
        if len(text) <= room:
            return text
    return names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def _state(event: Event, content: Content) -> str:
    return "over by now" if content.ended_meanwhile(event) else _STATES.get(event.change, event.severity.word)


def _what(event: Event) -> str:
    if event.change is Change.REPEAT:
        return f"{event.rule} still fires, since step {event.firing_step}"
    return f"{event.rule} at step {event.step}"


def _lateness(content: Content, now: float) -> float:
    """Return for how long the server has known what is told only now; 0 if not for long."""
    known_for = now - min(one.created_at for one in content.events)
    return 0.0 if content.is_test or known_for <= SECONDS_UNTIL_TOLD_LATE else known_for


def _openings(content: Content, now: float) -> list[str]:
    if content.is_test:
        return ["A test: nothing is wrong. An alert would look like this."]
    openings = []
    if late := _lateness(content, now):
        openings.append(
            f"Told late: the server has known this for {span(late)}, and could not deliver it before. "
            "It may be otherwise by now."
        )
    if content.is_late:
        openings.append("These events were found long after they happened, because the server had been away.")
    return openings


def _story(event: Event, content: Content, links: Links) -> str:
    """Tell one event as a whole."""
    lines = [_head(event, content), f"That was at {moment(event.time)}.", *_figures(event, content)]
    # what is over needs no cure
    if not content.has_ended(event):
        lines += _probably(content.diagnosis, links)
        lines += ["", f"What to do: {_part(event.cure)}"] if event.cure else []
        lines += [f"Guide: {link}"] if (link := links.guide(event.guide)) else []
    return "\n".join(lines)


def _probably(diagnosis: Diagnosis | None, links: Links) -> list[str]:
    """Return what is probably wrong, what speaks for it and against it, and what to look at next."""
    if diagnosis is None or not diagnosis.causes:
        return []
    first, others = diagnosis.causes[0], diagnosis.causes[1:MOST_CAUSES]
    lines = ["", f"{diagnosis.headline} ({first.confidence:.0%})"]
    if others:
        lines.append("Or: " + ", ".join(f"{one.title} ({one.confidence:.0%})" for one in others) + ".")
    lines += [f"For it: {_part(one)}" for one in first.evidence_for[:MOST_EVIDENCE]]
    lines += [f"Against it: {_part(one)}" for one in first.evidence_against[:1]]
    lines.append(f"Look at next: {_part(first.check)}")
    return [*lines, f"If so: {_part(first.cure)} {links.guide(first.guide)}"]


def _head(event: Event, content: Content) -> str:
    summary = f" {_part(event.summary)}" if event.summary else ""
    if content.ended_meanwhile(event):
        return f"{event.rule} fired at step {event.firing_step}, and is over by now.{summary}"
    if event.change is Change.RESOLVED:
        why = _sentence(event.reason) if event.reason else "Its condition holds no more."
        return f"{event.rule} is over: it fired from step {event.firing_step} to {event.step}. {why}"
    if event.change is Change.FLAPPING:
        return (
            f"{event.rule} fires and ends again and again. You are told when that is over, and not each time."
            f"{summary}"
        )
    if event.change is Change.STABLE:
        now = "It fires now." if event.reason == "firing" else "It does not fire now."
        return f"{event.rule} fires and ends again and again no more. {now}"
    if event.change is Change.REPEAT:
        return (
            f"{event.rule} has fired since step {event.firing_step}, and nobody has acknowledged it.{summary}"
        )
    return f"{event.rule} fires.{summary}"


def _figures(event: Event, content: Content) -> list[str]:
    """Return the figures beside their limits, and the condition."""
    limits = thresholds.thresholds(event.condition)
    lines = []
    for metric, value in event.values.items():
        of_it = [
            f"{one.word} {number(one.limit)}" for one in limits if one.metric == metric and one.is_direct
        ]
        limit = f"  (limit: {' or '.join(of_it)})" if of_it else ""
        lines.append(f"{metric}: {number(value)}{limit}")
    if event.condition and not content.has_ended(event):
        lines.append(f"Condition: {_part(event.condition)}")
    return ["", *lines[:12]] if lines else []


def _lines(events: Sequence[Event], content: Content) -> str:
    shown = [_line(one, content) for one in events[:MOST_LINES_OF_OTHERS]]
    more = len(events) - len(shown)
    return "\n".join(["Also:", *shown, *([f"and {more} more"] if more else [])])


def _line(event: Event, content: Content) -> str:
    figures = ", ".join(f"{metric} {number(value)}" for metric, value in list(event.values.items())[:3])
    told = f"- [{_state(event, content)}] {_what(event)}, {moment(event.time)}"
    return f"{told}: {figures}" if figures and not is_over(event) else told


def _closing(content: Content, links: Links) -> str:
    event = content.worst
    lines = [f"Run at step {event.step}: {links.run(event.run, event.step)}"]
    if content.others:
        verb = "fires" if content.others == 1 else "fire"
        lines.append(f"{_count(content.others, 'other alert')} {verb} on this run.")
    return "\n".join(lines)


def _steps(events: Sequence[Event]) -> str:
    steps = [one.step for one in events]
    first, last = min(steps), max(steps)
    return f"at step {first}" if first == last else f"at steps {first} to {last}"


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _part(text: str) -> str:
    """Return a text of a rule's author in one line, bounded."""
    return _cut(" ".join(text.split()), _MOST_LETTERS_OF_A_PART)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 4].rstrip()} ..."
