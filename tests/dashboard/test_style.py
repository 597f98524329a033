"""Colours that can be read: contrast as WCAG 2.2 computes it, from the style sheet itself."""

import itertools
import re
from pathlib import Path

import dash
import numpy as np
import numpy.typing as npt
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


RUNS = (HERE / "assets" / "compare.css").read_text(encoding="utf-8")
# how colours look to who has no cones for red, for green, for blue (Machado, Oliveira and Fernandes 2009), of linear RGB
EYES = {
    "all": np.eye(3),
    "no red": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "no green": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "no blue": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
LEAST_DISTANCE = 20.0  # in CIELAB; what is 2.3 apart can just be told from each other


def runs_palette(name: str) -> list[str]:
    return re.findall(r"--run-\d: (#[0-9a-f]{6});", RUNS.split("}")[("light", "dark").index(name)])


def lab(color: str, eye: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    channels = np.array([int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    scaled = XYZ @ np.clip(eye @ linear, 0, 1) / np.array([0.9505, 1.0, 1.089])
    x, y, z = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("name", ["light", "dark"])
def test_runs_that_are_compared_can_be_told_from_each_other(name: str, eye: str) -> None:
    """By everybody: six colours, and six dashed ones; and each can be seen on its ground."""
    colors = runs_palette(name)
    assert len(set(colors)) == len(theme.RUNS) == 6
    assert min(contrast(color, palette(name)["card"]) for color in colors) >= 3.0
    pairs = itertools.combinations([lab(color, EYES[eye]) for color in colors], 2)
    assert min(float(np.linalg.norm(one - other)) for one, other in pairs) >= LEAST_DISTANCE


def test_every_run_has_the_colour_of_the_style_sheet() -> None:
    """On light ground that of the figures, on dark ground what the style sheet puts in its place."""
    assert runs_palette("light") == list(theme.RUNS)
    for number, color in enumerate(theme.RUNS):
        channels = ", ".join(str(int(color[at : at + 2], 16)) for at in (1, 3, 5))
        for what in ("stroke", "fill"):
            rule = f'path[style*="{what}: rgb({channels})"] {{ {what}: var(--run-{number}) !important; }}'
            assert rule in RUNS


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
