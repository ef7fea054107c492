# SPDX-License-Identifier: Apache-2.0
"""Counting one arm: load it, send one packet after the other, keep what the CPU ran for each."""

import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.edge.hypervisor.counter import Counter, Stretch
from testbed.lab.counting.link import frames
from testbed.lab.counting.machine import Running
from testbed.lab.guests.hook import Hook
from testbed.model import count_files, symbols
from testbed.model.arm import Arm
from testbed.model.config import NetworkConfig
from testbed.model.errors import ArmError, GuestError, NoAnswer

WARM_UP = 34
"""Packets before the counted ones: both periods seen so far, of 16 and 17 packets, twice."""
PACKETS = 272
"""16 x 17: every period comes a whole number of times, so that the mean has no rest."""
ANSWER_S = 20
"""A packet takes a millisecond, under a busy host a hundred; a hook that loops takes for ever."""
HANDLERS = {"e1000": "e1000_intr"}
"""The function that a NIC's driver registers for its interrupts."""
RECEIVED = "eth_type_trans"
"""Runs for every packet: the driver's watchdog makes the NIC interrupt without one, too."""
NEIGHBOUR_ANEW = ("ip", "neigh", "flush", "dev", "sslab-host")
"""The neighbour that packets are forwarded to is learned anew by the first one. So its entry is
fresh, and the first of its chain: the table's hash differs in every boot, and one step more along
a chain takes 5 instructions.
"""
ADDRESS_AT = 8


@dataclass(frozen=True)
class Counting:
    """The machine that counts, and the network that it has."""

    running: Running
    network: NetworkConfig
    handler: str

    def count(
        self, arm: Arm, payloads: Sequence[int], packets: int
    ) -> Iterator[tuple[int, dict[str, bytes]]]:
        """Yield (payload, files) of one arm; files are as `count_files.encode` makes them.

        Raises ArmError when the hook does not load, is not what it claims before and after, or
        when a packet never comes to an end in it.
        """
        hook = Hook(arm, self.running.guest, self.network)
        hook.load()
        before = hook.verify()
        self.running.guest.run(NEIGHBOUR_ANEW, check=False)
        listing = self.running.guest.run(["cat", "/proc/kallsyms"], timeout_s=60).stdout
        for payload in payloads:
            yield payload, self._one(hook, payload, packets, listing, before)
        hook.unload()
        hook.prove_gone()

    def _one(
        self, hook: Hook, payload: int, packets: int, listing: str, verified: dict[str, Any]
    ) -> dict[str, bytes]:
        counter = self.running.counter
        assert counter is not None
        hits = hook.hits()
        kept: list[tuple[int, bytes, bytes, int]] = []
        others = 0
        counter.on()
        try:
            marks = [address_of(name, listing) for name in (self.handler, RECEIVED)]
            sent = self._sent(hook, counter, payload, packets, marks)
            for number, stretches in enumerate(sent):
                others += len(stretches) - 1
                if number >= WARM_UP:
                    one = stretches[-1]
                    kept.append((number - WARM_UP, one.visits, one.lines, one.flags))
        except NoAnswer as error:
            raise ArmError(
                f"arm {hook.arm.name}: packet {len(kept) + 1} never came to an end",
                hint="the hook may loop or panic: the machine's last words are above",
                detail=error.detail,
            ) from error
        state = counter.off()
        after = hook.state_after(probe=False)
        facts = {
            "arm": hook.arm.name,
            "payload_bytes": payload,
            "interrupt_handler": self.handler,
            "sent": packets + WARM_UP,
            "warm_up": WARM_UP,
            "other_stretches": others,
            "hits": {"before": hits, "after": after["hits"]},
            "verify": {"before": verified, "after": after["verify"], "problem": after["problem"]},
            "table": {"blocks": state.blocks, "capacity": state.capacity, "full": state.full},
        }
        read = count_files.VISIT.iter_unpack
        used = {number for _, visits, _, _ in kept for (number, *_) in read(visits)}
        known = (counter.blocks[number] for number in used if number in counter.blocks)
        near = symbols.near(listing, {_address(record) for record in known})
        return count_files.encode(facts, counter.blocks, near, kept)

    def _sent(
        self, hook: Hook, counter: Counter, payload: int, packets: int, marks: Sequence[int]
    ) -> Iterator[list[Stretch]]:
        """Send each packet when the one before has come to its end; yield what ran meanwhile.

        The last of the stretches is the one that runs all the functions at `marks`.
        """
        link = self.running.link
        assert link is not None
        source = frames(self.network, hook.destination, payload, seed=payload)
        stretches = counter.stretches(ANSWER_S)
        told: dict[int, int] = {}
        for _ in range(packets + WARM_UP):
            link.send(next(source))
            ran: list[Stretch] = []
            for stretch in stretches:
                ran.append(stretch)
                if _runs(stretch, marks, counter, told):
                    break
            yield ran


def address_of(name: str, listing: str) -> int:
    """Return a symbol's address. Raises GuestError where the listing hides it or has none."""
    for line in listing.splitlines():
        words = line.split()
        if len(words) > 2 and words[2] == name and int(words[0], 16):
            return int(words[0], 16)
    raise GuestError(
        f"the counting machine's kernel does not name {name}",
        hint="its symbols are hidden, or lab0 has another driver",
    )


def _runs(stretch: Stretch, marks: Sequence[int], counter: Counter, told: dict[int, int]) -> bool:
    """Whether, for every mark, a block that begins there ran; `told` has blocks' addresses."""
    left = set(marks)
    for (number,) in struct.iter_unpack("<I20x", stretch.visits):
        address = told.get(number)
        if address is None:
            record = counter.blocks.get(number)
            address = told[number] = _address(record) if record is not None else 0
        if address in left:
            left.discard(address)
            if not left:
                return True
    return False


def _address(record: bytes) -> int:
    return int.from_bytes(record[ADDRESS_AT : ADDRESS_AT + 8], "little")


def receiver_json(text: str) -> dict[str, Any] | None:
    """Return what the receiver printed; None where that is no JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
