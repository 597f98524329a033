"""One step as the dashboard reads it: the same that the API tells."""

import math

import numpy as np

from rolloutwatch_contract import Mark
from rolloutwatch_contract.protocol_steps import AttemptView, NoStep, StepView
from rolloutwatch_contract.tables import HISTOGRAM_BINS
from rolloutwatch_server.alerts.rulebook import Rulebook
from rolloutwatch_server.source import DashboardSource
from rolloutwatch_server.store import Store
from tests.server.asking import Asking
from tests.server.records import OTHER_SESSION, RUN, STREAM, batch, start, step
from tests.server.test_api_steps import BIG, full


def source_of(store: Store) -> DashboardSource:
    return DashboardSource(store, Rulebook(store))


def test_pages_and_the_api_have_the_same_step(store: Store) -> None:
    """Pages with NaN and with ids of any size, the API as JSON can have them."""
    store.archive(
        STREAM, batch(start(), step(3, kl=1.0), full(5, kl=math.nan, n_sequences=9.0), step(9, kl=1.0))
    )
    told = Asking.of(store).get(f"/runs/{RUN}/steps/5")
    view = source_of(store).step(RUN, 5)
    assert isinstance(view, StepView)
    assert (view.session, view.shown, view.time) == (told["session"], told["shown"], told["time"])
    assert math.isnan(view.metrics.pop("kl"))
    assert view.metrics == {"n_sequences": 9.0}
    assert view.histogram is not None
    assert view.histogram.tolist() == told["histogram"]["counts"] == list(range(HISTOGRAM_BINS))
    table = view.sequences
    assert table is not None
    assert (table.total, table.n_sequences, table.is_whole) == (3, 9, False)
    assert table.sample_ids == (7, BIG, -1)
    assert list(table.groups) == told["sequences"]["groups"]
    assert math.isnan(table.columns["log_ratio_sum"][0])
    assert table.columns["log_ratio_sum"][1:].tolist() == told["sequences"]["columns"]["log_ratio_sum"][1:]
    assert [one.texts for one in view.tokens] == [("<b>", "\n"), ("x",)]
    np.testing.assert_equal(view.tokens[0].log_ratios, [0.5, np.inf])
    assert (view.previous, view.next) == (told["previous"], told["next"]) == (3, 9)


def test_a_step_done_again_has_both_attempts(store: Store) -> None:
    store.archive(STREAM, batch(start(time=1.0), *(step(n, mismatch_k3_kl=0.5) for n in range(6))))
    store.archive(OTHER_SESSION, batch(start(time=2.0), step(4, mismatch_k3_kl=0.25)))
    source = source_of(store)
    view, former = source.step(RUN, 4), source.step(RUN, 4, "s1")
    assert isinstance(view, StepView)
    assert isinstance(former, StepView)
    assert view.attempts == (AttemptView("s1", 1, False), AttemptView("s2", 1, True))
    assert (view.session, view.metrics, view.shown) == ("s2", {"mismatch_k3_kl": 0.25}, True)
    assert view.alerts is not None
    assert [one.rule for one in view.alerts] == ["kl_high", "kl_very_high"]
    assert (former.session, former.metrics, former.shown) == ("s1", {"mismatch_k3_kl": 0.5}, False)
    assert (former.alerts, former.time) == (None, None)


def test_a_step_that_is_not_there_names_those_that_are(store: Store) -> None:
    """And who did it, if it was given up; of a run that there is not nothing is known."""
    store.archive(STREAM, batch(start(time=1.0), *(step(n, kl=0.5) for n in range(6))))
    store.archive(OTHER_SESSION, batch(start(time=2.0), step(3, kl=0.25)))
    source = source_of(store)
    assert source.step(RUN, 5) == NoStep(run=RUN, step=5, attempts=("s1",), previous=3)
    assert source.step(RUN, 3, "s9") == NoStep(run=RUN, step=3, attempts=("s1", "s2"), previous=2)
    assert source.step(RUN, 9) == NoStep(run=RUN, step=9, previous=3)
    assert source.step("math~none", 3) == NoStep(run="math~none", step=3)


def test_a_step_that_has_marks_alone_is_that_of_who_made_the_last(store: Store) -> None:
    store.archive(STREAM, batch(start(), Mark(3, 3.0, "checkpoint", {}), step(9, kl=1.0)))
    view = source_of(store).step(RUN, 3)
    assert isinstance(view, StepView)
    assert (view.session, view.metrics, view.next) == ("s1", {}, 9)
