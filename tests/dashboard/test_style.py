"""Colours that can be read: contrast as WCAG 2.2 computes it, from the style sheet itself."""

import re
from pathlib import Path

import dash
import pytest

from rolloutwatch_dashboard import theme
from rolloutwatch_dashboard.shell import HERE

STYLE = (HERE / "assets" / "style.css").read_text(encoding="utf-8")
PLAIN = [(text, ground) for text in ("text", "muted", "link") for ground in ("ground", "card")]
STATES = [(state, f"{state}-soft") for state in ("ok", "warning", "critical", "unknown")]
ON_CARDS = [(state, "card") for state in ("ok", "warning", "critical")]


def palette(name: str) -> dict[str, str]:
    selector = {"light": r":root \{", "dark": r':root\[data-theme="dark"\] \{'}[name]
    block = re.search(selector + r"(.*?)\}", STYLE, re.DOTALL)
    assert block is not None
    return dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block[1]))


def luminance(color: str) -> float:
    channels = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_of_black_on_white_is_21() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground"), [*PLAIN, *STATES, *ON_CARDS, ("muted", "warning-soft"), ("muted", "critical-soft")]
)
def test_text_can_be_read(name: str, text: str, ground: str) -> None:
    colors = palette(name)
    assert contrast(colors[text], colors[ground]) >= 4.5


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("color", theme.SERIES)
def test_lines_can_be_seen(name: str, color: str) -> None:
    assert contrast(color, palette(name)["card"]) >= 3.0


def test_every_colour_of_dashs_own_widgets_is_one_of_ours() -> None:
    """Else a widget would stay light on dark ground. Dash brings its colours on :root, later than our style sheets."""
    bundle = (Path(dash.__file__).parent / "dcc" / "dash_core_components.js").read_text(encoding="utf-8")
    block = re.search(r":root \{([^}]*--Dash-[^}]*)\}", bundle)
    assert block is not None
    theirs = set(re.findall(r"(--Dash-[\w-]+):", block[1])) - {"--Dash-Spacing"}
    widgets = (HERE / "assets" / "widgets.css").read_text(encoding="utf-8")
    ours = re.search(r":root\[data-theme\] \{(.*?)\}", widgets, re.DOTALL)
    assert ours is not None
    assert set(re.findall(r"(--Dash-[\w-]+):", ours[1])) == theirs
