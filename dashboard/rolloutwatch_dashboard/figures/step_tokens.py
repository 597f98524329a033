"""The tokens of one sequence: the log ratio of each along the response, and how strongly it is coloured."""

import bisect
import math
from collections.abc import Sequence
from typing import Any

from rolloutwatch_contract.protocol_steps import TokensView
from rolloutwatch_dashboard.figures.log_ratio_axis import axis, places
from rolloutwatch_dashboard.figures.step_layout import FEWER, HOVER, MORE, layout, lines, table
from rolloutwatch_dashboard.text import number, plain
from rolloutwatch_dashboard.thresholds import Threshold

# from which size of a log ratio on a token has which colour: 1 percent, 10 percent, half, 3 times, 20 times
LEVELS = (0.01, 0.1, 0.5, 1.1, 3.0)
OUTSIDE = "outside"
_VISIBLE = {"\n": "⏎\n", "\r": "␍", "\t": "⇥\t", "": "∅"}


def level(log_ratio: float) -> int | None:
    """Return how strongly a token is coloured: negative where training finds it less likely; None outside the mask.

    >>> [level(one) for one in (0.0, -0.02, 0.3, -0.7, 50.0, math.inf, math.nan)]
    [0, -1, 2, -3, 5, 5, None]
    """
    if math.isnan(log_ratio):
        return None
    size = bisect.bisect_right(LEVELS, abs(log_ratio))
    return size if log_ratio > 0 else -size


def visible(text: str) -> str:
    """Return a token so that nothing of it is hidden, and nothing of it turns what stands beside it.

    >>> visible("a\\n"), visible("\\u202e"), visible(""), visible(" it")
    ('a⏎\\n', '\\\\u202e', '∅', ' it')
    """
    return _VISIBLE.get(text) or "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if letter in _VISIBLE:
        return _VISIBLE[letter]
    return letter if letter.isprintable() or letter == " " else letter.encode("unicode_escape").decode()


def told_tokens(tokens: TokensView) -> dict[str, Any]:
    """Return what step.js needs to write the tokens: texts, colours, and log ratios as people read them."""
    values = tokens.log_ratios.tolist()
    return {
        "texts": [visible(text) for text in tokens.texts],
        "levels": [level(value) for value in values],
        "words": [_words(value) for value in values],
    }


def _words(value: float) -> str:
    if math.isnan(value):
        return "outside the mask, or its log-probs are not finite"
    ratio = math.exp(min(value, 700.0))
    return f"log ratio {number(value)}, ratio {'beyond 1e300' if value > 690 else number(ratio)}"


def _about(at: int, text: str, value: float) -> str:
    return f"token {at}: {plain(visible(text).strip())}<br>{_words(value)}"


def along_of(tokens: TokensView, thresholds: Sequence[Threshold]) -> dict[str, Any]:
    """Describe the log ratio of each token along the response in plotly's JSON."""
    values = tokens.log_ratios.tolist()
    sides = (
        ("less likely", FEWER, [at for at, value in enumerate(values) if value <= 0]),
        ("more likely", MORE, [at for at, value in enumerate(values) if value > 0]),
    )
    return {
        "data": [
            {
                "type": "scatter", "mode": "markers", "name": name, "x": at,
                "y": places([values[one] for one in at]), "marker": {"color": color, "size": 5},
                "customdata": [_about(one, tokens.texts[one], values[one]) for one in at],
                "hovertemplate": HOVER,
            }
            for name, color, at in sides
        ],
        "layout": layout(
            "step tokens",
            {"title": {"text": "token of the response"}, "range": [-0.5, max(len(values), 1) - 0.5], "hoverformat": "d"},
            axis("log ratio"),
            nothing="" if any(at for *_, at in sides) else "no token in the mask",
            meta=table({"token": range(len(values)), "text": list(tokens.texts), "log_ratio": values}),
            shapes=lines([at for at in places([one.at for one in thresholds]) if at is not None], across=True),
            showlegend=True,
        ),
    }  # fmt: skip
