# SPDX-License-Identifier: Apache-2.0
"""The kernel's files, read from pretended ones and from this computer's."""

import fcntl
import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.lab.doctor import programs, reading, sockets
from testbed.lab.doctor.quiet import Supply
from testbed.lab.doctor.sockets import Holder
from testbed.lab.machines import processes


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A pretended /proc and /sys in one folder."""
    for module in (reading, processes, sockets):
        monkeypatch.setattr(module, "PROC", tmp_path)
    monkeypatch.setattr(reading, "SYS", tmp_path)
    return tmp_path


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)


def test_flags_of_the_cpu(system: Path) -> None:
    write(system, cpuinfo="processor : 0\nflags\t\t: fpu vmx\n\nprocessor : 1\nflags : x\n")
    assert reading.cpu_flags() == {"fpu", "vmx"}
    write(system, cpuinfo="processor : 0\n")
    assert reading.cpu_flags() == set()


def test_memory(system: Path) -> None:
    write(system, meminfo="MemTotal: 8192000 kB\nMemFree: 1 kB\nMemAvailable: 2048000 kB\n")
    assert reading.memory_mb() == (8000, 2000)


def test_power_supplies(system: Path) -> None:
    assert reading.supplies() == []
    folder = system / "class/power_supply"
    write(folder / "AC", type="Mains\n", online="0\n")
    write(folder / "BAT0", type="Battery\n", status="Discharging\n", capacity="54\n")
    write(folder / "mouse", type="Battery\n", status="Discharging\n", scope="Device\n")
    assert reading.supplies() == [
        Supply("Mains", False, "", None), Supply("Battery", False, "Discharging", 54),
    ]  # fmt: skip


def test_governors(system: Path) -> None:
    assert reading.governors() == (frozenset(), "")
    for number, governor in enumerate(("powersave\n", "performance\n")):
        write(system / f"devices/system/cpu/cpu{number}/cpufreq",
              scaling_governor=governor, scaling_driver="intel_pstate\n")  # fmt: skip
    assert reading.governors() == ({"powersave", "performance"}, "intel_pstate")


def test_whoever_holds_the_lock_is_found_without_taking_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert reading.lock_owner(path) is None
    with path.open("w") as mine:
        assert reading.lock_owner(path) is None
        fcntl.flock(mine, fcntl.LOCK_EX)
        assert reading.lock_owner(path) == os.getpid()
    assert reading.lock_owner(path) is None


def machine(proc: Path, pid: int, comm: str, *words: str, started: int = 1000) -> None:
    write(proc, uptime="100.00 0\n")
    write(proc / str(pid), comm=f"{comm}\n", cmdline="".join(f"{word}\0" for word in words),
          stat=f"{pid} (a name) S {'0 ' * 18}{started} 0\n")  # fmt: skip


def test_virtual_machines_among_the_processes(system: Path) -> None:
    machine(system, 7, "qemu-system-x86", "qemu-system-x86_64", "-name", "guest=tb0-x,debug=on")
    machine(system, 8, "VBoxHeadless", "VBoxHeadless", "--comment", "win10", "--startvm", "id")
    machine(system, 9, "firecracker", "firecracker")
    machine(system, 10, "python3", "python3", "-name", "guest=no")
    machine(system, 11, "qemu-system-x86")  # ended, not yet buried
    (system / "12").mkdir()
    found = {one.pid: one for one in processes.machines()}
    assert {pid: one.guest for pid, one in found.items()} == {
        7: "tb0-x", 8: "win10", 9: "firecracker",
    }  # fmt: skip
    assert found[7].uid == os.getuid()
    assert found[7].age_s == pytest.approx(100 - 1000 / os.sysconf("SC_CLK_TCK"))


def test_another_process_with_the_same_id_is_another_one(system: Path) -> None:
    machine(system, 7, "qemu-system-x86", "qemu")
    (one,) = processes.machines()
    assert processes.is_still(one)
    (system / "7/stat").write_text(f"7 (a) Z {'0 ' * 18}1000 0\n")
    assert not processes.is_still(one)
    machine(system, 7, "qemu-system-x86", "qemu", started=2000)
    assert not processes.is_still(one)
    assert processes.is_older(7, replace(one, started=2000))
    assert not processes.is_older(7, one), "it took the id of one that has ended"
    assert not processes.is_older(8, one)


def test_ports_that_keep_others_off_the_loopback_address() -> None:
    table = (
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        "   0: 0100007F:9C41 00000000:0000 0A 00000000:00000000 00:00000000 0 1000 0 11 1\n"
        "   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 0 0 0 12 1\n"
        "   2: 0200A8C0:1F90 00000000:0000 0A 00000000:00000000 00:00000000 0 0 0 13 1\n"
        "   3: 0100007F:0050 0100007F:9C41 01 00000000:00000000 00:00000000 0 0 0 14 1\n"
    )
    assert sockets.bound(table, listening=True) == {40001: (11, 1000), 22: (12, 0)}
    assert 80 in sockets.bound(table, listening=False)


@pytest.mark.parametrize(
    ("kind", "name"), [(socket.SOCK_STREAM, "tcp"), (socket.SOCK_DGRAM, "udp")]
)
@pytest.mark.parametrize("address", ["127.0.0.1", "::"])
def test_the_holder_of_a_port(kind: socket.SocketKind, name: str, address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, kind) as mine:
        mine.bind((address, 0))
        if kind is socket.SOCK_STREAM:
            mine.listen()
        number = mine.getsockname()[1]
        comm = Path("/proc/self/comm").read_text().strip()
        assert sockets.holders(name, [number]) == {number: Holder(os.getpid(), comm)}
    assert sockets.holders(name, [number]) == {}


def test_a_holder_that_cannot_be_seen_is_named_by_its_user(system: Path) -> None:
    write(system / "net", tcp="head\n0: 0100007F:9C41 0:0 0A 0:0 0:0 0 0 0 11 1\n")
    assert sockets.holders("tcp", [40001, 40002]) == {40001: Holder(0, "a program of root")}
    write(system / "net", tcp="head\n0: 0100007F:9C41 0:0 0A 0:0 0:0 0 4000000000 0 11 1\n")
    assert sockets.holders("tcp", [40001])[40001].name == "a program of user 4000000000"


def test_whether_the_account_may_write_is_tried(account: Account, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    assert programs.may_write(account, closed)
    if os.geteuid() == 0:
        tmp_path.chmod(0o755)
        assert not programs.may_write(Account("nobody", account.home, 65534, 65534), closed)
