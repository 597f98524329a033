"""Pages from a source in memory: what is on them, and what the browser is told to follow."""

import json
import math
from typing import Any

import pytest
from dash.development.base_component import Component

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.protocol import RunState
from rolloutwatch_contract.rules import DEFAULT_RULES
from rolloutwatch_dashboard import MemorySource
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.charts import SMALL_PRINT, TILES, charts_of

NOW = 1000.0
CONFIG: dict[str, str | int | float | bool | None] = {
    "rollout_is": "token",
    "rollout_token_veto_threshold": 1e-4,
}


@pytest.fixture
def source() -> MemorySource:
    one = MemorySource()
    one.add_run("math~a", updated_at=990.0, config=CONFIG)
    one.add_step(
        "math~a", 0, {"mismatch_k3_kl": 0.2, "mismatch_ppl_ratio": 1.0, "rollout_is_veto_fraction": 0.0}
    )
    one.add_step("math~a", 1, {"mismatch_k3_kl": math.nan, "train/reward": 0.5})
    return one


def text_of(component: Any) -> str:
    """All the text of a page, as one line."""
    if isinstance(component, Component):
        children = getattr(component, "children", None)
        return text_of(children)
    if isinstance(component, list | tuple):
        return " ".join(filter(None, map(text_of, component)))
    return "" if component is None else str(component)


def found(component: Any, name: str) -> Any:
    """The component of an id."""
    return next(one for one in component._traverse() if getattr(one, "id", None) == name)


def test_runs_show_their_latest_core_figures(source: MemorySource) -> None:
    """The last figure there is, even if the last step brought another; NaN is no number and not healthy."""
    shown, followed = page("/", source, DEFAULT_RULES, NOW)
    assert followed is None
    assert "math /  a live 1 10 s ago – 0 1 NaN" in text_of(shown)


def test_every_chart_says_its_limits_in_words(source: MemorySource) -> None:
    """A limit that is far from healthy data is outside the value axis; it is said nevertheless, once."""
    shown, _ = page("/runs/math~a", source, DEFAULT_RULES, NOW)
    limits = [text_of(one) for one in shown._traverse() if getattr(one, "className", None) == "limits"]
    assert limits[:4] == [
        "warning < 0.8 critical < 0.3",
        "warning > 0.02 critical > 0.1",
        "warning outside 0.95 to 1.05 critical outside 0.6667 to 1.5",
        "warning > 0.01 critical > 0.1",
    ]


def test_a_run_page_tells_the_browser_what_to_follow(source: MemorySource) -> None:
    _, followed = page("/runs/math~a", source, DEFAULT_RULES, NOW)
    assert (followed["run"], followed["step"], followed["seconds_since_update"]) == ("math~a", 1, 10.0)
    assert followed["recent"]["mismatch_k3_kl"] == {"step": [0, 1], "value": [0.2, None]}
    assert [tile["metric"] for tile in followed["tiles"]] == list(TILES)
    k3 = next(chart for chart in followed["charts"] if chart["id"] == "chart-k3")
    assert k3 == {
        "id": "chart-k3",
        "metrics": ["mismatch_k3_kl"],
        "limits": [0.01, 0.1],
        "ideal": 0.0,
        "log": True,
    }
    json.dumps(followed, allow_nan=False)  # raises at what is not finite, for which JSON has no word


def test_the_charts_carry_the_history(source: MemorySource) -> None:
    shown, _ = page("/runs/math~a", source, DEFAULT_RULES, NOW)
    graph = found(shown, "chart-k3")
    assert (list(graph.figure.data[0].x), list(graph.figure.data[0].y)) == ([0, 1], [0.2, None])


def test_a_run_id_in_an_address_may_be_quoted(source: MemorySource) -> None:
    assert page("/runs/math%7Ea", source, DEFAULT_RULES, NOW)[1]["run"] == "math~a"


@pytest.mark.parametrize(
    "path", ["/runs/no~such", "/runs/", "/runs", "/else", "/runs/%00", "//", "/runs/math~a/b"]
)
def test_an_address_that_leads_nowhere_says_so(path: str, source: MemorySource) -> None:
    shown, followed = page(path, source, DEFAULT_RULES, NOW)
    assert followed is None
    assert ("Nothing here" in text_of(shown)) == (path != "//")


def test_scalars_of_the_trainer_have_a_chart_each(source: MemorySource) -> None:
    run = source.run("math~a")
    assert run is not None
    assert [(chart.title, list(chart.metrics)) for chart in charts_of(run)["Training by step"]] == [
        ("train/reward", ["train/reward"])
    ]


def test_a_run_that_only_observes_shows_ratios_instead_of_weights() -> None:
    """Without rollout_is there are no weights, so none are charted, nor a veto that is not on."""
    source = MemorySource()
    source.add_run("math~b", config={"rollout_is": None})
    run = source.run("math~b")
    assert run is not None
    metrics = [metric for chart in charts_of(run)["Mismatch by step"] for metric in chart.metrics]
    assert metrics == [
        "ratio_eff_sample_size", "mismatch_ppl_ratio", "mismatch_k3_kl", "mismatch_kl",
        "ratio_mean", "ratio_std", "ratio_max", "ratio_min",
    ]  # fmt: skip


def test_tiles_and_small_print_are_metrics_of_the_catalogue() -> None:
    assert {*TILES, *(metric for metric, _ in SMALL_PRINT.values())} <= METRICS.keys()


def test_an_archive_without_runs_shows_the_lines_for_a_trainer() -> None:
    assert "rolloutwatch.Monitor(" in text_of(page("/", MemorySource(), DEFAULT_RULES, NOW)[0])


def test_more_runs_than_fit_are_counted() -> None:
    source = MemorySource()
    for number in range(103):
        source.add_run(f"math~{number}", state=RunState.FINISHED)
    assert "3 older ones are not listed here" in text_of(page("/", source, DEFAULT_RULES, NOW)[0])
