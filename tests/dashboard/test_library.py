"""The part of plotly.js that is shipped: the right version, with all that is drawn, under its licence."""

import re

import pytest
from plotly.offline import get_plotlyjs_version

from rolloutwatch_contract.protocol import MarkView
from rolloutwatch_dashboard.figures.timeseries import Chart, figure_of
from rolloutwatch_dashboard.shell import HERE, LIBRARY

NOTICE = HERE.parent / "NOTICE"


@pytest.fixture(scope="module")
def library() -> str:
    return (HERE / "assets" / LIBRARY).read_text(encoding="utf-8")


def test_it_is_of_the_version_that_figures_are_made_for(library: str) -> None:
    """Figures are checked by the plotly package, which knows one version of plotly.js: update both together."""
    (version,) = re.findall(r"\* plotly\.js \(cartesian - minified\) v(\S+)", library[:300])
    assert version == get_plotlyjs_version()
    assert f"plotly.js {version}, the cartesian bundle" in NOTICE.read_text(encoding="utf-8")


def test_it_has_every_kind_of_trace_that_is_drawn(library: str) -> None:
    known = set(re.findall(r'name:"(\w+)",basePlotModule', library))
    drawn = figure_of(Chart("c", "C", "", {"c": "c"}), {}, [], [MarkView(0, 0.0, "eval")])["data"]
    assert {trace["type"] for trace in drawn} == {"scatter"} <= known


def test_its_licence_stands_beside_it(library: str) -> None:
    licence = (HERE / "assets" / LIBRARY).with_name("LICENSE").read_text(encoding="utf-8")
    assert licence.startswith("MIT License")
    assert "Licensed under the MIT license" in library[:300]
