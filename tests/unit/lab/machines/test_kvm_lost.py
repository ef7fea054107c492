# SPDX-License-Identifier: Apache-2.0
"""KVM that worked and was taken since: forgotten, tried again, and done without."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines import accelerator
from testbed.lab.machines.accelerator import choose, recall
from testbed.lab.machines.box import Box, BoxStore
from testbed.lab.machines.kvm_lost import retried
from testbed.lab.machines.machines import Machines
from testbed.model.config import Config
from testbed.model.errors import ExitCode, HostError, MachineError
from testbed.verbs.lab import Lab
from testbed.verbs.upkeep import machines as verb

# As QEMU does: to the file after `-serial file:`, and to stderr.
SERIAL = 'for one in "$@"; do case $one in file:*) serial=${one#file:};; esac; done\n'
WORKS = SERIAL + "echo 'Kernel panic - not syncing: Attempted to kill init!' > \"$serial\"\n"
BUSY_WORDS = "ioctl(KVM_CREATE_VM) failed: 16 Device or resource busy"
BUSY = (
    f"echo '{BUSY_WORDS}' >&2\n"
    "echo 'qemu: failed to initialize kvm: Device or resource busy' >&2; exit 1\n"
)
BROKEN = "echo 'KVM: entry failed, hardware error 0x80000021' >&2; exit 1\n"
TAKEN = f"another hypervisor has the CPU's virtualization ({BUSY_WORDS})"
Tool = Callable[[str, str], Path]


@dataclass
class World:
    """A computer whose KVM others take, and machines that come up as it lets them."""

    account: Account
    box: Box
    machines: Machines
    refuse: bool = False
    words: str = BUSY_WORDS
    booted: list[str] = field(default_factory=list)

    def choose(self) -> accelerator.Accelerator:
        return choose(self.machines.config.machines.accelerator, self.account, self.box)

    def attempt(self) -> None:
        """As `Machines.up` does: choose, then boot."""
        chosen = self.choose()
        self.booted.append(chosen.name)
        if chosen.name == "kvm" and self.refuse:
            raise MachineError("vagrant up failed", hint="afresh", detail=self.words)

    def up(self) -> None:
        retried(self.machines, self.attempt)


@pytest.fixture
def world(
    account: Account, checkout: Path, tmp_path: Path, box: Box, device: Path, tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., World]:  # fmt: skip
    """A function that returns a world in which a trial has found that KVM works."""
    monkeypatch.setattr(BoxStore, "find", lambda _: box)
    assert device.exists()

    def make(wanted: str = "auto", **changes: Any) -> World:
        tool("qemu-system-x86_64", WORKS)
        config = Config.model_validate({"machines": {"accelerator": wanted}})
        found = World(account, box, Machines(config, checkout, account, Terminal(0)), **changes)
        assert found.choose().name == "kvm"
        assert recall(account, box) == ""
        return found

    return make


def test_while_kvm_works_nothing_is_said(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    here = world()
    here.up()
    assert here.booted == ["kvm"]
    assert capsys.readouterr().err == ""


def test_kvm_that_was_taken_since_is_done_without(
    world: Callable[..., World], tool: Tool, device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = world(refuse=True)
    tool("qemu-system-x86_64", BUSY)
    here.up()
    assert here.booted == ["kvm", "emulation"]
    said = capsys.readouterr().err
    assert re.search(
        r"KVM worked on \d\d \w+, \d\d:\d\d and does not now: " + re.escape(TAKEN), said
    )
    assert f"no KVM: {device} exists, but {TAKEN}. Emulating the CPUs: slower, same code." in said


def test_kvm_that_is_only_busy_is_asked_again_the_next_time(
    world: Callable[..., World], tool: Tool
) -> None:
    here = world(refuse=True)
    tool("qemu-system-x86_64", BUSY)
    here.up()
    assert recall(here.account, here.box) is None
    tool("qemu-system-x86_64", WORKS)
    here.refuse = False
    here.up()
    assert here.booted == ["kvm", "emulation", "kvm"]


def test_kvm_that_is_broken_is_remembered_as_such(
    world: Callable[..., World], tool: Tool, device: Path
) -> None:
    here = world(refuse=True)
    tool("qemu-system-x86_64", BROKEN)
    here.up()
    broken = f"{device} exists, but KVM: entry failed, hardware error 0x80000021"
    assert recall(here.account, here.box) == broken


def test_kvm_that_was_demanded_is_not_done_without(
    world: Callable[..., World], tool: Tool, device: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = world("kvm", refuse=True)
    tool("qemu-system-x86_64", BUSY)
    with pytest.raises(HostError) as caught:
        here.up()
    assert caught.value.message == f"KVM does not work here: {device} exists, but {TAKEN}"
    assert caught.value.exit_code is ExitCode.HOST
    assert here.booted == ["kvm"]
    assert "KVM worked on " in capsys.readouterr().err


def test_a_refusal_that_passes_is_only_a_delay(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    here = world(refuse=True)
    real = here.attempt

    def once() -> None:
        try:
            real()
        finally:
            here.refuse = False

    retried(here.machines, once)
    assert here.booted == ["kvm", "kvm"]
    assert "KVM works again: proved by booting Linux 6.1.0-9-amd64" in capsys.readouterr().err


@pytest.mark.parametrize("wanted", ["auto", "kvm"])
def test_a_trial_that_succeeds_is_not_believed_for_ever(
    world: Callable[..., World], wanted: str
) -> None:
    """A small kernel boots, the machines do not: emulated in the end, or an error, no circle."""
    here = world(wanted, refuse=True)
    if wanted == "kvm":
        with pytest.raises(MachineError) as caught:
            here.up()
        assert (here.booted, caught.value.exit_code) == (["kvm", "kvm"], ExitCode.MACHINE)
        return
    here.up()
    assert here.booted == ["kvm", "kvm", "emulation"]
    assert "the machines do not: " in (recall(here.account, here.box) or "")


@pytest.mark.parametrize("words", ["Address already in use", "[  0.0] kvm-clock: using msrs"])
def test_another_failure_stays_what_it_is(world: Callable[..., World], words: str) -> None:
    here = world(refuse=True, words=words)
    with pytest.raises(MachineError, match="vagrant up failed"):
        here.up()
    assert here.booted == ["kvm"]
    assert recall(here.account, here.box) == "", "it is still believed"


def test_up_does_so(
    world: Callable[..., World], checkout: Path, quiet: Terminal, tool: Tool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    here = world(refuse=True)
    tool("qemu-system-x86_64", BUSY)
    monkeypatch.setattr(Machines, "up", lambda *_: here.attempt())
    lab = Lab(checkout, quiet, Config())
    verb.bring_up(lab, verb.fair_sources(lab))
    assert here.booted == ["kvm", "emulation"]
