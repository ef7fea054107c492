# SPDX-License-Identifier: Apache-2.0
"""A packet's life in the server, cut out of a stretch and divided into parts that close.

It begins with the entry of the NIC's interrupt. It ends where the receiving program asks for the
next datagram: by then the buffer is freed. A packet that a hook drops ends with the interrupt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from testbed.analysis.counting.contexts import (
    BACKLOG,
    FAULT,
    IDLE,
    INTERRUPT,
    PROGRAM,
    SCHEDULER,
    SOFTIRQ,
    SYSCALL,
    TICK,
    Step,
)
from testbed.analysis.counting.contexts import OTHER as OTHER_WORK
from testbed.analysis.counting.contexts import RECEIVE as RECEIVE_CALL
from testbed.model.symbols import bare

TO_SOCKET, RECEIVE, IN_PROGRAM = "interrupt_to_socket", "receive_and_free", "program"
WAKE_UP, BESIDE, OUTSIDE = "wake_up", "beside", "outside"
OWN = (TO_SOCKET, RECEIVE, IN_PROGRAM)
"""Parts that the packet itself decides: `typical_instructions` is their sum."""
PARTS = (*OWN, WAKE_UP, BESIDE, OUTSIDE)
"""`wake_up` is the scheduler and the idle task within the life: load averages and the stopped tick
make it depend on the clock. `beside` is what happened in its midst and was no work for it: ticks,
faults, other interrupts and tasks. `outside` is what the CPU ran before and after.
"""

RECEIVED = "eth_type_trans"
"""Every driver calls it for every packet that it passes on."""
QUEUED = "__udp_enqueue_schedule_skb"
FREED = ("kfree_skb_reason", "kfree_skb", "__kfree_skb", "consume_skb", "kfree_skb_list_reason")


@dataclass(frozen=True, slots=True)
class Life:
    """Steps [start, end) of a stretch; `socket` is where the datagram is queued, None if it never
    was. `freed_by` names the function that gave up a packet which the program never had, None
    where none is seen.
    """

    start: int
    socket: int | None
    end: int
    freed_by: str | None
    delivered: bool


def cut(steps: Sequence[Step], *, whole: bool = True) -> Life | None:
    """Return the packet's life; None for a stretch in which the NIC brought no packet.

    The driver's own watchdog makes the NIC interrupt every two seconds without one. Where the
    record is not `whole`, because other work ran too long after the packet, a life whose end was
    recorded stands; any other has no known count, and None is returned.
    """
    arrived = _first(steps, 0, lambda one: one.entry and bare(one.function) == RECEIVED)
    before = steps[: arrived or 0]
    number = next((one.interrupt for one in reversed(before) if one.context.name == INTERRUPT), 0)
    if not number:
        return None
    start = next(at for at, one in enumerate(steps) if one.interrupt == number)
    socket = _first(steps, start, lambda one: one.entry and bare(one.function) == QUEUED)
    asks = None if socket is None else _asks_again(steps, socket)
    if socket is not None and asks is not None:
        return Life(start, socket, asks, None, True) if whole or asks < len(steps) else None
    if not whole:
        return None
    end = _left(steps, start) if socket is None else _asleep(steps, socket)
    return Life(start, socket, end, _freed_by(steps[socket or start : end]), False)


def part_of(life: Life, at: int, step: Step) -> str:
    """Return the part that step number `at` belongs to."""
    if at < life.start or at >= life.end:
        return OUTSIDE
    name = step.context.name
    if name in (TICK, FAULT, OTHER_WORK):
        return BESIDE
    if name in (SCHEDULER, IDLE):
        return WAKE_UP
    if name == PROGRAM:
        return IN_PROGRAM
    return TO_SOCKET if life.socket is None or at < life.socket else RECEIVE


def _first(steps: Sequence[Step], start: int, is_it: Callable[[Step], bool]) -> int | None:
    return next((at for at in range(start, len(steps)) if is_it(steps[at])), None)


def _left(steps: Sequence[Step], start: int) -> int:
    """Return where the interrupt and its softirqs are left for good."""
    busy = (INTERRUPT, SOFTIRQ, BACKLOG)
    return 1 + max(at for at in range(start, len(steps)) if steps[at].context.name in busy)


def _asks_again(steps: Sequence[Step], socket: int) -> int | None:
    """Return where the program, which has the datagram, asks for the next; None if it never ran."""
    program = _first(steps, socket, lambda one: one.context.name == PROGRAM)
    if program is None:
        return None
    end = _first(steps, program, lambda one: one.entry and one.function == SYSCALL)
    return len(steps) if end is None else end


def _asleep(steps: Sequence[Step], socket: int) -> int:
    """Return where the receive call sleeps again, which gave the program nothing."""
    call = _first(steps, socket, lambda one: one.context.name == RECEIVE_CALL)
    if call is None:
        return _left(steps, socket)
    end = _first(steps, call, lambda one: one.context.name == SCHEDULER)
    return len(steps) if end is None else end


def _freed_by(steps: Sequence[Step]) -> str | None:
    for before, step in pairwise(steps):
        if step.entry and bare(step.function) in FREED and bare(before.function) not in FREED:
            return before.function
    return None
