# SPDX-License-Identifier: Apache-2.0
"""The host's counts for the machines, read from a /proc made by hand and from the real one."""

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.lab.experiment import host_readings
from testbed.lab.experiment.host_readings import HostReadings
from testbed.lab.machines import processes
from testbed.lab.machines.processes import Process

UDP = (
    "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode ref pointer drops\n"
    " 1179: 0100007F:9A09 00000000:0000 07 00000000:00000000 00:00000000 00000000   999        0 "
    "17222 2 00000000617e8777 250\n"
)


@pytest.fixture
def proc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A /proc with one QEMU of two virtual CPUs."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net/udp").write_text(UDP)
    (tmp_path / "stat").write_text("cpu  1 0 2 30 0 0 0 0 0 0\ncpu0 1 0 2 30 0 0 0 0 0 0\nintr 5\n")
    threads = {"77": ("qemu-system-x86", "5 6 7"), "80": ("CPU 0/TCG", "1000 200 3"),
               "81": ("CPU 1/TCG", "3000 400 9")}  # fmt: skip
    for tid, (comm, schedstat) in threads.items():
        task = tmp_path / "77/task" / tid
        task.mkdir(parents=True)
        (task / "comm").write_text(f"{comm}\n")
        (task / "schedstat").write_text(f"{schedstat}\n")
    monkeypatch.setattr(host_readings, "PROC", tmp_path)
    return tmp_path


def test_a_process_is_found_by_its_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    running = [
        Process(pid, 1, "qemu", ("qemu", "-name", f"guest={name}-server,debug=on"), 1, 1)
        for pid, name in ((77, "tbaaaaaa"), (78, "tbbbbbbb"))
    ]
    monkeypatch.setattr(processes, "machines", lambda: running)
    machines: Any = SimpleNamespace(
        project=SimpleNamespace(settings=lambda: {"machines": {"server": {"local_port": 5}}}),
        domains=SimpleNamespace(prefix="tbaaaaaa-"),
    )
    assert HostReadings.of(machines) == HostReadings({"server": 77}, {"server": 5})
    machines.domains.prefix = "tbcccccc-"
    assert HostReadings.of(machines).processes == {}


def test_threads_drops_and_cpu_lines(proc: Path) -> None:
    found = HostReadings({"server": 77}, {"server": 0x9A09, "client": 5}).read()
    assert found["threads"]["server"] == [
        {"name": "qemu-system-x86", "run_ns": 5, "wait_ns": 6},
        {"name": "CPU 0/TCG", "run_ns": 1000, "wait_ns": 200},
        {"name": "CPU 1/TCG", "run_ns": 3000, "wait_ns": 400},
    ]
    assert found["link_drops"] == {"server": 250, "client": None}
    assert found["stat"] == "cpu  1 0 2 30 0 0 0 0 0 0\ncpu0 1 0 2 30 0 0 0 0 0 0\n"
    assert found["monotonic_ns"] == sorted(found["monotonic_ns"])


def test_a_machine_that_died_is_unknown_and_not_zero(proc: Path) -> None:
    found = HostReadings({"server": 99}, {"server": 1}).read()
    assert found["threads"] == {"server": None}


def test_this_process_on_the_real_proc() -> None:
    found = HostReadings({"server": os.getpid()}, {}).read()
    (first, *_) = found["threads"]["server"]
    assert first["run_ns"] > 0
    assert first["wait_ns"] >= 0
