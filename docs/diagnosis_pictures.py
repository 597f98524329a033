"""Draw docs/images/diagnosis: of each hypothesis a recorded run that has it, by the figures that tell; --check only compares.

The runs are benchmarks/detection/recordings: the small RL run of examples/tiny_rl.py with a real fault.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

from generating import write_or_check

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

# this file is a command, not a part of a package
from benchmarks.detection.cases import BEGINS, LASTS, STEPS  # noqa: E402
from benchmarks.detection.recording import read  # noqa: E402
from rolloutwatch_contract.scales import Scale, scale_of  # noqa: E402
from tiny.faults import FAULTS  # noqa: E402

FOLDER = Path(__file__).with_name("images") / "diagnosis"

# white ground whatever it is shown on, as pictures of alerts are
INK, FAINT, GRID, GROUND, FRAME, FAULT = "#1c2430", "#5b6675", "#e9ecf1", "#ffffff", "#d7dce3", "#c0392b"
LINES = ("#0072b2", "#b4560a")
WIDTH, LEFT, RIGHT, TOP, HEIGHT, HEAD, FOOT = 520, 58, 12, 36, 84, 43, 30
FROM = 40  # the first step that is shown; from here to the fault is what was usual
CLOSE = 15  # between two numbers of an axis
FONT = "font-family=\"system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif\""

Points = Sequence[tuple[int, float]]


class Panel(NamedTuple):
    """One chart: metrics, how an axis goes, and words for what is to be seen."""

    metrics: tuple[str, ...]
    says: str
    axis: str = "linear"  # or "log", or "both": linear near 0, logarithmic on both sides
    least: float = 0.0  # that a linear axis spans: what hardly moves is to look so


class Picture(NamedTuple):
    """The recording that is shown, its panels, and what is wrong in it, if that is not what is said of the fault."""

    fault: str
    strength: float
    panels: tuple[Panel, ...]
    what: str = ""

    @property
    def recording(self) -> str:
        """Return the name of the recording."""
        return f"{self.fault}_{self.strength:g}_bf16_0"


SIZE, MEDIAN = "logprob_abs_diff_mean", "logprob_abs_diff_median"
FIRST, LAST = "logprob_abs_diff_first_quarter", "logprob_abs_diff_last_quarter"
K1_K3 = ("mismatch_kl", "mismatch_k3_kl")

PICTURES: Mapping[str, Picture] = {
    "stale_weights": Picture("late", 12, (
        Panel(("weight_age_steps",), "a sync every 12th step only"),
        Panel((SIZE,), "grows with the age, falls back at a sync", "log"),
        Panel(K1_K3, "K1 and K3 are of the same size", "both"),
    )),
    "unsynced_tensor": Picture("layer", 0, (
        Panel((SIZE,), "grows, and falls back at no sync", "log"),
        Panel(K1_K3, "K1 and K3 are of the same size", "both"),
        Panel(("weight_age_steps",), "a sync at each step, by the marks"),
    )),
    "precision": Picture("scales", 1.5, (
        Panel((SIZE,), "there at once, and stays", "log"),
        Panel(("logprob_slope",), "a little to one side of 1"),
        Panel(K1_K3, "K1 and K3 are of the same size", "both"),
    )),
    "grows_with_position": Picture("positions", 0, (
        Panel((FIRST, LAST), "the end differs far more than the beginning", "log"),
        Panel((SIZE,), "all tokens together", "log"),
        Panel(("prob_pearson_corr",), "falls, as the mismatch is large"),
    )),
    "temperature": Picture("temperature", 1.3, (
        Panel(("logprob_slope",), "about the temperature, which is 1.3"),
        Panel(("surprise_gap",), "samples are more surprising"),
        Panel(("prob_pearson_corr",), "the two still go together", least=0.2),
    )),
    "raw_logprobs": Picture("coldraw", 0.7, (
        Panel(("surprise_gap",), "samples are less surprising"),
        Panel((SIZE,), "nothing is to be seen", "log"),
        Panel(("logprob_slope",), "nor here", least=0.05),
    )),
    "truncated_sampling": Picture("topp", 0.9, (
        Panel(K1_K3, "K1 far above K3", "both"),
        Panel(("ratio_mean",), "so much of the probability was kept"),
        Panel(("ratio_max",), "no ratio far above 1"),
    )),
    "misaligned_logprobs": Picture("offbyone", 1, (
        Panel(("prob_pearson_corr",), "they have nothing to do with each other"),
        Panel(K1_K3, "K1 cancels, K3 is huge", "both"),
        Panel((SIZE,), "there at once, and stays", "log"),
    )),
    "mixed_sequences": Picture("wrongseq", 2, (
        Panel(("mismatch_k3_seq_share_max",), "one sequence carries most of it"),
        Panel(K1_K3, "K1 cancels, K3 does not", "both"),
        Panel(("prob_pearson_corr",), "most sequences are right", least=0.2),
    ), "four sequences have each other's log-probs"),
    "other_tokens": Picture("retokenised", 0.02, (
        Panel((SIZE, MEDIAN), "the mean jumps, the typical token is as before", "log"),
        Panel(("ratio_min",), "tokens that the trainer finds all but impossible", "log"),
        Panel(K1_K3, "both move, and K1 does not cancel", "both"),
    )),
    "missing_logprobs": Picture("zeros", 0.05, (
        Panel(("zero_logprob_fraction",), "one in twenty is exactly 0"),
        Panel((SIZE, MEDIAN), "the mean jumps, the typical token is as before", "log"),
        Panel(K1_K3, "K1 moves to one side", "both"),
    )),
}  # fmt: skip


class Axis(NamedTuple):
    """Places values between `low` and `high` of a kind of scale, from the bottom of a panel to its top."""

    kind: str
    scale: Scale
    low: float
    high: float

    def of(self, value: float) -> float:
        """Return where a value is on the scale."""
        if self.kind == "log":
            return math.log10(max(value, 1e-9))
        return self.scale.of(value) if self.kind == "both" else value

    def at(self, value: float) -> float:
        """Return how far from the bottom a value is, of 1."""
        return (self.of(value) - self.low) / (self.high - self.low)


def main() -> int:
    """Draw them all, or compare; returns the exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    codes = [
        write_or_check(FOLDER / f"{name}.svg", drawn(picture), "recordings show")
        for name, picture in PICTURES.items()
    ]
    return max(codes)


def drawn(picture: Picture) -> str:
    """Return a picture as SVG, without styles, which a strict policy would not let through."""
    records = read(picture.recording)
    what = picture.what or FAULTS[picture.fault].what
    height = TOP + len(picture.panels) * (HEAD + HEIGHT) + FOOT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" {FONT}>',
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8" fill="{GROUND}" stroke="{FRAME}"/>',
        text(14, 24, what[0].upper() + what[1:], 13.5, INK, weight=600),
    ]
    bottom = TOP + len(picture.panels) * (HEAD + HEIGHT)
    for at, panel in enumerate(picture.panels):
        top = TOP + at * (HEAD + HEIGHT) + HEAD
        series = [
            [(one.step, one.metrics[metric]) for one in records if one.step >= FROM and metric in one.metrics]
            for metric in panel.metrics
        ]
        parts += panel_of(panel, series, top)
    for step in range(FROM, STEPS + 1, 20):
        parts.append(text(x_of(step), bottom + 17, str(step), 11, FAINT, "middle"))
    parts.append(text(14, bottom + 17, "step", 11, FAINT))
    parts.append(text(x_of(BEGINS + LASTS / 4), bottom + 17, "fault", 11, FAULT, "middle", weight=600))
    return "\n".join([*parts, "</svg>", ""])


def panel_of(panel: Panel, series: Sequence[Points], top: float) -> list[str]:
    """Return one chart: ground, what was usual, the fault, and lines with their names and what is to be seen."""
    axis = axis_of(panel, series)
    bottom, width = top + HEIGHT, WIDTH - LEFT - RIGHT
    parts = [
        f'<rect x="{x_of(BEGINS):g}" y="{top:g}" width="{x_of(BEGINS + LASTS) - x_of(BEGINS):g}" height="{HEIGHT}" '
        f'fill="{FAULT}" fill-opacity="0.07"/>'
    ]
    for value in numbers_of(axis):
        y = bottom - HEIGHT * axis.at(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}h{width}" stroke="{GRID}"/>')
        parts.append(text(LEFT - 6, y + 4, number(value), 11, FAINT, "end"))
    for points, color in zip(series, LINES, strict=False):
        before = [value for step, value in points if step < BEGINS]
        low, high = (bottom - HEIGHT * axis.at(end) for end in (min(before), max(before)))
        parts.append(
            f'<rect x="{LEFT}" y="{high:.1f}" width="{width}" height="{max(low - high, 1.5):.1f}" '
            f'fill="{color}" fill-opacity="0.13"/>'
        )
    for points, color in zip(series, LINES, strict=False):
        line = " ".join(f"{x_of(step):.1f},{bottom - HEIGHT * axis.at(value):.1f}" for step, value in points)
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.6" stroke-linejoin="round"/>'
        )
    names = "".join(
        f'<tspan fill="{color}" font-weight="600"{" dx=" + chr(34) + "9" + chr(34) if at else ""}>{name}</tspan>'
        for at, (name, color) in enumerate(zip(panel.metrics, LINES, strict=False))
    )
    parts.append(text(LEFT, top - 22, panel.says[0].upper() + panel.says[1:], 12, INK))
    parts.append(f'<text x="{LEFT}" y="{top - 7:g}" font-size="11">{names}</text>')
    return parts


def axis_of(panel: Panel, series: Sequence[Points]) -> Axis:
    """Return an axis that has room for all values."""
    scale = scale_of(panel.metrics[-1]) or Scale(0.0, 1e-3)
    axis = Axis(panel.axis, scale, 0.0, 1.0)
    placed = [axis.of(value) for points in series for _, value in points]
    low, high = min(placed), max(placed)
    least = max(panel.least, 2 * scale.matters) if panel.axis == "linear" else 2.0
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2
        if (
            panel.axis == "linear" and min(placed) >= scale.ideal
        ):  # where nothing can be it is not to be shown
            low, high = scale.ideal, scale.ideal + least
        if panel.axis == "linear" and max(placed) <= scale.ideal:
            low, high = scale.ideal - least, scale.ideal
    room = 0.06 * (high - low)
    return axis._replace(low=low - room, high=high + room)


def numbers_of(axis: Axis) -> list[float]:
    """Return the numbers that stand beside an axis, at most four or so, and not too close to each other."""
    if axis.kind == "linear":
        rough = (axis.high - axis.low) / 3
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(one * power for one in (1, 2, 2.5, 5, 10) if one * power >= rough * 0.8)
        first = math.ceil(axis.low / step)
        return [step * at for at in range(first, math.floor(axis.high / step) + 1)]
    tens = [10.0**power for power in range(-5, 6)]
    wanted = tens if axis.kind == "log" else [0.0, *reversed(tens), *(-one for one in reversed(tens))]
    taken: list[float] = []
    for value in wanted if axis.kind == "both" else reversed(wanted):
        place = axis.at(value)
        if 0 <= place <= 1 and all(abs(place - axis.at(one)) * HEIGHT >= CLOSE for one in taken):
            taken.append(value)
    if len(taken) < 2:
        taken += [half for ten in tens for half in (2 * ten, 5 * ten) if 0 <= axis.at(half) <= 1]
    return taken


def x_of(step: float) -> float:
    """Return where a step is."""
    return LEFT + (step - FROM) / (STEPS - FROM) * (WIDTH - LEFT - RIGHT)


def number(value: float) -> str:
    """Return a number for an axis."""
    return f"{value:g}".replace("-", "−").replace("e−0", "e−")


def text(
    x: float, y: float, said: str, size: float, color: str, anchor: str = "start", weight: int = 400
) -> str:
    """Return words at a place."""
    bold = f' font-weight="{weight}"' if weight != 400 else ""
    where = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{color}"{where}{bold}>{escape(said)}</text>'


if __name__ == "__main__":
    sys.exit(main())
