# SPDX-License-Identifier: Apache-2.0
"""A run begins when the server has run for a minute: the check `floor` doubts one before that."""

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.analysis.findings.windows import UPTIME_SUSPECT_S
from testbed.edge.guests.guest import Guest
from testbed.verbs.measuring import boots
from tests.unit.factories.fakes import World


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that were waited for the server."""
    seconds: list[float] = []
    clock = SimpleNamespace(**{**vars(time), "sleep": seconds.append})
    monkeypatch.setattr(boots, "time", clock)
    return seconds


@pytest.mark.parametrize(("uptime_s", "expected"), [(35.0, [25.0]), (60.0, [])])
def test_a_run_waits_for_a_server_that_has_just_booted(
    bench_line: Callable[..., Any], slept: list[float], monkeypatch: pytest.MonkeyPatch,
    uptime_s: float, expected: list[float],
) -> None:  # fmt: skip
    monkeypatch.setattr(Guest, "uptime_s", lambda _: uptime_s)
    assert bench_line(World(), "--xdp", "--trials", "1").status == 0
    assert [seconds for seconds in slept if seconds >= 1] == expected


def test_the_wait_is_as_long_as_the_check_wants() -> None:
    assert boots.SETTLED_S == UPTIME_SUSPECT_S
