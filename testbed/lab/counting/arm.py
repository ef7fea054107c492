# SPDX-License-Identifier: Apache-2.0
"""Counting one arm: load it, send one packet after the other, keep what the CPU ran for each."""

import contextlib
import json
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from testbed.edge.hypervisor.counter import Counter, Stretch
from testbed.lab.counting import server
from testbed.lab.counting.link import frames
from testbed.lab.counting.machine import Running
from testbed.lab.guests.hook import Hook
from testbed.model import count_files, symbols
from testbed.model.arm import Arm
from testbed.model.config import NetworkConfig
from testbed.model.errors import ArmError, GuestError, MachineError, NoAnswer
from testbed.model.nic import INTERFACE
from testbed.model.plan import Condition

WARM_UP = 34
"""Packets before the counted ones: both periods seen so far, of 16 and 17 packets, twice."""
PACKETS = 272
"""16 x 17: every period comes a whole number of times, so that the mean has no rest."""
ANSWER_S = 20
"""A packet takes a millisecond, under a busy host a hundred; a hook that loops takes for ever.
One whose CPU goes on without it, as with the NIC down, never comes.
"""
RECEIVED = "eth_type_trans"
"""Runs for every packet: the driver's watchdog makes the NIC interrupt without one, too."""
ADDRESS_AT = 8


@dataclass(frozen=True)
class Counting:
    """The machine that counts, and the network that it has."""

    running: Running
    network: NetworkConfig
    handler: str
    identify: Callable[[], dict[str, Any]]
    """The machine's identity (`identity.py`), read again while each arm is loaded."""

    def count(
        self, arm: Arm, payloads: Sequence[int], packets: int
    ) -> Iterator[tuple[Condition, dict[str, bytes]]]:
        """Yield (condition, files) of one arm; files are as `count_files.encode` makes them.

        Raises ArmError when the hook does not load, is not what it claims before and after, or
        hides the kernel's names. Raises it, too, when a packet never comes to an end in it, or the
        machine says nothing more. Raises MachineError when its QEMU has ended.
        """
        hook = Hook(arm, self.running.guest, self.network)
        with self._blamed(arm):
            hook.load()
            known = self._identified(hook)
            server.neighbour_anew(self.running.guest, self.network)
            listing = self.running.guest.run(["cat", "/proc/kallsyms"], timeout_s=60).stdout
            for payload in payloads:
                condition = Condition(arm.name, payload)
                yield condition, self._one(hook, condition, packets, listing, known)
            hook.unload()
            hook.prove_gone()

    @contextlib.contextmanager
    def _blamed(self, arm: Arm) -> Iterator[None]:
        """Name the arm with which the machine fell silent, unless its QEMU has ended."""
        try:
            yield
        except MachineError as error:
            self._demand_qemu(arm, error)
            raise
        except NoAnswer as error:
            self._demand_qemu(arm, error)
            raise ArmError(
                f"arm {arm.name}: the counting machine gave no answer any more: {error.message}",
                hint="the arm may loop or panic: the machine's last words are above",
                detail=error.detail,
            ) from error

    def _demand_qemu(self, arm: Arm, error: NoAnswer | MachineError) -> None:
        """Raise MachineError when there is no QEMU that could answer."""
        try:
            self.running.monitor.ask("query-status")
        except MachineError as ended:
            raise MachineError(
                f"the counting machine's QEMU ended while arm {arm.name} was counted",
                hint="its own words are above, where it said any; count again",
                detail=error.detail,
            ) from ended

    def _identified(self, hook: Hook) -> dict[str, Any]:
        """Return the arm's facts so far. Raises ArmError when it hides what is counted."""
        verified = hook.verify()
        try:
            identity = self.identify()
        except NoAnswer:
            raise
        except GuestError as error:
            raise ArmError(
                f"with arm {hook.arm.name} loaded, {error.message}",
                hint="its `load` may not change these settings: without names nothing can be "
                "attributed",
            ) from error
        return {"verified": verified, "identity": identity}

    def _one(
        self, hook: Hook, condition: Condition, packets: int, listing: str, known: dict[str, Any]
    ) -> dict[str, bytes]:
        counter = self.running.counter
        assert counter is not None
        hits = hook.hits()
        kept: list[tuple[int, bytes, bytes, int]] = []
        others = 0
        counter.on()
        try:
            marks = [address_of(name, listing) for name in (self.handler, RECEIVED)]
            sent = self._sent(hook, counter, condition.payload_bytes, packets, marks)
            for number, stretches in enumerate(sent):
                others += len(stretches) - 1
                if number >= WARM_UP:
                    one = stretches[-1]
                    kept.append((number - WARM_UP, one.visits, one.lines, one.flags))
        except NoAnswer as error:
            self._demand_qemu(hook.arm, error)
            raise ArmError(
                f"arm {hook.arm.name}: packet {len(kept) + 1} never came to an end: "
                f"{error.message}",
                hint=f"the arm may loop, panic or take {INTERFACE} down: the machine's last words "
                "are above",
                detail=error.detail,
            ) from error
        state = counter.off()
        after = hook.state_after(probe=False)
        facts = {
            "arm": condition.arm,
            "payload_bytes": condition.payload_bytes,
            "interrupt_handler": self.handler,
            "sent": packets + WARM_UP,
            "warm_up": WARM_UP,
            "other_stretches": others,
            "hits": {"before": hits, "after": after["hits"]},
            "verify": {
                "before": known["verified"], "after": after["verify"], "problem": after["problem"],
            },
            "identity": known["identity"],
            "table": {"blocks": state.blocks, "capacity": state.capacity, "full": state.full},
        }  # fmt: skip
        read = count_files.VISIT.iter_unpack
        used = {number for _, visits, _, _ in kept for (number, *_) in read(visits)}
        ran = (counter.blocks[number] for number in used if number in counter.blocks)
        near = symbols.near(listing, {_address(record) for record in ran})
        return count_files.encode(facts, counter.blocks, near, kept)

    def _sent(
        self, hook: Hook, counter: Counter, payload: int, packets: int, marks: Sequence[int]
    ) -> Iterator[list[Stretch]]:
        """Send each packet when the one before has come to its end; yield what ran meanwhile.

        The last of the stretches is the one that runs all the functions at `marks`; or one whose
        record is full before its end, in which the packet may have come.
        """
        link = self.running.link
        assert link is not None
        source = frames(self.network, hook.destination, payload, seed=payload)
        stretches = counter.stretches(ANSWER_S)
        told: dict[int, int] = {}
        for _ in range(packets + WARM_UP):
            link.send(next(source))
            ran: list[Stretch] = []
            late = time.monotonic() + ANSWER_S
            for stretch in stretches:
                ran.append(stretch)
                if stretch.is_cut or _runs(stretch, marks, counter, told):
                    break
                if time.monotonic() > late:
                    raise _never_came(ran)
            yield ran


def address_of(name: str, listing: str) -> int:
    """Return a symbol's address. Raises GuestError where the listing hides it or has none."""
    for line in listing.splitlines():
        words = line.split()
        if len(words) > 2 and words[2] == name and int(words[0], 16):
            return int(words[0], 16)
    raise GuestError(
        f"the counting machine's kernel does not name {name}",
        hint=f"its symbols are hidden, or {INTERFACE} has another driver",
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


def _never_came(ran: Sequence[Stretch]) -> NoAnswer | MachineError:
    """Return why no stretch was a packet's, though the CPU has woken and halted all the time."""
    if any(stretch.flags & count_files.TABLE_FULL for stretch in ran):
        return MachineError(
            "the counter's table of blocks is full: it cannot tell packets any more",
            hint="count fewer arms or payloads in one command",
        )
    return NoAnswer(
        f"within {ANSWER_S} s {INTERFACE}'s driver passed none on",
        hint=f"the arm may have taken {INTERFACE} down",
    )


def _address(record: bytes) -> int:
    return int.from_bytes(record[ADDRESS_AT : ADDRESS_AT + 8], "little")


def receiver_json(text: str) -> dict[str, Any] | None:
    """Return what the receiver printed; None where that is no JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
