# SPDX-License-Identifier: Apache-2.0
"""A pretended counting machine: what its counter tells is what a test has for each packet."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.counter import State, Stretch
from testbed.edge.output.terminal import Terminal
from testbed.lab.counting.arm import Counting
from testbed.lab.counting.machine import CountingMachine, Running
from testbed.lab.machines.box import Box
from testbed.model.config import Config
from testbed.model.count_files import VISIT
from testbed.model.errors import MachineError, NoAnswer
from tests.unit.factories.counting_factory import Kernel
from tests.unit.factories.fakes import World


@dataclass
class FakeCounter:
    """Gives, for each packet, the stretches that a test has for it."""

    blocks: dict[int, bytes]
    script: list[list[bytes]]
    told: list[str] = field(default_factory=list)
    flags: int = 0

    def on(self) -> State:
        self.told.append("on")
        return State(True, 1, 100, False)

    def off(self) -> State:
        self.told.append("off")
        return State(False, len(self.blocks), 100, False)

    def stretches(self, _: float) -> Iterator[Stretch]:
        for paths in self.script:
            for path in paths:
                yield Stretch(path, b"\1\0" * (len(path) // VISIT.size), self.flags)
        raise NoAnswer("late")


@dataclass
class FakeMonitor:
    """QEMU's monitor, which answers until QEMU has ended."""

    ended: bool = False

    def ask(self, command: str) -> None:
        if self.ended:
            raise MachineError(f"no answer to {command}")


@dataclass
class Sender:
    """The link, which keeps nothing."""

    def send(self, frame: bytes) -> int:
        return len(frame)


IDENTITY = {"boot_id": "0b5e7a3c"}


def counting(
    kernel: Kernel, script: list[list[bytes]], *, ended: bool = False
) -> tuple[Counting, FakeCounter, World]:
    world = World()
    world.machines["server"].files["/proc/kallsyms"] = kernel.symbols().replace(" [", "\t[")
    counter: Any = FakeCounter(kernel.blocks(), script)
    monitor: Any = FakeMonitor(ended)
    link: Any = Sender()
    running = Running(world.guests["server"], monitor, counter, link)
    found = Counting(running, Config().network, "e1000_intr", lambda: IDENTITY)
    return found, counter, world


QEMU = "QEMU emulator version 7.2.22"


def counting_machine(folder: Path) -> CountingMachine:
    """A counting machine of an account whose home is in `folder`."""
    box = Box("0123456789ab", folder / "box", 1, "2026", "6.1.0", "00")
    return CountingMachine(
        Account(None, folder / "home", 0, 0), folder / "count", box, folder / "key", 1024, "e1000",
        QEMU, "quiet", Terminal(-1),
    )  # fmt: skip


def save(machine: CountingMachine, **changes: Any) -> None:
    machine.folder.mkdir(exist_ok=True)
    machine.disk.write_text("disk")
    record = {"made_with": {**machine.made_with(), **changes}, "holds": {"arms": ["none"]}}
    (machine.folder / "saved.json").write_text(json.dumps(record))
