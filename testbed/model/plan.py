# SPDX-License-Identifier: Apache-2.0
"""Conditions, and the order of a run: blocks in which each comes once, shuffled by a known seed."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from testbed.model.config import BenchConfig
from testbed.model.nic import INTERFACE

RUN_SCHEMA = 3  # of plan.json and manifest.json, and so of a run directory
READ_SCHEMAS = (2, RUN_SCHEMA)  # in 2 the gate's files have other names (model/run_files.py)
FIRST_SOURCE_PORT = 10000  # the original's; the n-th trial of an arm sends from this + n - 1
SOURCE_PORTS = 10000
PROBE = -1  # the number of the pass that the probes disturb
LOG_LINES_PER_TRIAL = 10
"""Lines that the kernel may log for an arm that logs nothing. Loading a module takes two."""
WARM_UP = 0  # the number of the block whose trials are recorded and never counted


@dataclass(frozen=True)
class Condition:
    """An arm and the packets that it meets: a load, and the interface that they come in by.

    `rate_pps` is None where a packet is sent when the one before has come to its end, as a count
    does. A plan has each arm under one condition, so that the arm's name stands for it in files.
    """

    arm: str
    payload_bytes: int
    rate_pps: float | None = None
    interface: str = INTERFACE

    @property
    def rate(self) -> float:
        """Packets a second. Raises ValueError where packets have no rate."""
        if self.rate_pps is None:
            raise ValueError(f"{self.arm}: packets one after the other have no rate")
        return self.rate_pps

    @property
    def counted(self) -> str:
        """The folder of its record below `count/`."""
        return f"{self.arm}-{self.payload_bytes}"


def under(bench: BenchConfig, arms: Iterable[str]) -> tuple[Condition, ...]:
    """Return arms under the load of the trials."""
    return tuple(Condition(arm, bench.payload_bytes, bench.rate_pps) for arm in arms)


def folder_of(block: int, arm: str) -> str:
    """Return the folder under raw/ of an arm's trial in a block, or in the probe pass."""
    return f"probe-{arm}" if block == PROBE else f"{block:02d}-{arm}"


@dataclass(frozen=True)
class Trial:
    """One trial to come: `block` and `position` count from 1, as the folders do."""

    block: int
    position: int
    condition: Condition
    seed: int
    nth: int = 1  # how often the condition has come, this time included

    @property
    def arm(self) -> str:
        """The arm's name."""
        return self.condition.arm

    @property
    def folder(self) -> str:
        """Its folder under raw/."""
        if self.block == WARM_UP:
            return f"warm-up-{self.position}-{self.arm}"
        return folder_of(self.block, self.arm)

    @property
    def source_port(self) -> int:
        """The client's port: 10000 for the first trial of each arm, as in the original."""
        return FIRST_SOURCE_PORT + (self.nth - 1) % SOURCE_PORTS


@dataclass(frozen=True)
class Plan:
    """The order of every trial; `seed` makes it again. `warm_up` has what is run before it."""

    seed: int
    conditions: tuple[Condition, ...]
    blocks: tuple[tuple[Condition, ...], ...]
    warm_up: tuple[Condition, ...] = ()

    @classmethod
    def shuffled(
        cls,
        conditions: Sequence[Condition],
        trials: int,
        seed: int,
        warm_up: Sequence[Condition] = (),
    ) -> "Plan":
        """Return `trials` blocks of all conditions.

        Blocks come in pairs, an order and its mirror image, so that a drift of the
        machine's speed weighs on every arm alike; a last odd block is just shuffled.
        """
        source = random.Random(seed)
        blocks: list[tuple[Condition, ...]] = []
        while len(blocks) < trials:
            order = list(conditions)
            source.shuffle(order)
            blocks += [tuple(order), tuple(reversed(order))]
        return cls(seed, tuple(conditions), tuple(blocks[:trials]), tuple(warm_up))

    @classmethod
    def one_after_the_other(cls, conditions: Sequence[Condition], seed: int) -> "Plan":
        """Return the published order: an arm with all its trials, then the next arm."""
        return cls(seed, tuple(conditions), tuple((one,) for one in conditions))

    def under(self, bench: BenchConfig) -> "Plan":
        """Return the same order of the same arms, under the load of `bench`."""

        def same(some: Sequence[Condition]) -> tuple[Condition, ...]:
            return under(bench, (one.arm for one in some))

        return replace(
            self, conditions=same(self.conditions), blocks=tuple(map(same, self.blocks)),
            warm_up=same(self.warm_up),
        )  # fmt: skip

    def longer(self, trials: int) -> "Plan":
        """Return this shuffled plan with `trials` blocks; those it has stay as they are."""
        return Plan.shuffled(self.conditions, trials, self.seed, self.warm_up)

    def boot_starts(self, boots: int) -> tuple[int, ...]:
        """Return the first block of each of so many groups, as alike in size as can be.

        Before each but the first the machines are booted anew.
        """
        return tuple(1 + len(self.blocks) * number // boots for number in range(boots))

    def warming(self, nth: int, after: int = 0) -> Trial:
        """Return the n-th trial of a warm-up, which has its arms in turn; it is never compared.

        It warms up caches, translations and clocks, and finds the load that is carried. `after` is
        the number of the last one of an earlier warm-up, which a run that was resumed has.
        """
        one = self.warm_up[(nth - 1) % len(self.warm_up)]
        return Trial(WARM_UP, after + nth, one, self.seed * 1000)

    def probing(self) -> Iterator[Trial]:
        """Yield one more trial of every arm, for counters that slow down what they count."""
        for position, one in enumerate(self.conditions, start=1):
            yield Trial(PROBE, position, one, self.seed * 1000)

    def block(self, number: int) -> Iterator[Trial]:
        """Yield the trials of one block, counted from 1.

        Each has a seed of its own for payload and pacing. Within a block all arms get
        the same packets at the same intended times.
        """
        for position, one in enumerate(self.blocks[number - 1], start=1):
            nth = sum(one in block for block in self.blocks[:number])
            yield Trial(number, position, one, self.seed * 1000 + number, nth)

    def __iter__(self) -> Iterator[Trial]:
        """Yield every trial that counts, in order."""
        for number in range(1, len(self.blocks) + 1):
            yield from self.block(number)

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)
