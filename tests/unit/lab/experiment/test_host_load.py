# SPDX-License-Identifier: Apache-2.0
"""The host's load between two readings: which columns of its /proc/stat are work."""

from typing import Any

import pytest

from testbed.lab.experiment.host_load import HostLoad

COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")


def reading(seconds: float, **ticks: int) -> dict[str, Any]:
    """Two CPUs of which one has nothing to do, with more ticks in some columns."""
    counted = {name: ticks.get(name, 0) for name in COLUMNS}
    counted["idle"] += round(100 * seconds)
    return {
        "monotonic_ns": [round(seconds * 1e9)] * 2,
        "own_cpu_ns": 0,
        "stat": f"cpu {' '.join(str(counted[name]) for name in COLUMNS)}\n",
        "threads": {"server": [{"name": "CPU 0/TCG", "run_ns": 1, "wait_ns": 1}]},
    }


@pytest.mark.parametrize("column", ["user", "nice", "system", "irq", "softirq"])
def test_work_of_others_counts_in_whatever_column_it_stands(column: str) -> None:
    """The link between the machines is UDP on the host: much of its work is softirq."""
    load = HostLoad.between(reading(1), reading(2, **{column: 100}))
    assert load.other_cpus == pytest.approx(1.0)
    assert load.idle_share == pytest.approx(0.5)


@pytest.mark.parametrize(("column", "idle_share"), [("iowait", 1.0), ("steal", 0.5)])
def test_waiting_is_nobodys_work(column: str, idle_share: float) -> None:
    load = HostLoad.between(reading(1), reading(2, **{column: 100}))
    assert load.other_cpus == pytest.approx(0.0)
    assert load.idle_share == pytest.approx(idle_share)
