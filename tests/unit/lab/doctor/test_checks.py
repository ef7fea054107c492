# SPDX-License-Identifier: Apache-2.0
"""One thing at a time is broken on a healthy computer: its line says so, and the others do not."""

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor import session
from testbed.lab.doctor import checks, programs, reading, sockets
from testbed.lab.machines import box, processes
from testbed.lab.machines.box import Box, BoxStore
from testbed.lab.machines.processes import Process
from tests.unit.factories.healthy import healthy, looked
from tests.unit.factories.ids import project_id
from tests.unit.factories.left_over import LeftOver

Testbed = Callable[..., Any]
pytestmark = pytest.mark.usefixtures("well")


@pytest.fixture
def well(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> LeftOver:  # fmt: skip
    return healthy(account, tmp_path, tool, monkeypatch)


def broken(testbed: Testbed, *names: str) -> list[dict[str, str]]:
    """Return these lines, after proving that no other is worse than on a healthy computer."""
    _, lines = looked(testbed)
    bad = {name for name, line in lines.items() if line["level"] != "ok"}
    assert bad - {"KVM", "box"} == set(names) - {"KVM", "box"}
    return [lines[name] for name in names]


def test_the_processor(testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "proc/cpuinfo").write_text("flags : fpu\n")
    monkeypatch.setattr(reading, "cores", lambda: 1)
    flags, cores = broken(testbed, "virtualisation", "cores")
    assert (flags["level"], cores["level"]) == ("note", "warning")


def test_memory(testbed: Testbed, tmp_path: Path) -> None:
    text = "MemTotal: 9000000 kB\nMemAvailable: 900000 kB\n"
    (tmp_path / "proc/meminfo").write_text(text)
    (memory,) = broken(testbed, "memory")
    assert memory["found"] == "878 MB available, the two machines need 1836 MB"


def test_disk(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(box, "BUILD_BYTES", 1 << 62)
    data, scratch = broken(testbed, "disk: data", "disk: scratch")
    assert (data["level"], scratch["level"]) == ("problem", "problem")
    assert "TMPDIR" in scratch["fix"]


def test_room_for_runs(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "RESULTS_BYTES", (1, 1 << 62))
    (results,) = broken(testbed, "disk: results")
    assert results["level"] == "warning"


def test_user_ids(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "text", lambda _: "")
    (ids,) = broken(testbed, "user ids")
    assert (ids["level"], "/etc/subgid" in ids["found"]) == ("problem", True)


def test_namespaces(testbed: Testbed, tmp_path: Path, tool: Callable[[str, str], Path]) -> None:
    tool("mmdebstrap", "[ $1 = --version ] && echo 1.3.5 && exit; echo E: forbidden >&2; exit 1")
    assert broken(testbed, "user namespaces")[0]["found"] == "refused: forbidden"
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    (tmp_path / "proc/sys/kernel/unprivileged_userns_clone").write_text("0\n")
    fix = broken(testbed, "user namespaces")[0]["fix"]
    assert "sysctl kernel.unprivileged_userns_clone=1`" in fix


def test_a_namespace_without_rights(
    testbed: Testbed, tmp_path: Path, tool: Callable[[str, str], Path]
) -> None:
    """As on Ubuntu 24.04: these are mmdebstrap's words where setgid(2) is refused in there."""
    words = "E: E: setgid failed: Operation not permitted\nE: E: failed to unshare the user …"
    tool("mmdebstrap", f"[ $1 = --version ] && echo 1.4.3 && exit; echo '{words}' >&2; exit 25")
    (tmp_path / "proc/sys/kernel").mkdir(parents=True)
    name = "kernel.apparmor_restrict_unprivileged_userns"
    (tmp_path / "proc/sys" / name.replace(".", "/")).write_text("1\n")
    (line,) = broken(testbed, "user namespaces")
    assert line["found"] == f"refused: setgid failed: Operation not permitted ({name} is 1)"
    assert f"sysctl {name}=0`" in line["fix"]


def test_folders(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "may_write", lambda *_: False)
    monkeypatch.setattr(programs, "i_may_write", lambda _: False)
    data, checkout = broken(testbed, "data folder", "checkout")
    assert (data["level"], checkout["level"]) == ("problem", "problem")


def test_the_key(testbed: Testbed, well: LeftOver) -> None:
    key = well.account.data_dir / "ssh/id_ed25519"
    key.chmod(0o644)
    assert broken(testbed, "ssh key")[0]["fix"].startswith(f"`chmod 600 {key}`")
    key.chmod(0o600)
    key.with_suffix(".pub").unlink()
    assert broken(testbed, "ssh key", "box")[0]["found"] == f"{key}.pub is missing"


def test_libvirt_that_does_not_answer(testbed: Testbed, tool: Callable[[str, str], Path]) -> None:
    tool("virsh", "[ $1 = --version ] && echo 9.0.0 && exit; echo error: no socket >&2; exit 1")
    session, leftovers = broken(testbed, "libvirt session", "leftovers")
    assert (session["level"], leftovers["level"]) == ("problem", "warning")
    assert session["found"].endswith("error: no socket")


def test_what_is_slow_is_called_slow_and_the_others_are_looked_at(
    testbed: Testbed, tool: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(programs, "LIMIT_S", 0.5)
    monkeypatch.setattr(session, "LIMIT_S", 0.5)
    tool("vagrant", "exec sleep 60")
    tool("virsh", "[ $1 = --version ] && echo 9.0.0 && exit; exec sleep 60")
    tool("mmdebstrap", "[ $1 = --version ] && echo 1.3.5 && exit; exec sleep 60")
    names = ("vagrant", "user namespaces", "libvirt session", "leftovers")
    made_by, *others = broken(testbed, "provider", *names)
    for line in others:
        assert line["level"] == "warning"
        assert line["found"].startswith("slow: no end after 0.5 s: ")
    assert made_by["found"] == "not known: vagrant gave no answer within 0.5 s"


def test_the_box(testbed: Testbed, well: LeftOver, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = well.account.data_dir / "boxes/0123456789ab"
    folder.mkdir()
    (folder / "box.json").write_text("{}")
    assert looked(testbed)[1]["box"]["found"] == "not built yet; 1 of other recipes"
    (folder / "testbed.box").write_text("cut off")
    made = Box("0123456789ab", folder, 300_000_000, "2025", "6.1.0", "e46bf68a23c0")
    monkeypatch.setattr(BoxStore, "find", lambda _: made)
    assert looked(testbed)[1]["box"]["level"] == "problem"


def settings(well: LeftOver, checkout: Path, **ports: int) -> None:
    folder = well.account.project_dir(checkout)
    folder.mkdir()
    machines = {
        role: {"ssh_port": ports[f"{role}_ssh"], "local_port": ports[f"{role}_link"]}
        for role in ("client", "server")
    }
    (folder / "machines.json").write_text(json.dumps({"machines": machines}))


def free_ports() -> dict[str, int]:
    return {
        f"{role}_{use}": host.free_port(kind)
        for role in ("client", "server")
        for use, kind in (("ssh", socket.SOCK_STREAM), ("link", socket.SOCK_DGRAM))
    }


def test_ports(testbed: Testbed, well: LeftOver, checkout: Path) -> None:
    ports = free_ports()
    settings(well, checkout, **ports)
    assert looked(testbed)[1]["ports"]["found"].endswith(": free")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mine:
        mine.bind(("127.0.0.1", ports["client_link"]))
        (line,) = broken(testbed, "ports")
    assert line["level"] == "note"
    assert line["found"].startswith(f"{ports['client_link']} (client's link) held by ")
    assert f"(process {os.getpid()})" in line["found"]


def own_machines(monkeypatch: pytest.MonkeyPatch, checkout: Path, **pids: int) -> None:
    prefix = f"tb{project_id(checkout)}-"
    running = [
        Process(pid, 0, "qemu-system-x86", ("qemu", "-name", f"guest={prefix}{role},x"), 1, 1)
        for role, pid in pids.items()
    ]
    monkeypatch.setattr(processes, "machines", lambda: running)


def test_ports_of_machines_that_run(
    testbed: Testbed, well: LeftOver, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings(well, checkout, client_ssh=1, client_link=2, server_ssh=3, server_link=4)
    own_machines(monkeypatch, checkout, client=71, server=72)
    held = {1: 71, 2: 71, 3: 72, 4: 72}
    monkeypatch.setattr(sockets, "holders", lambda _, ports: {
        port: sockets.Holder(held[port], "qemu") for port in ports if port in held
    })  # fmt: skip
    _, lines = looked(testbed)
    assert lines["ports"]["found"] == "1, 3, 2, 4: held by our machines"
    assert lines["other machines"]["level"] == "ok"
    assert "while both machines run" in lines["memory"]["found"]
    held[4] = 99
    assert broken(testbed, "ports")[0]["level"] == "problem"
    del held[4]
    assert broken(testbed, "ports")[0]["found"].endswith("nothing holds 4 (server's link)")


def test_the_lock(testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (checkout / ".testbed").mkdir()
    note = checkout / ".testbed/lock.json"
    note.write_text(json.dumps({"verb": "bench", "pid": 4711}))
    assert "was killed here" in broken(testbed, "lock")[0]["found"]
    monkeypatch.setattr(reading, "lock_owner", lambda _: 4711)
    assert "is at work here" in broken(testbed, "lock")[0]["found"]
    note.write_text("cut of")
    assert "a command is at work" in broken(testbed, "lock")[0]["found"]


def test_power(testbed: Testbed, tmp_path: Path) -> None:
    battery = tmp_path / "sys/class/power_supply/BAT0"
    battery.mkdir(parents=True)
    for name, word in (("type", "Battery"), ("status", "Discharging"), ("capacity", "54")):
        (battery / name).write_text(f"{word}\n")
    cpufreq = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    cpufreq.mkdir(parents=True)
    (cpufreq / "scaling_governor").write_text("schedutil\n")
    power, governor = broken(testbed, "power", "governor")
    assert "54 % left" in power["found"]
    assert governor["level"] == "note"


def test_other_machines_are_told_with_their_checkout(
    testbed: Testbed, well: LeftOver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    well.claim(project_id(other), other)
    own_machines(monkeypatch, other, server=71)
    (line,) = broken(testbed, "other machines", "leftovers")[:1]
    assert line["found"] == f"they take CPU time: tb{project_id(other)}-server (process 71)"
    assert line["fix"] == f"`testbed down` in {other}"


def test_leftovers(testbed: Testbed, well: LeftOver) -> None:
    well.claim("0000cc", "/nowhere/bed")
    assert broken(testbed, "leftovers")[0]["found"].startswith("one thing")


def test_the_distributions_plugin(
    testbed: Testbed, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "none.json").write_text("{}")
    tool("dpkg-query", "echo 0.7.0-1")
    assert broken(testbed, "vagrant-libvirt")[0]["found"].startswith("0.7.0, older")
    real = programs._path
    monkeypatch.setattr(
        programs, "_path", lambda name: None if name == "dpkg-query" else real(name)
    )
    assert "tells no version" in broken(testbed, "vagrant-libvirt")[0]["found"]
