# SPDX-License-Identifier: Apache-2.0
"""The cases crafted so far, and what every group of them is made from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from dpkt.ethernet import ETH_TYPE_IP

from testbed.packets.case import Case, Fate
from testbed.packets.craft import Tag, Wire
from testbed.packets.drawing import Draws


@dataclass
class Crafting:
    """Cases get their numbers in the order in which they are added."""

    draws: Draws
    wire: Wire
    cases: list[Case] = field(default_factory=list)

    def add(
        self, group: str, title: str, fate: Fate, *packets: bytes, padding: bytes = b"",
        payload_bytes: int | None = None, tags: Sequence[Tag] = (), kind: int = ETH_TYPE_IP,
        countable: bool = False, copies: int = 1,
    ) -> None:  # fmt: skip
        """Add a case; `countable` goes without saying for what is to be rewritten."""
        frames = tuple(
            self.wire.frame(packet, padding=padding, tags=tags, kind=kind) for packet in packets
        )
        countable = countable or fate in ("rewritten", "untagged")
        number = len(self.cases) + 1
        self.cases.append(
            Case(number, group, title, fate, payload_bytes, frames * copies, countable)
        )
