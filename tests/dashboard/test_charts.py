"""Which charts a run's page has, in which groups, and when they are drawn."""

import json
from collections import Counter
from typing import Any

import pytest
from dash import dcc, html, no_update

from rolloutwatch_contract import CORE_METRICS, METRICS, Group
from rolloutwatch_contract.limits import DEFAULT_LIMITS
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_dashboard import MemorySource, theme
from rolloutwatch_dashboard.app import page
from rolloutwatch_dashboard.charts import catalogued, charts_of, reward_of
from rolloutwatch_dashboard.pages.run_charts import drawn, first_of, parts_of
from rolloutwatch_dashboard.visit import Visit
from tests.dashboard.alerting import alert
from tests.dashboard.test_pages import NOW, found, text_of


def source_of(*metrics: str, run: str = "math~a") -> MemorySource:
    """A run whose only step has these figures."""
    source = MemorySource()
    source.add_run(run)
    source.add_step(run, 0, dict.fromkeys(metrics, 0.5))
    return source


def run_of(*metrics: str) -> RunDetail:
    found = source_of(*metrics).run("math~a")
    assert found is not None
    return found


def titles(run: RunDetail) -> dict[str, list[str]]:
    return {group.heading: [chart.title for chart in group.charts] for group in charts_of(run)}


def test_each_figure_of_the_catalogue_stands_in_one_chart_of_its_group() -> None:
    placed = [
        (metric, group) for group, (_, rows) in catalogued().items() for row in rows for metric in row.metrics
    ]
    assert Counter(metric for metric, _ in placed) == dict.fromkeys(METRICS, 1)
    assert dict(placed) == {name: one.group for name, one in METRICS.items()}


def test_groups_stand_in_the_order_of_the_catalogue_and_what_the_trainer_logs_comes_last() -> None:
    run = run_of(*METRICS, "n_tokens@code", "reward")
    assert [group.name for group in charts_of(run)] == [
        *(group.value for group in Group),
        "groups",
        "training",
    ]
    assert [group.heading for group in charts_of(run)][:2] == ["Health indicators", "Distribution"]


def test_a_chart_has_a_name_of_its_own_and_a_colour_for_each_of_its_labels() -> None:
    run = run_of(
        *METRICS, *(f"{core}@{group}" for core in CORE_METRICS for group in "abcdefg"), "reward", "loss"
    )
    charts = [chart for group in charts_of(run) for chart in group.charts]
    assert max(Counter(chart.name for chart in charts).values()) == 1
    assert max(len({*chart.metrics.values()}) for chart in charts) == len(theme.SERIES)


def test_what_never_came_is_not_drawn() -> None:
    """Neither a chart of it, nor a line in the chart of another figure, nor a group of nothing."""
    assert titles(run_of("ratio_eff_sample_size", "mismatch_kl")) == {
        "Health indicators": ["Effective sample size"],
        "KL": ["KL (K1)"],
    }
    (health, _) = charts_of(run_of("ratio_eff_sample_size", "mismatch_kl"))
    assert dict(health.charts[0].metrics) == {"ratio_eff_sample_size": "ratios"}


def test_the_reward_stands_beside_how_much_the_policies_agree() -> None:
    run = run_of("actor/loss", "critic/rewards/mean", "ratio_eff_sample_size", "mismatch_k3_kl")
    assert titles(run)["Training"] == [
        "critic/rewards/mean",
        "Effective sample size",
        "KL (K3)",
        "actor/loss",
    ]
    assert titles(run_of("actor/loss", "mismatch_k3_kl"))["Training"] == ["actor/loss"]


@pytest.mark.parametrize(
    ("names", "reward"),
    [
        (["reward"], "reward"),
        (["critic/score/mean", "critic/rewards/mean"], "critic/rewards/mean"),
        (["rewards/std", "val/score"], "val/score"),
        (["episode_return"], "episode_return"),
        (["Train/Reward", "train/reward_max"], "Train/Reward"),
        (["reward_model/seconds", "scoreboard", "rewarding"], None),
        ([], None),
    ],
)
def test_a_reward_is_known_by_its_name(names: list[str], reward: str | None) -> None:
    assert reward_of(names) == reward


def test_figures_of_groups_of_sequences_share_a_chart_with_a_line_each() -> None:
    """More lines than there are colours need another chart; what only looks like one of a group is the trainer's."""
    run = run_of(*(f"mismatch_kl@{group}" for group in "abcdefg"), "mismatch_kl@<b>", "mine@b", "chi2_seq@b")
    by_group, training = charts_of(run)
    assert [list(chart.metrics.values()) for chart in by_group.charts] == [["<b>", *"abcde"], ["f", "g"]]
    assert [chart.title for chart in training.charts] == ["chi2_seq@b", "mine@b"]


def test_a_page_comes_with_the_charts_that_are_seen_first() -> None:
    """The others come in parts of at most twelve; those of one group are never in the part of another."""
    run = run_of(*METRICS, *(f"scalar/{number}" for number in range(30)))
    parts = parts_of(charts_of(run))
    assert [len(part.charts) for part in parts if part.group == "training"] == [12, 12, 6]
    assert first_of(parts) == {"health-0", "distribution-0"}
    assert first_of(parts_of(charts_of(run_of("reward")))) == {"training-0"}


def graphs(component: Any) -> list[str]:
    return [one.id for one in component._traverse() if isinstance(one, dcc.Graph)]


def test_a_chart_out_of_view_is_a_room_until_it_is_asked_for() -> None:
    """It has the head, the limits and the id of the chart, and no series is read for it."""
    read: list[str] = []

    class Counting(MemorySource):
        def series(self, run: str, metrics: Any, **which: Any) -> Any:
            read.extend(metrics)
            return super().series(run, metrics, **which)

    source = Counting()
    source.add_run("math~a")
    source.add_step("math~a", 0, dict.fromkeys([*METRICS, "reward"], 0.5))
    shown, followed = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)
    assert graphs(shown) == [
        "chart-ess", "chart-veto", "chart-weight-mean",
        "chart-weight-extremes", "chart-weight-std", "chart-weight-seq", "chart-weight-seq-spread",
    ]  # fmt: skip
    assert found(shown, "chart-k3").className == "room"
    assert "KL (K3) warning > 0.01 critical > 0.1" in text_of(shown)
    assert {"reward", "chi2_seq", "seq_ratio_std"} & {*read} == set()
    assert {chart["part"]: chart["drawn"] for chart in followed["charts"]}["kl-0"] is False
    (card,) = drawn(
        {"page": followed["page"], "query": "", "charts": ["chart-k3"]},
        "math~a",
        Visit(source, DEFAULT_LIMITS, NOW),
    )
    figure = found(card, "chart-k3").figure
    assert (figure["data"][0]["y"], figure["layout"]["meta"]) == ([0.5], followed["page"])


NONSENSE: list[Any] = [
    None, 1, "", [], {}, {"page": 1, "query": "", "charts": []}, {"page": "", "query": None, "charts": []},
    {"page": "", "query": "", "charts": "chart-k3"}, {"query": "", "charts": ["chart-k3"]},
]  # fmt: skip


@pytest.mark.parametrize("wanted", NONSENSE)
def test_nonsense_that_is_asked_for_changes_nothing(wanted: Any) -> None:
    visit = Visit(source_of("mismatch_k3_kl"), DEFAULT_LIMITS, NOW)
    assert drawn(wanted, "math~a", visit) is no_update
    assert drawn({"page": "", "query": "", "charts": []}, "no~such", visit) is no_update


def test_charts_that_nobody_has_are_not_drawn() -> None:
    visit = Visit(source_of("mismatch_k3_kl"), DEFAULT_LIMITS, NOW)
    wanted = {"page": "", "query": "?step=x", "charts": ["chart-ess", "chart-none", 3, None, ["chart-k3"]]}
    assert drawn(wanted, "math~a", visit) == []


def test_a_run_without_figures_says_when_there_will_be_charts() -> None:
    source = MemorySource()
    source.add_run("math~a")
    shown, followed = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)
    assert "Charts appear with the first step that the trainer brings, as these lines do:" in text_of(shown)
    assert (followed["charts"], graphs(shown)) == ([], [])


def test_a_tile_leads_to_its_chart_if_there_is_one() -> None:
    shown, _ = page(
        "/runs/math~a", source_of("ratio_eff_sample_size", "mismatch_k3_kl", "reward"), DEFAULT_LIMITS, NOW
    )
    tiles = [one for one in shown._traverse() if getattr(one, "className", None) == "tile"]
    ways = [[one.href for one in tile._traverse() if isinstance(one, html.A)] for tile in tiles]
    assert ways == [["#chart-ess"], [], [], ["#chart-k3"]]


def test_the_head_is_told_of_the_alerts_that_fire() -> None:
    source = source_of("mismatch_k3_kl")
    source.add_alert(
        alert(run="math~a", rule="<b>stale", firing_step=7, summary="Rollout weights look stale.")
    )
    shown, _ = page("/runs/math~a", source, DEFAULT_LIMITS, NOW)
    (told,) = json.loads(getattr(found(shown, "run-alerts").children, "data-firing"))
    said = {"severity": 2, "rule": "<b>stale", "summary": "Rollout weights look stale.", "step": 7}
    assert told == told | said
