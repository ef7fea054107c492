# SPDX-License-Identifier: Apache-2.0
"""The order of a run: blocks in which every arm comes once, shuffled by a recorded seed."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

FIRST_SOURCE_PORT = 10000  # the original's; the n-th trial of an arm sends from this + n - 1
SOURCE_PORTS = 10000


@dataclass(frozen=True)
class Trial:
    """One trial to come: `block` and `position` count from 1, as the folders do."""

    block: int
    position: int
    arm: str
    seed: int

    @property
    def folder(self) -> str:
        """Its folder under raw/."""
        return f"{self.block:02d}-{self.arm}"

    @property
    def source_port(self) -> int:
        """The client's port: 10000 for the first trial of each arm, as in the original."""
        return FIRST_SOURCE_PORT + (self.block - 1) % SOURCE_PORTS


@dataclass(frozen=True)
class Plan:
    """The order of every trial; `seed` makes it again."""

    seed: int
    blocks: tuple[tuple[str, ...], ...]

    @classmethod
    def shuffled(cls, arms: Sequence[str], trials: int, seed: int) -> "Plan":
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
        return cls(seed, tuple(blocks[:trials]))

    def __iter__(self) -> Iterator[Trial]:
        """Yield every trial in order; each has a seed of its own for payload and pacing.

        Within a block all arms get the same packets at the same intended times.
        """
        for number, block in enumerate(self.blocks, start=1):
            for position, arm in enumerate(block, start=1):
                yield Trial(number, position, arm, self.seed * 1000 + number)

    def __len__(self) -> int:
        return sum(len(block) for block in self.blocks)
