# SPDX-License-Identifier: Apache-2.0
"""A pretended counting machine: what its counter tells is what a test has for each packet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from testbed.edge.hypervisor.counter import State, Stretch
from testbed.lab.counting.arm import Counting
from testbed.lab.counting.machine import Running
from testbed.model.config import Config
from testbed.model.count_files import VISIT
from testbed.model.errors import NoAnswer
from tests.unit.factories.counting_factory import Kernel
from tests.unit.factories.fakes import World


@dataclass
class FakeCounter:
    """Gives, for each packet, the stretches that a test has for it."""

    blocks: dict[int, bytes]
    script: list[list[bytes]]
    told: list[str] = field(default_factory=list)

    def on(self) -> State:
        self.told.append("on")
        return State(True, 1, 100, False)

    def off(self) -> State:
        self.told.append("off")
        return State(False, len(self.blocks), 100, False)

    def stretches(self, _: float) -> Iterator[Stretch]:
        for paths in self.script:
            for path in paths:
                yield Stretch(path, b"\1\0" * (len(path) // VISIT.size), 0)
        raise NoAnswer("late")


@dataclass
class Sender:
    """The link, which keeps nothing."""

    def send(self, frame: bytes) -> int:
        return len(frame)


def counting(kernel: Kernel, script: list[list[bytes]]) -> tuple[Counting, FakeCounter, World]:
    world = World()
    world.machines["server"].files["/proc/kallsyms"] = kernel.symbols().replace(" [", "\t[")
    counter: Any = FakeCounter(kernel.blocks(), script)
    unused: Any = None
    link: Any = Sender()
    running = Running(world.guests["server"], unused, counter, link)
    return Counting(running, Config().network, "e1000_intr"), counter, world
