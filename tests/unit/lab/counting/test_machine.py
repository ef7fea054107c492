# SPDX-License-Identifier: Apache-2.0
"""The foundations of a count: the plugin's build, the machine's record, its identity."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import dpkt
import pytest

from testbed.edge.computer.account import Account
from testbed.lab.counting import commandline, plugin, server
from testbed.lab.counting.arm import receiver_json
from testbed.lab.counting.identity import identity, of_box
from testbed.lab.counting.link import frames
from testbed.lab.counting.machine import CountingMachine
from testbed.lab.counting.plugin import Plugin
from testbed.lab.guests.deploy import Wanted
from testbed.lab.machines.box import Box
from testbed.model import arm as arm_manifest
from testbed.model.config import Config
from testbed.model.errors import GuestError, HostError
from tests import PROJECT
from tests.unit.factories.counting_fakes import counting_machine, save

ARMS = PROJECT / "guest/arms"
VERSION = "QEMU emulator version 7.2.22"
REFUSES = (
    'case "$*" in *--version*) echo "%s";; *) echo asked >> "%s"; '
    'echo "plugin requires API version 9999, but this QEMU supports only up to version %s" >&2; '
    "exit 1;; esac"
)
Tool = Callable[[str, str], Path]


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    return Account(None, tmp_path / "home", 0, 0)


def test_the_counter_is_built_for_the_interface_that_qemu_names_and_once(
    account: Account, tool: Tool, tmp_path: Path
) -> None:
    tool("qemu-system-x86_64", REFUSES % (VERSION, tmp_path / "asked", 1))
    built = plugin.build(account, PROJECT)
    assert (built.interface, built.qemu) == (1, VERSION)
    assert built.file.read_bytes().startswith(b"\x7fELF")
    assert plugin.build(account, PROJECT) == built
    assert (tmp_path / "asked").read_text() == "asked\n"


def test_another_qemu_gets_another_counter(account: Account, tool: Tool, tmp_path: Path) -> None:
    tool("qemu-system-x86_64", REFUSES % (VERSION, tmp_path / "asked", 1))
    first = plugin.build(account, PROJECT)
    tool("qemu-system-x86_64", REFUSES % ("QEMU emulator version 10.0.2", tmp_path / "asked", 4))
    second = plugin.build(account, PROJECT)
    assert second.interface == 4
    assert second.file != first.file


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ('[ "$1" = --version ] && echo QEMU || { echo "-plugin: invalid option" >&2; exit 1; }',
         "this QEMU loads no plugins"),
        (REFUSES % (VERSION, "/dev/null", 6), "plugin interface 6; the counter knows those up to"),
    ],
)  # fmt: skip
def test_a_qemu_that_cannot_count_is_refused(
    script: str, words: str, account: Account, tool: Tool
) -> None:
    tool("qemu-system-x86_64", script)
    with pytest.raises(HostError, match=words) as caught:
        plugin.build(account, PROJECT)
    assert "CPU time needs no plugin" in caught.value.hint


def test_without_gcc_the_error_names_its_package(
    account: Account, tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tool("qemu-system-x86_64", REFUSES % (VERSION, tmp_path / "asked", 1)).parent
    monkeypatch.setenv("PATH", str(folder))
    with pytest.raises(HostError, match="gcc is not installed"):
        plugin.build(account, PROJECT)


@pytest.fixture
def machine(tmp_path: Path) -> CountingMachine:
    return counting_machine(tmp_path)


def test_a_saved_state_goes_on_only_in_the_machine_that_it_was_saved_in(
    machine: CountingMachine,
) -> None:
    assert machine.saved() is None
    save(machine)
    found = machine.saved()
    assert found is not None
    assert found["holds"] == {"arms": ["none"]}
    for name in machine.made_with():
        save(machine, **{name: "another"})
        assert machine.saved() is None, name


def test_a_half_made_machine_is_none(machine: CountingMachine) -> None:
    save(machine)
    machine.disk.unlink()
    assert machine.saved() is None
    save(machine)
    (machine.folder / "saved.json").write_text("{")
    assert machine.saved() is None


def test_what_it_held_is_kept_while_the_sources_are_the_same() -> None:
    config = Config()
    none, xdp = arm_manifest.choose(ARMS, ["none", "xdp"])
    first = server.holds(Wanted.read(PROJECT, [xdp]), config, None)
    assert list(first["arms"]) == ["xdp"]
    assert server.holds(Wanted.read(PROJECT, [xdp]), config, first) == first
    assert set(server.holds(Wanted.read(PROJECT, [none]), config, first)["arms"]) == {"none", "xdp"}
    both = Wanted.read(PROJECT, [none, xdp])
    new = server.lacking(both, config, first)
    assert (set(new.arms), new.programs) == ({"none"}, {}), "what it has is not built again"
    assert server.lacking(both, config, None) == both
    older = {**first, "sources": "older"}
    assert set(server.holds(Wanted.read(PROJECT, [none]), config, older)["arms"]) == {"none"}


def test_an_arm_from_outside_is_built_again_when_it_changed(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    shutil.copytree(ARMS / "none", folder)
    manifest = (folder / "arm.toml").read_text()
    (folder / "arm.toml").write_text(manifest.replace('name = "none"', 'name = "mine"'))
    (mine,) = arm_manifest.choose(ARMS, [str(folder)])
    first = server.holds(Wanted.read(PROJECT, [mine]), Config(), None)
    assert server.holds(Wanted.read(PROJECT, [mine]), Config(), first) == first
    (folder / "hook.c").write_text("int x;\n")
    changed = server.holds(Wanted.read(PROJECT, [mine]), Config(), first)
    assert changed["sources"] == first["sources"]
    assert changed["arms"] != first["arms"]


def options(argv: list[str], name: str) -> list[str]:
    return [value for word, value in pairwise(argv) if word == name]


def test_the_machine_has_no_way_out_and_ends_with_its_command(tool: Tool, tmp_path: Path) -> None:
    tool("qemu-system-x86_64", "")
    argv = commandline.command(
        tmp_path / "disk,1", commandline.Ports(1, 2, 3), name="n", memory_mb=512,
        nic_model="e1000", monitor_fd=7, console=tmp_path / "console", boot=["-kernel", "k"],
        restore="ready", plugin="p,reader=8",
    )  # fmt: skip
    assert argv[1:3] == ["--pdeathsig", "KILL"]
    networks = options(argv, "-netdev")
    assert any("restrict=on" in one and "127.0.0.1:1-:22" in one for one in networks)
    assert any("udp=127.0.0.1:3,localaddr=127.0.0.1:2" in one for one in networks)
    assert len(networks) == 2
    assert options(argv, "-accel") == ["tcg,thread=multi"]
    assert options(argv, "-smp") == ["1"]
    assert options(argv, "-cpu")[0].startswith("qemu64,+")
    assert options(argv, "-plugin") == ["p,reader=8"]
    assert options(argv, "-loadvm") == ["ready"]
    assert ",,1" in options(argv, "-drive")[0]


def test_the_kernel_boots_as_the_box_boots_but_for_what_makes_it_steady() -> None:
    words = commandline.kernel_parameters(PROJECT).split()
    box = (PROJECT / "guest/box/syslinux.cfg").read_text()
    steady = commandline.STEADY.split()
    assert len(steady) == 3
    assert words[-3:] == steady
    assert " ".join(words[:-3]) in box


def test_frames_are_those_of_a_trial() -> None:
    source = frames(Config().network, ("192.168.64.2", 8080), 211, seed=1)
    one, two = next(source), next(source)
    packets = [dpkt.ethernet.Ethernet(frame) for frame in (one, two)]
    assert [len(packet.data.data.data) for packet in packets] == [211, 211]
    assert packets[0].data.data.dport == 8080
    assert packets[0].data.data.data != packets[1].data.data.data
    assert next(frames(Config().network, ("192.168.64.2", 8080), 211, seed=1)) == one


@dataclass
class Said:
    """A guest that prints one text."""

    stdout: str

    def shell(self, *_: Any, **__: Any) -> "Said":
        return self


def test_the_identity_names_what_counts_depend_on() -> None:
    text = (
        "/proc/version:Linux 6.1\n/proc/cmdline:quiet\n/proc/sys/kernel/kptr_restrict:0\n"
        "/sys/devices/system/cpu/vulnerabilities/mds:Not affected\n"
        "/sys/devices/system/cpu/vulnerabilities/spectre_v2:Mitigation: Retpolines\n"
        "flags\t\t: sse fpu\n"
    )
    guest: Any = Said(text)
    found = identity(guest, Plugin(Path("p"), VERSION, 1), "e1000", "testbed-1")
    assert found["kernel"] == "Linux 6.1"
    assert found["cpu_flags"] == ["fpu", "sse"]
    assert found["mitigations"] == {"spectre_v2": "Mitigation: Retpolines"}
    assert (found["qemu"], found["interface"]) == (VERSION, 1)


def test_the_identity_names_the_kernels_package_and_what_builds_the_arms(tmp_path: Path) -> None:
    box = Box("0123456789ab", tmp_path, 1, "2026", "6.1.0", "00")
    assert of_box(box) == {"kernel_package": None, "built_with": None}
    (tmp_path / "packages.txt").write_text(
        "clang-14 14.0.6\ngcc 4:12.2\ngcc-12 12.2.0\ngcc-12-base 12.2.0\nlinux-image-6.1.0 6.1-3\n"
    )
    assert of_box(box) == {
        "kernel_package": {
            "package": "linux-image-6.1.0", "version": "6.1-3", "sha256": None, "headers": (),
        },
        "built_with": {"clang-14": "14.0.6", "gcc-12": "12.2.0"},
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    ["/proc/sys/kernel/kptr_restrict:2", "/proc/sys/net/core/bpf_jit_harden:1",
     "/proc/sys/net/core/bpf_jit_kallsyms:0"],
)  # fmt: skip
def test_a_kernel_that_hides_names_is_refused(line: str) -> None:
    guest: Any = Said(line + "\n")
    with pytest.raises(GuestError, match="hides names"):
        identity(guest, Plugin(Path("p"), VERSION, 1), "e1000", "testbed-1")


def test_what_the_receiver_says() -> None:
    assert receiver_json('{"packets": 3, "bytes": 30}\n') == {"packets": 3, "bytes": 30}
    assert receiver_json("") is None
    assert receiver_json("[]") is None
