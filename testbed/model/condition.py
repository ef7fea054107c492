# SPDX-License-Identifier: Apache-2.0
"""A condition: an arm, and the packets that it meets. The unit of a plan and of a count."""

from collections.abc import Iterable
from dataclasses import dataclass

from testbed.model.config import BenchConfig
from testbed.model.nic import INTERFACE


@dataclass(frozen=True)
class Condition:
    """An arm by its name, a load, and the interface that the packets come in by.

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
