# SPDX-License-Identifier: Apache-2.0
"""The order of a run: blocks in which every arm comes once, shuffled by a recorded seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle

RUN_SCHEMA = 3  # of plan.json and manifest.json, and so of a run directory
READ_SCHEMAS = (2, RUN_SCHEMA)  # in 2 the gate's files have other names (model/run_files.py)
FIRST_SOURCE_PORT = 10000  # the original's; the n-th trial of an arm sends from this + n - 1
SOURCE_PORTS = 10000
PROBE = -1  # the number of the pass that the probes disturb
WARM_UP = 0  # the number of the block whose trials are recorded and never counted


@dataclass(frozen=True)
class Trial:
    """One trial to come: `block` and `position` count from 1, as the folders do."""

    block: int
    position: int
    arm: str
    seed: int
    nth: int = 1  # how often the arm has come, this time included

    @property
    def folder(self) -> str:
        """Its folder under raw/."""
        if self.block == PROBE:
            return f"probe-{self.arm}"
        if self.block == WARM_UP:
            return f"warm-up-{self.position}-{self.arm}"
        return f"{self.block:02d}-{self.arm}"

    @property
    def source_port(self) -> int:
        """The client's port: 10000 for the first trial of each arm, as in the original."""
        return FIRST_SOURCE_PORT + (self.nth - 1) % SOURCE_PORTS


@dataclass(frozen=True)
class Plan:
    """The order of every trial; `seed` makes it again. `warm_up` names the arms run before it."""

    seed: int
    arms: tuple[str, ...]
    blocks: tuple[tuple[str, ...], ...]
    warm_up: tuple[str, ...] = ()

    @classmethod
    def shuffled(
        cls, arms: Sequence[str], trials: int, seed: int, warm_up: Sequence[str] = ()
    ) -> "Plan":
        """Return `trials` blocks of all arms.

        Blocks come in pairs, an order and its mirror image, so that a drift of the
        machine's speed weighs on every arm alike; a last odd block is just shuffled.
        """
        source = random.Random(seed)
        blocks: list[tuple[str, ...]] = []
        while len(blocks) < trials:
            order = list(arms)
            source.shuffle(order)
            blocks += [tuple(order), tuple(reversed(order))]
        return cls(seed, tuple(arms), tuple(blocks[:trials]), tuple(warm_up))

    @classmethod
    def one_after_the_other(cls, arms: Sequence[str], seed: int) -> "Plan":
        """Return the published order: an arm with all its trials, then the next arm."""
        return cls(seed, tuple(arms), tuple((arm,) for arm in arms))

    def longer(self, trials: int) -> "Plan":
        """Return this shuffled plan with `trials` blocks; those it has stay as they are."""
        return Plan.shuffled(self.arms, trials, self.seed, self.warm_up)

    def boot_starts(self, boots: int) -> tuple[int, ...]:
        """Return the first block of each of so many groups, as alike in size as can be.

        Before each but the first the machines are booted anew.
        """
        return tuple(1 + len(self.blocks) * number // boots for number in range(boots))

    def warming(self, after: int = 0) -> Iterator[Trial]:
        """Yield trials that are never compared, without end: the warm-up's arms in turn.

        They warm up caches, translations and clocks, and find the load that is carried. `after` is
        the number of the last one of an earlier warm-up, which a run that was resumed has.
        """
        for number, arm in enumerate(cycle(self.warm_up), start=after + 1):
            yield Trial(WARM_UP, number, arm, self.seed * 1000)

    def probing(self) -> Iterator[Trial]:
        """Yield one more trial of every arm, for counters that slow down what they count."""
        for position, arm in enumerate(self.arms, start=1):
            yield Trial(PROBE, position, arm, self.seed * 1000)

    def block(self, number: int) -> Iterator[Trial]:
        """Yield the trials of one block, counted from 1.

        Each has a seed of its own for payload and pacing. Within a block all arms get
        the same packets at the same intended times.
        """
        for position, arm in enumerate(self.blocks[number - 1], start=1):
            nth = sum(arm in block for block in self.blocks[:number])
            yield Trial(number, position, arm, self.seed * 1000 + number, nth)

    def __iter__(self) -> Iterator[Trial]:
        """Yield every trial that counts, in order."""
        for number in range(1, len(self.blocks) + 1):
            yield from self.block(number)

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)
