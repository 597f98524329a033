"""The bar by which a run is replayed: it is closed until somebody opens it, and replay_bar.js fills it."""

from typing import Any

from dash import html

from rolloutwatch_dashboard import ids

# what one may choose, in the words of replay_past.js: s10 is ten steps a second, x10 ten times as fast as it was
STEPS_A_SECOND = (1, 2, 5, 10, 30, 100, 300, 1000)
TIMES_AS_FAST = (1, 10, 60, 1000)


def opener() -> html.Button:
    """Return the button that opens the bar, and closes it."""
    return html.Button(
        "Replay",
        type="button",
        className="act",
        title="Go back to any step, and play from there",
        **{"data-replay": "open", "aria-expanded": "false", "aria-controls": ids.REPLAY},
    )


def bar() -> html.Section:
    """Return the bar, without the slider, for which Dash has no element."""
    moving = html.Div(
        [
            _button("back", "‹", title="One step back (←)", label="One step back"),
            _button("play", "Play", "act first", title="Play, or pause (space)"),
            _button("forward", "›", title="One step on (→)", label="One step on"),
        ],
        className="moving",
    )
    where = html.Div([html.Strong(id=ids.REPLAY_STEP), html.Span(id=ids.REPLAY_TIME)], className="where")
    pace = html.Label(
        [html.Span("Speed"), html.Select(_paces(), id=ids.REPLAY_PACE, name="pace")], className="pace"
    )
    more = html.Div(
        [
            pace,
            _button("alert", "Go to first alert"),
            _button("worst", "Go to worst step", title="The one farthest beyond a critical limit, or of the highest K3"),
            html.Span(id=ids.REPLAY_NOTE, role="status", className="note-of-replay"),
            _keys(),
            _button("close", "Close replay", "act close"),
        ],
        className="more",
    )  # fmt: skip
    return html.Section(
        [moving, html.Div(id=ids.REPLAY_TRACK), where, more],
        id=ids.REPLAY,
        hidden=True,
        **{"aria-label": "Replay"},
    )


def _keys() -> html.Span:
    return html.Span([html.Kbd("?"), " lists the keys"], className="keys")


def _button(
    act: str, text: str, kind: str = "act", *, title: str | None = None, label: str | None = None
) -> html.Button:
    known: dict[str, Any] = {} if label is None else {"aria-label": label}
    return html.Button(text, type="button", className=kind, title=title, **{"data-replay": act}, **known)


def _paces() -> list[Any]:
    steps = [
        html.Option(f"{count} steps/s" if count > 1 else "1 step/s", value=f"s{count}")
        for count in STEPS_A_SECOND
    ]
    times = [
        html.Option("as it was" if by == 1 else f"as it was, × {by}", value=f"x{by}") for by in TIMES_AS_FAST
    ]
    return [
        html.Optgroup(steps, label="So many steps a second"),
        html.Optgroup(times, label="As time passed"),
    ]  # fmt: skip
