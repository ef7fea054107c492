# SPDX-License-Identifier: Apache-2.0
"""Work in a fork: the same result, the same error, and no process left."""

import os
import signal
import time
from pathlib import Path

import pytest

from testbed.analysis import second_process
from testbed.analysis.second_process import begun


@pytest.fixture(params=[1, 2], ids=["one core", "two cores"])
def cores(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """With one core there is no fork."""
    monkeypatch.setattr(second_process.os, "cpu_count", lambda: request.param)
    count: int = request.param
    return count


def children() -> list[str]:
    pid = os.getpid()
    return Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()


def test_a_result(cores: int) -> None:
    here, before = os.getpid(), children()
    with begun(lambda: (os.getpid(), "x" * 1_000_000)) as result:
        pid, text = result()
    assert (pid != here) == (cores == 2)
    assert len(text) == 1_000_000
    assert children() == before


@pytest.mark.usefixtures("cores")
def test_an_error_is_met_here() -> None:
    def fail() -> None:
        raise ValueError("its own words")

    with pytest.raises(ValueError, match="its own words"), begun(fail) as result:
        result()


def test_a_fork_that_is_killed_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_process.os, "cpu_count", lambda: 2)
    here = os.getpid()

    def work() -> str:
        if os.getpid() != here:
            os.kill(os.getpid(), signal.SIGKILL)
        return "done"

    with begun(work) as result:
        assert result() == "done"


def test_nobody_waits_for_what_nobody_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_process.os, "cpu_count", lambda: 2)
    before, start = children(), time.monotonic()
    with pytest.raises(KeyError), begun(lambda: time.sleep(60)):
        raise KeyError
    assert time.monotonic() - start < 20
    assert children() == before
