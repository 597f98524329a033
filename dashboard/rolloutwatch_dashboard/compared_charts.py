"""Which figures runs are compared by, and what the chart of each is."""

from collections.abc import Iterable, Mapping, Sequence

from rolloutwatch_contract import METRICS
from rolloutwatch_contract.limits import Limit
from rolloutwatch_contract.protocol import RunDetail
from rolloutwatch_dashboard.charts import SHOWN_WHEN_NOT_ZERO, TILES, charts_of, reward_of
from rolloutwatch_dashboard.figures.timeseries import Chart
from rolloutwatch_dashboard.words import title

FEWEST_METRICS = 4  # of runs that have none of the core figures, so many of their own are drawn


def offered(details: Sequence[RunDetail]) -> list[str]:
    """Return the figures that any of the runs has: those of the catalogue in its order, then the trainers' own."""
    there = {metric for one in details for metric in one.metrics}
    return [metric for metric in METRICS if metric in there] + sorted(there - METRICS.keys())


def usual(details: Sequence[RunDetail]) -> list[str]:
    """Return the figures that one looks at first: the core ones, and the reward."""
    there = offered(details)
    core = [metric for metric in TILES if metric in there]
    own = [metric for metric in there if metric not in METRICS]
    # rather one that all of them have
    reward = reward_of(
        metric for metric in own if all(metric in one.metrics for one in details)
    ) or reward_of(own)
    return [*core, *([reward] if reward else [])] or there[:FEWEST_METRICS]


def charts_for(details: Sequence[RunDetail], metrics: Iterable[str]) -> list[Chart]:
    """Return a chart for each figure, with the value axis that it has on the page of a run."""
    known: dict[str, Chart] = {}
    for detail in details:
        for group in charts_of(detail, SHOWN_WHEN_NOT_ZERO):
            known |= {
                metric: chart for chart in group.charts for metric in chart.metrics if metric not in known
            }
    return [_chart(number, metric, known) for number, metric in enumerate(metrics)]


def _chart(number: int, metric: str, known: Mapping[str, Chart]) -> Chart:
    name = f"compared-{number}"
    about = METRICS.get(metric)
    unit, ideal = (about.unit, about.ideal) if about else ("", None)
    like = known.get(metric)
    floor, home = (like.floor, like.home) if like else (0.0, ())
    return Chart(name, title(metric), unit, {metric: metric}, ideal, floor, home)


def common(limits: Sequence[Sequence[Limit]]) -> list[Limit]:
    """Return the limits that all of the runs have; a line that is true of some would be read as true of all."""
    first, *others = limits or [[]]
    return [one for one in first if all(one in of_it for of_it in others)]
