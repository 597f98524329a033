"""Numbers and names as people read them."""

import doctest
import math

import pytest

from rolloutwatch_dashboard import text


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(text).failed == 0


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.2999, "0.2999"),
        (-0.02, "-0.02"),
        (99.99, "99.99"),
        (1000.0, "1000"),
        (1.5e7, "1.50e7"),
        (-math.inf, "-∞"),
    ],
)
def test_numbers_have_four_digits_and_no_noise(value: float, shown: str) -> None:
    assert text.number(value) == shown


def test_a_name_is_never_markup() -> None:
    assert text.plain("<b>a&b</b>") == "&lt;b&gt;a&amp;b&lt;/b&gt;"
