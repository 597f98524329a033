"""Thinning: what a screen cannot show may go, what a person looks for may not."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rolloutwatch_contract.protocol import Series
from rolloutwatch_server.downsample import WIDE, thin, thin_by_time

VALUES = st.sampled_from((math.nan, math.inf, -math.inf, -0.0, 0.0, 1.0)) | st.floats()


@st.composite
def series(draw: st.DrawFn) -> Series:
    """Steps with gaps and far from zero, values of every kind."""
    length = draw(st.sampled_from((1, 5, 20, 100, 4 * WIDE)))
    values = draw(st.lists(VALUES, min_size=length, max_size=length))
    longest = draw(st.sampled_from((1, 50)))
    gaps = draw(st.lists(st.integers(1, longest), min_size=length, max_size=length))
    first = draw(st.integers(0, 2**52))
    return Series(first + np.cumsum(gaps), np.array(values))


def thin_slowly(series: Series, points: int) -> list[int]:
    """The indices that stay, by a loop: first, last, and of each column its lowest, highest and one non-finite value."""
    count = len(series.step)
    if count <= points:
        return list(range(count))
    columns = (points - 2) // 2
    edges = np.linspace(series.step[0], series.step[-1] + 1, columns + 1)
    kept = {0, count - 1}
    for left, right in itertools.pairwise(edges):
        column = [i for i in range(count) if left <= series.step[i] < right]
        finite = [i for i in column if math.isfinite(series.value[i])]
        strange = [i for i in column if not math.isfinite(series.value[i])]
        if finite:
            kept |= {min(finite, key=series.value.__getitem__), max(finite, key=series.value.__getitem__)}
        kept |= set(strange[:1])
    return sorted(kept)


@given(series=series(), points=st.integers(4, 40))
def test_thinning_is_what_the_loop_says(series: Series, points: int) -> None:
    """No column loses its lowest, its highest or its being broken; no value is moved or made up."""
    kept = thin_slowly(series, points)
    thinned = thin(series, points)
    assert series.step[kept].tolist() == thinned.step.tolist()
    assert series.value[kept].tobytes() == thinned.value.tobytes()
    assert len(thinned.step) <= max(points, 1.5 * points - 1)


@given(series())
def test_a_series_that_fits_is_left_alone(series: Series) -> None:
    assert thin(series, None) is series
    assert thin(series, max(4, len(series.step))) is series


@pytest.mark.parametrize("strange", [1e9, -1e9, math.nan, math.inf])
@pytest.mark.parametrize("where", [0, 1, 123_456, 999_998, 999_999])
def test_one_step_in_a_million_is_not_lost(where: int, strange: float) -> None:
    """A spike, or a gap, of a single step is what the charts are for."""
    values = np.sin(np.arange(1_000_000) / 1000)
    values[where] = strange
    thinned = thin(Series(np.arange(1_000_000), values), 1000)
    assert len(thinned.step) <= 1000
    shown = thinned.value[thinned.step == where]
    assert np.array([strange]).tobytes() == shown.tobytes()


def test_a_hole_in_the_steps_stays_a_hole() -> None:
    """A run that paused shows nothing where it has nothing, and the columns there cost nothing."""
    steps = np.concatenate([np.arange(0, 1000), np.arange(9000, 10_000)])
    thinned = thin(Series(steps, (steps % 7).astype(float)), 102)
    columns = thinned.step // 200
    extremes = {
        int(n): (thinned.value[columns == n].min(), thinned.value[columns == n].max()) for n in columns
    }
    assert dict.fromkeys((*range(5), *range(45, 50)), (0.0, 6.0)) == extremes
    assert len(thinned.step) <= 2 * 10 + 2


def test_by_time_each_column_of_time_keeps_its_extremes() -> None:
    """Beside a loop; what has no time is left out, and the order is that of time."""
    random = np.random.default_rng(5)
    time = random.uniform(1e9, 1e9 + 500, 400)
    time[[3, 9]] = np.nan
    value = random.normal(size=400)
    value[7] = np.inf
    thinned = thin_by_time(Series(np.arange(400), value, time), 42)
    known = [n for n in np.argsort(time).tolist() if math.isfinite(time[n])]
    width = (time[known[-1]] - time[known[0]]) / 20
    columns: dict[int, list[int]] = {}
    for n in known[:-1]:
        columns.setdefault(int((time[n] - time[known[0]]) / width), []).append(n)
    columns.setdefault(19, []).append(known[-1])
    kept = {known[0], known[-1], 7}
    for column in columns.values():
        finite = [n for n in column if n != 7]
        kept |= {min(finite, key=value.__getitem__), max(finite, key=value.__getitem__)}
    assert thinned.time is not None
    assert thinned.step.tolist() == [n for n in known if n in kept]
    assert thinned.time.tolist() == time[thinned.step].tolist()
    assert thinned.value.tolist() == value[thinned.step].tolist()
