# SPDX-License-Identifier: Apache-2.0
"""Numbers carry as many digits as their interval supports, and no more."""

import pytest

from testbed.analysis.conclusions.sentences import DASH, mean_text, spread_text, supported
from testbed.analysis.statistics.intervals import mean_interval


@pytest.mark.parametrize(
    ("value", "half", "text"),
    [
        (315.27, 6.3, "315"),
        (315.27, 0.63, "315.3"),
        (315.27, 18, "315"),
        (315.27, 40, "320"),
        (315.27, 400, "300"),
        (31.5, 400, "30"),  # never less than one digit
        (1234.6, 12, "1,235"),
        (1234.6, 52, "1,230"),
        (0.04567, 0.002, "0.0457"),
        (0.04567, 0.004, "0.046"),
        (315.27, 0, "315"),
        (0.0, 4, "0"),
    ],
)
def test_the_last_digit_is_one_that_the_uncertainty_leaves(
    value: float, half: float, text: str
) -> None:
    assert supported(value, half) == text


def test_a_mean_has_the_digits_of_its_interval() -> None:
    assert mean_text([314.0, 316.0, 315.0, 315.5, 314.5]) == "315.0"
    assert mean_text([250.0, 400.0, 300.0, 350.0, 310.0]) == "320"
    assert mean_text([315.27]) == "315"  # one value has no interval
    assert mean_text([]) == DASH
    assert mean_text([1.0, -1.0]) == DASH


def test_the_interval_of_a_mean() -> None:
    """By hand: logs 0 and 1, mean 0.5, sd 0.7071, t(1) = 12.706, half 12.706 · 0.7071 / √2."""
    low, high = mean_interval([1.0, 2.718281828459045]) or (0.0, 0.0)
    assert low == pytest.approx(2.718281828 ** (0.5 - 6.353), rel=1e-3)
    assert high == pytest.approx(2.718281828 ** (0.5 + 6.353), rel=1e-3)
    assert mean_interval([1.0]) is None
    assert mean_interval([1.0, 0.0]) is None


def test_a_spread_has_two_digits() -> None:
    assert [spread_text(x) for x in (0.1234, 0.0204, 0.00312, None)] == ["12", "2.0", "0.31", DASH]
