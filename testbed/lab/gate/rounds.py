# SPDX-License-Identifier: Apache-2.0
"""One round of the gate: what was sent, what came out, and what both machines counted meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from testbed.edge.guests.guest import Guest
from testbed.lab.gate.frames import FrameSet
from testbed.model.nic import INTERFACE
from testbed.packets.case import Case

END_TIMES = 20
"""So often the two end markers are sent: a receiver that stands still misses some."""
STATISTICS = f"/sys/class/net/{INTERFACE}/statistics"
RECEIVED = (f"{STATISTICS}/rx_packets", "/proc/net/softnet_stat")
"""The server's counters: frames that its NIC received, and drops of its backlog behind it."""
SENT = (f"{STATISTICS}/tx_packets",)
"""Frames that the client's NIC sent, ARP included; they hold all that the server's NIC gets."""
Counters = tuple[int, ...] | None
"""A machine's counts, None where they could not be read."""


@dataclass(frozen=True)
class Came:
    """The captures of one round, by place, and the counters at its end."""

    namespace: tuple[bytes, ...]
    root: tuple[bytes, ...]
    drops: int | None
    """Packets for which the capture's own sockets had no room."""
    received: Counters


@dataclass(frozen=True)
class Round:
    """One time of sending: what was sent, what came out, and counters before and after."""

    cases: Sequence[Case]
    frames: FrameSet
    came: Came
    sent: tuple[Counters, Counters]
    received: tuple[Counters, Counters]

    @property
    def seen(self) -> set[int | None]:
        """The cases of what came out."""
        owner = self.frames.recognition.owner
        return {owner(packet) for packet in (*self.came.namespace, *self.came.root)}

    def as_json(self) -> dict[str, Any]:
        """Return what gate.json tells of it."""
        every = len(self.cases) == len(self.frames.cases)
        return {
            "cases": None if every else [case.number for case in self.cases],
            "frames": sum(len(case.frames) for case in self.cases) + 2 * END_TIMES,
            "came": {"namespace": len(self.came.namespace), "root": len(self.came.root)},
            "ended": self._marked(self.came.namespace) and self._marked(self.came.root),
            "client_sent": _pair(self.sent, 0),
            "server_received": _pair(self.received, 0),
            "backlog_drops": _pair(self.received, 1),
            "capture_drops": self.came.drops,
        }

    def _marked(self, packets: Sequence[bytes]) -> bool:
        marker = self.frames.marker
        return any(packet[28 : 28 + len(marker)] == marker for packet in packets)


def _pair(counters: tuple[Counters, Counters], place: int) -> list[int] | None:
    before, after = counters
    return None if before is None or after is None else [before[place], after[place]]


def counters(guest: Guest, *argv: str) -> Counters:
    """Return a NIC's counter, and behind it what all CPUs' backlogs dropped, where it is asked."""
    first, *rows = guest.run(argv, check=False).stdout.split("\n")
    try:
        drops = [int(row.split()[1], 16) for row in rows if row]
        return (int(first), sum(drops))
    except (ValueError, IndexError):
        return None
