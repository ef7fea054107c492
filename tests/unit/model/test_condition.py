# SPDX-License-Identifier: Apache-2.0
"""A condition is an arm under a load: what a plan orders, and what a count counts."""

import pytest

from testbed.model.condition import Condition, under
from testbed.model.config import BenchConfig
from testbed.model.nic import INTERFACE


def test_arms_under_the_load_of_the_trials() -> None:
    bench = BenchConfig(rate_pps=450.0, payload_bytes=64)
    assert under(bench, ["none", "xdp"]) == (
        Condition("none", 64, 450.0, INTERFACE), Condition("xdp", 64, 450.0, INTERFACE),
    )  # fmt: skip


def test_a_count_has_no_rate() -> None:
    one = Condition("xdp", 1000)
    assert (one.counted, one.rate_pps) == ("xdp-1000", None)
    with pytest.raises(ValueError, match="xdp: packets one after the other have no rate"):
        _ = one.rate
