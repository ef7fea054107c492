# SPDX-License-Identifier: Apache-2.0
"""KVM where it works: found out by trying, with a limit, once a boot of this computer and box."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.lab.doctor import checks
from testbed.lab.doctor.survey import Surroundings
from testbed.lab.machines import accelerator
from testbed.lab.machines.accelerator import Accelerator, choose
from testbed.lab.machines.box import Box, BoxStore
from testbed.model.config import Config
from testbed.model.errors import ExitCode, HostError

# Writes to the file after `-serial file:` and counts its runs.
QEMU = """
echo run >> "$(dirname "$0")/runs"
echo "$*" > "$(dirname "$0")/words"
while [ "$#" -gt 0 ]; do
    case $1 in file:*) serial=${1#file:};; esac
    shift
done
"""
WORKS = QEMU + "echo 'Kernel panic - not syncing: Attempted to kill init!' > \"$serial\"\n"
SLEEPS = QEMU + "exec sleep 60\n"
TALKS = QEMU + "for i in 1 2 3 4 5 6; do echo $i >> $serial; sleep 0.1; done\n"
SLOW = TALKS + "echo 'Kernel panic - not syncing: Attempted to kill init!' >> \"$serial\"\n"
STALLS = QEMU + "echo 'Linux version' > \"$serial\"; exec sleep 60\n"
ENDLESS = QEMU + 'while :; do echo more >> "$serial"; sleep 0.05; done\n'
FAILS = QEMU + "echo 'Could not access KVM kernel module' >&2; echo 'last words' >&2; exit 1\n"
SILENT = QEMU + "exit 0\n"
Tool = Callable[[str, str], Path]


def runs(tmp_path: Path) -> int:
    path = tmp_path / "bin/runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_no_device(account: Account, box: Box, device: Path, tool: Tool, tmp_path: Path) -> None:
    tool("qemu-system-x86_64", WORKS)
    device.unlink()
    assert choose("auto", account, box) == Accelerator("emulation", f"there is no {device}")
    assert runs(tmp_path) == 0


def test_a_device_that_may_not_be_used(
    account: Account, box: Box, device: Path, tool: Tool, tmp_path: Path
) -> None:
    tool("qemu-system-x86_64", WORKS)
    device.chmod(0)
    if os.geteuid() == 0:  # who may everything, so another account tries it, as root's does
        account = Account("nobody", account.home, 65534, 65534)
        tmp_path.chmod(0o755)
    chosen = choose("auto", account, box)
    who = account.name or "this user"
    assert chosen == Accelerator("emulation", f"{device} exists, but {who} may not use it")
    assert runs(tmp_path) == 0


def test_a_device_that_works(account: Account, box: Box, device: Path, tool: Tool) -> None:
    path = tool("qemu-system-x86_64", WORKS)
    chosen = choose("auto", account, box)
    assert chosen == Accelerator("kvm", "proved by booting Linux 6.1.0-9-amd64")
    assert (chosen.driver, chosen.cpu_mode) == ("kvm", "host-passthrough")
    words = (path.parent / "words").read_text()
    assert "-accel kvm" in words
    assert f"-kernel {box.folder / 'vmlinuz'} -initrd {box.folder / 'initrd.img'}" in words
    assert device.exists()


@pytest.mark.parametrize(
    ("script", "limits", "words"),
    [
        (SLEEPS, (0.2, 9), "exists, but a kernel that was booted on it said nothing for 0.2 s"),
        (SLEEPS, (9, 0.2), "exists, but a kernel that was booted on it said nothing for 0.2 s"),
        (STALLS, (0.8, 9),
         "exists, but a kernel that was booted on it said nothing more for 0.8 s"),
        (ENDLESS, (9, 1), "works, but a kernel needs more than 1 s to boot on it"),
    ],
    ids=["silent", "silent to the end", "stalls", "never there"],
)  # fmt: skip
def test_a_kernel_that_never_boots(
    account: Account, box: Box, device: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch,
    script: str, limits: tuple[float, float], words: str,
) -> None:  # fmt: skip
    tool("qemu-system-x86_64", script)
    monkeypatch.setattr(accelerator, "SILENCE_S", limits[0])
    monkeypatch.setattr(accelerator, "BOOT_LIMIT_S", limits[1])
    chosen = choose("auto", account, box)
    assert chosen == Accelerator("emulation", f"{device} {words}")
    assert (chosen.driver, chosen.cpu_mode) == ("qemu", "maximum")


def test_a_slow_kernel_is_followed_as_long_as_it_speaks(
    account: Account, box: Box, device: Path, tool: Tool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It boots for longer than it may be silent: a KVM inside of another one works, too."""
    tool("qemu-system-x86_64", SLOW)
    monkeypatch.setattr(accelerator, "SILENCE_S", 0.4)
    assert choose("auto", account, box).name == "kvm"
    assert device.exists()


@pytest.mark.parametrize(
    ("script", "found"),
    [(SLOW, "slow: a kernel runs on it and was still booting after 0.3 s"),
     (STALLS, "slow: a kernel runs on it and was still booting after 0.3 s"),
     (SLEEPS, "said nothing for 0.3 s"), (WORKS, "works: a kernel boots on it")],
)  # fmt: skip
def test_the_doctor_waits_shorter_and_says_slow(
    account: Account, box: Box, device: Path, tool: Tool, checkout: Path,
    monkeypatch: pytest.MonkeyPatch, script: str, found: str,
) -> None:  # fmt: skip
    tool("qemu-system-x86_64", script)
    monkeypatch.setattr(checks, "KVM_LIMIT_S", 0.3)
    monkeypatch.setattr(BoxStore, "find", lambda _: box)
    (line,) = checks.CHECKS["KVM"](Surroundings(checkout, Config()))
    assert found in line.found
    assert device.exists()


@pytest.mark.parametrize(("script", "words"), [(FAILS, "last words"), (SILENT, "QEMU ended early")])
def test_qemu_that_gives_up(
    account: Account, box: Box, device: Path, tool: Tool, script: str, words: str
) -> None:
    tool("qemu-system-x86_64", script)
    chosen = choose("auto", account, box)
    assert chosen == Accelerator(
        "emulation", f"{device} exists, but no kernel boots on it ({words})"
    )


@pytest.mark.parametrize("script", [WORKS, FAILS])
def test_tried_once_a_boot_and_box(
    account: Account, box: Box, device: Path, tool: Tool, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, script: str,
) -> None:  # fmt: skip
    tool("qemu-system-x86_64", script)
    first = choose("auto", account, box)
    assert choose("auto", account, box) == first
    assert runs(tmp_path) == 1
    monkeypatch.setattr(accelerator, "_boot_id", lambda: "boot-2")
    assert choose("auto", account, box) == first
    assert runs(tmp_path) == 2
    other = Box("ffffffffffff", box.folder, 1, "2025", box.kernel, "00")
    assert choose("auto", account, other) == first
    assert runs(tmp_path) == 3
    assert device.exists()


def test_what_was_found_out_is_not_believed_without_the_device(
    account: Account, box: Box, device: Path, tool: Tool
) -> None:
    tool("qemu-system-x86_64", WORKS)
    assert choose("auto", account, box).name == "kvm"
    device.unlink()
    assert choose("auto", account, box).name == "emulation"


def test_emulation_that_was_asked_for_tries_nothing(
    account: Account, box: Box, device: Path, tool: Tool, tmp_path: Path
) -> None:
    tool("qemu-system-x86_64", WORKS)
    chosen = choose("emulation", account, box)
    assert chosen == Accelerator("emulation", "asked for in testbed.toml")
    assert (runs(tmp_path), device.exists()) == (0, True)


def test_kvm_that_was_asked_for_and_does_not_work(
    account: Account, box: Box, device: Path, tool: Tool
) -> None:
    tool("qemu-system-x86_64", FAILS)
    with pytest.raises(HostError) as caught:
        choose("kvm", account, box)
    assert caught.value.message == (
        f"KVM does not work here: {device} exists, but no kernel boots on it (last words)"
    )
    assert caught.value.hint == ('set accelerator = "auto" in testbed.toml to run under emulation')
    assert caught.value.exit_code is ExitCode.HOST
    tool("qemu-system-x86_64", WORKS)
    (account.data_dir / "kvm-probe").unlink()
    assert choose("kvm", account, box).name == "kvm"


def test_no_qemu_is_said(
    account: Account, box: Box, device: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    real = accelerator.host.find

    def find(name: str, *, package: str) -> str:
        if name.startswith("qemu"):
            raise HostError(f"{name} is not installed")
        return real(name, package=package)

    monkeypatch.setattr(accelerator.host, "find", find)
    with pytest.raises(HostError, match="qemu-system-x86_64 is not installed"):
        choose("auto", account, box)
    assert device.exists()
    assert not (tmp_path / "home/.local/share/testbed/kvm-probe").exists()
