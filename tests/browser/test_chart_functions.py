"""What the browser computes about lines is what Python computes; and axes of time, which only a browser has."""

import math
import random
import re

import pytest
from playwright.sync_api import Browser, Page

from rolloutwatch_dashboard.figures.baseline import band, usual_ranges
from rolloutwatch_dashboard.figures.lost import lost_values
from rolloutwatch_dashboard.figures.smoothing import smoothed, unit_of
from rolloutwatch_dashboard.figures.timeseries import floor_of
from rolloutwatch_dashboard.shell import HERE
from rolloutwatch_dashboard.usual import followed_usual
from rolloutwatch_dashboard.view import view_of
from tests.dashboard.test_figures import series

LINES: list[list[float | None]] = [
    [], [3.0], [1.0, None, 2.0], [0.0] * 30, [5e-8, -1.0, 0.3] * 20,
    *([random.Random(n).gauss(1, 0.2) if at % 17 else None for at in range(n)] for n in (21, 64, 65, 200, 3000)),
]  # fmt: skip

FAULT = [
    (0.02 if 800 <= at < 1100 else 3e-4) * random.Random(at).lognormvariate(0, 0.3) for at in range(1500)
]
FAULT[100:1500:90] = [math.inf, 0.0, 1e250, -1.0, -math.inf, 1e-12, 5.0, -1e300] * 2
SPLIT = re.compile("[MLZ,]")


@pytest.fixture
def blank(page: Page) -> Page:
    for script in ("figures.js", "lines.js", "axis.js", "view.js"):
        page.add_script_tag(content=(HERE / "assets" / script).read_text())
    return page


@pytest.mark.parametrize("values", LINES)
def test_means_ranges_and_floors_are_the_same(values: list[float | None], blank: Page) -> None:
    steps = [at if at < 50 else 2 * at for at in range(len(values))]
    asked = [steps, values]
    assert blank.evaluate("([steps]) => rolloutwatch.unitOf(steps)", asked) == unit_of(steps)
    for weight in (0.0, 0.6, 0.99):
        found = blank.evaluate(
            "([s, v, w, unit]) => rolloutwatch.smoothed(s, v, w, unit)", [*asked, weight, 1.5]
        )
        for one, mean in zip(found, smoothed(steps, values, weight, 1.5), strict=True):
            assert one is None if mean is None else one == pytest.approx(mean, rel=1e-12)
    known = [value for value in values if value is not None]
    assert blank.evaluate("([, values]) => rolloutwatch.floorOf([values])", asked) == floor_of(known)


@pytest.mark.parametrize("values", [*LINES, FAULT])
@pytest.mark.parametrize(
    "metric", ["reward_mean", "mismatch_k3_kl", "ratio_max", "prob_pearson_corr", "rollout_is_veto_fraction"]
)
def test_the_usual_range_is_the_same(metric: str, values: list[float | None], blank: Page) -> None:
    """On every kind of scale, of each session apart, of all of a run and of what is in view."""
    steps = [at if at < 50 else 2 * at for at in range(len(values))]
    function = "(asked) => rolloutwatch.usualRanges(...asked)"
    for begins, first in (([], 0), ([0, 61, 200, 10**6], 0), ([300], 350)):
        found = blank.evaluate(function, [steps, values, followed_usual(metric), begins, first])
        expected = usual_ranges(steps, values, metric, begins, first)
        assert [[one[0] for one in part] for part in found] == [[one[0] for one in part] for part in expected]
        assert [one[1:] for part in found for one in part] == [
            pytest.approx(one[1:], rel=1e-9, abs=1e-15) for part in expected for one in part
        ]
        for floor in (0.0, 1e-3):
            paths = blank.evaluate(
                "([parts, floor]) => rolloutwatch.band(parts, floor, (x) => x)", [found, floor]
            )
            numbers = [[float(one) for one in SPLIT.split(path) if one] for path in paths]
            assert numbers == [
                pytest.approx([float(one) for one in SPLIT.split(shape["path"]) if one], rel=1e-9, abs=1e-15)
                for shape in band(expected, floor)
            ]


def test_lost_values_are_marked_alike(blank: Page) -> None:
    """NaN is null there, infinities are what they are."""
    expected = lost_values(
        [series([1.0, math.nan, math.inf]), series([-math.inf, 1e250, 0.0])], ["red", "blue"]
    )
    found = blank.evaluate("""() => rolloutwatch.lostValues([
        { step: [0, 1, 2], value: [1, null, Infinity] }, { step: [0, 1, 2], value: [-Infinity, 1e250, 0] },
    ], ["red", "blue"])""")
    marker = expected["marker"]
    assert [found["step"], found["drawn"], found["value"]] == [
        expected["x"],
        expected["y"],
        expected["customdata"],
    ]
    assert [found["color"], found["symbol"]] == [marker["color"], marker["symbol"]]


@pytest.mark.parametrize(
    "query",
    ["", "?from=3&to=9&smooth=.5&log=a,-b,a", "?from=9&to=3", "?from=03", "?from=+3&smooth=1e-1&x=TIME",
     "?log=%3Cb%3E,ess&from=%33&to=4%204", "?smooth=0.12345", "from=5", "?from=5&from=6", "?&&=&from", "?to=9007199254740992"],
)  # fmt: skip
def test_addresses_are_read_alike(query: str, blank: Page) -> None:
    found = blank.evaluate("(query) => rolloutwatch.viewOf(query)", query)
    view = view_of(query)
    assert [found["from"], found["to"], found["x"]] == [view.first, view.last, view.axis]
    assert [found["smooth"], tuple(found["log"])] == [view.smooth, view.switched]


def test_a_step_stands_at_its_time_and_between_two_times_in_between(blank: Page) -> None:
    clock = """() => {
        const clock = new rolloutwatch.Clock();
        clock.putAll([{ step: [10, 0], time: [200, 100] }, { step: [4, 5], time: [null, 1e300] }]);
        clock.put(20, 400);
        clock.put(30, undefined);
        return [[0, 5, 10, 15, 20, 25].map((step) => clock.at(step)), [100, 300, 390].map((time) => clock.stepAt(time))];
    }"""
    assert blank.evaluate(clock) == [[100, 150, 200, 300, 400, 500], [0, 15, 20]]


@pytest.mark.parametrize(
    ("low", "high", "shift", "texts"),
    [
        (1_700_000_000, 1_700_000_300, 0, ["22:14", "22:15", "22:16", "22:17", "22:18"]),
        (1_700_000_000, 1_700_000_300, 19_800, ["03:44", "03:45", "03:46", "03:47", "03:48"]),
        (1_700_000_000, 1_700_086_400, 0, ["2023-11-15", "06:00", "12:00", "18:00"]),
        (1_700_000_000, 1_701_000_000, 0, ["2023-11-15", "2023-11-17", "2023-11-19", "2023-11-21", "2023-11-23", "2023-11-25"]),
        (1_700_000_000, 1_700_000_012, 0, ["22:13:20", "22:13:22", "22:13:24", "22:13:26", "22:13:28", "22:13:30", "22:13:32"]),
    ],
)  # fmt: skip
def test_a_time_axis_has_round_times(
    low: float, high: float, shift: int, texts: list[str], blank: Page
) -> None:
    places, found = blank.evaluate("(asked) => rolloutwatch.timeTicks(...asked)", [low, high, shift])
    assert found == texts
    assert all(low <= place <= high for place in places)


def test_durations_are_in_one_unit(blank: Page) -> None:
    ticks = "([low, high]) => rolloutwatch.durationTicks(low, high)[1]"
    assert blank.evaluate(ticks, [0, 240]) == ["0", "1 min", "2 min", "3 min", "4 min"]
    assert blank.evaluate(ticks, [0, 4 * 86400]) == ["0", "1 d", "2 d", "3 d", "4 d"]
    assert blank.evaluate("[0.04, 12.34, 75, 7260, 90000, -5].map(rolloutwatch.durationText)") == [
        "0 s", "12.3 s", "1 min 15 s", "2 h 1 min", "1 d 1 h", "-5 s",
    ]  # fmt: skip


def test_times_are_those_of_where_one_sits(browser: Browser) -> None:
    context = browser.new_context(timezone_id="Asia/Kolkata")
    page = context.new_page()
    page.add_script_tag(content=(HERE / "assets" / "axis.js").read_text())
    assert page.evaluate("rolloutwatch.momentText(1700000000)") == "2023-11-15 03:43:20"
    ticks = """() => {
        const clock = new rolloutwatch.Clock();
        clock.putAll([{ step: [0, 1], time: [1700000000, 1700000300] }]);
        return new rolloutwatch.Axis("time", clock, 0).ticks(1700000000, 1700000300)["xaxis.ticktext"];
    }"""
    assert page.evaluate(ticks)[0] == "03:44"
    context.close()
