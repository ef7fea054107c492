# SPDX-License-Identifier: Apache-2.0
"""When each datagram is due, the loop that sends them then, and what the gaps really were.

Deadlines are absolute, so one late datagram delays no other and the mean rate holds. The gaps are
jittered. With even gaps the arrivals at, say, 5,000 a second fall on the same phase of every 250 Hz
tick. A tick-sampled busy column then shows that phase and not the load.
"""

import cmath
import errno
import math
import random
import socket
import time
from array import array
from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate, cycle, pairwise, repeat
from operator import gt, mul, sub
from typing import Any

from protocol import HEADER_BYTES, SEQUENCE, SEQUENCE_OFFSET, Kind, Message

#: Closer to its deadline than this the sender spins: about what waking from a sleep may cost.
SPIN_US = 100
#: Overdue datagrams sent back to back before the sender pauses for one mean gap.
MAX_BURST = 16
#: In so many times the trial's length a sender that is behind stops; the rest is not sent.
GIVEN_UP = 2
#: Random payload prepared beforehand; the datagrams take turns in using it.
POOL_BYTES = 1 << 18
#: Ticks of common kernels: Debian's and Ubuntu's, a server's, a desktop's.
TICK_RATES_HZ = (100, 250, 1000)
#: Edges of the gap histogram, as multiples of the mean gap.
HISTOGRAM_EDGES = (0, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.25, 1.5, 2, 4, 8)


def schedule_ns(count: int, rate_pps: float, jitter: float, seed: int) -> "array[int]":
    """Deadlines in ns after the start, the first one gap after it, the last at count / rate.

    Each gap is the mean times a number drawn evenly from 1 - jitter to 1 + jitter; all are then
    scaled so that together they take exactly the time the rate asks for.
    """
    draw = random.Random(seed).random
    sums = list(accumulate(1 - jitter + 2 * jitter * draw() for _ in range(count)))
    scale = count / rate_pps * 1e9 / sums[-1]
    return array("q", (round(value * scale) for value in sums))


def datagrams(message: Message, payload_bytes: int, seed: int) -> list[memoryview]:
    """Datagrams of random bytes behind the trial's header; only the sequence is left to write."""
    count = max(2, min(64, POOL_BYTES // payload_bytes))
    pool = bytearray(random.Random(seed).randbytes(count * payload_bytes))
    slots = [
        memoryview(pool)[start : start + payload_bytes]
        for start in range(0, len(pool), payload_bytes)
    ]
    for slot in slots:
        slot[:HEADER_BYTES] = message._replace(kind=Kind.DATA).pack()
    return slots


@dataclass(slots=True)
class Sending:
    """The paced loop's result. Times: CLOCK_MONOTONIC, ns; `sent_ns` is 0 where send failed.

    It is shorter than the deadlines where the sender gave up.
    """

    deadlines_ns: "array[int]"  # after `started_ns`
    sent_ns: "array[int]"  # just before each send
    started_ns: int
    ended_ns: int
    errors: Counter[str]

    @property
    def offered(self) -> int:
        """Datagrams the kernel accepted."""
        return len(self.sent_ns) - sum(self.errors.values())

    @property
    def moments_ns(self) -> "array[int]":
        """When the datagrams were sent that the kernel accepted."""
        return array("q", filter(None, self.sent_ns)) if self.errors else self.sent_ns


def send_paced(
    sock: socket.socket,
    address: tuple[str, int],
    slots: list[memoryview],
    deadlines_ns: "array[int]",
    *,
    max_burst: int,
    spin_us: int,
) -> Sending:
    """Send datagram i at its deadline: sleep to `spin_us` before it, then spin.

    It sleeps only when that leaves as long again to sleep, so at 10,000 packets a second it spins.

    Behind its deadlines the sender catches up in bursts of at most `max_burst` datagrams with one
    mean gap between bursts. A failed send is counted and its sequence number left out. After
    GIVEN_UP times the trial's length it stops: what a slow computer carries is known by then.
    """
    clock, sleep, sendto, pack = time.monotonic_ns, time.sleep, sock.sendto, SEQUENCE.pack_into
    count = len(deadlines_ns)
    mean_gap_ns = deadlines_ns[-1] // count
    spin_ns = spin_us * 1000
    sent_ns = array("q", bytes(8 * count))
    errors: Counter[str] = Counter()
    burst = 0
    started_ns = clock()
    given_up_ns = started_ns + GIVEN_UP * deadlines_ns[-1]
    for sequence, deadline, slot in zip(range(count), deadlines_ns, cycle(slots)):
        due = started_ns + deadline
        pack(slot, SEQUENCE_OFFSET, sequence)
        now = clock()
        if now >= due:
            burst += 1
            if burst > max_burst:
                if now > given_up_ns:
                    del sent_ns[sequence:]
                    break
                burst, due = 1, now + mean_gap_ns
        else:
            burst = 1
        if now < due:
            if due - now > 2 * spin_ns:
                sleep((due - now - spin_ns) * 1e-9)
            while (now := clock()) < due:
                pass
        try:
            sendto(slot, address)
            sent_ns[sequence] = now
        except OSError as error:
            errors[errno.errorcode.get(error.errno or 0, "unknown")] += 1
    return Sending(deadlines_ns, sent_ns, started_ns, clock(), errors)


def gap_statistics(sending: Sending) -> dict[str, Any] | None:
    """Gaps between successive sends in microseconds; None when fewer than two were sent.

    Histogram bin i counts the gaps from `edges_us[i]` up to, not including, `edges_us[i + 1]`;
    the last edge lies just above the largest gap.
    """
    times = sending.moments_ns
    gaps_ns = sorted(map(sub, times[1:], times))
    if not gaps_ns:
        return None
    # Sums of whole numbers: exact, and three times as fast as floats one by one.
    count, total_ns = len(gaps_ns), sum(gaps_ns)
    variance = (count * sum(map(mul, gaps_ns, gaps_ns)) - total_ns**2) / count**2
    mean_due_us = sending.deadlines_ns[-1] / len(sending.deadlines_ns) / 1e3
    edges = [share * mean_due_us for share in HISTOGRAM_EDGES]
    below = [*(bisect_right(gaps_ns, edge * 1e3 - 1e-6) for edge in edges), count]
    longest_us = gaps_ns[-1] / 1e3
    edges.append(max(longest_us, edges[-1]) + 0.001)
    return {
        "mean": round(total_ns / count / 1e3, 3),
        "sd": round(variance**0.5 / 1e3, 3),
        "p50": _quantile(gaps_ns, 0.5) / 1e3,
        "p99": _quantile(gaps_ns, 0.99) / 1e3,
        "max": longest_us,
        "histogram": {
            "edges_us": [round(edge, 3) for edge in edges],
            "counts": [after - before for before, after in pairwise(below)],
        },
    }


def _quantile(ordered: list[int], share: float) -> int:
    """The smallest value with at least this share of all values at or below it."""
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def tick_lock(sending: Sending, tick_hz: int) -> float | None:
    """How far the sends keep step with a tick of `tick_hz`: 0 not at all, 1 each at one phase.

    Every tick falls somewhere between two sends; `phase` is where, 0 to 1. The result is the mean
    resultant length of those phases (Mardia and Jupp, Directional Statistics, section 2.3). It is
    near 0 when ticks look at all moments of a packet's handling alike. It is 1 when they always
    look at the same one. The grid's origin is arbitrary: only steadiness counts. None with fewer
    than ten ticks.
    """
    times = sending.moments_ns
    period_ns = 1_000_000_000 // tick_hz
    ticks = range(times[0] + period_ns, times[-1], period_ns) if times else ()
    if len(ticks) < 10:
        return None
    total, position = 0j, 0
    for tick in ticks:
        position = bisect_right(times, tick, position)
        earlier, later = times[position - 1], times[position]
        total += cmath.exp(2j * math.pi * (tick - earlier) / (later - earlier))
    return round(abs(total) / len(ticks), 4)


def late_sends(sending: Sending) -> int:
    """Datagrams sent more than one mean gap after their deadline."""
    mean_gap_ns = sending.deadlines_ns[-1] // len(sending.deadlines_ns)
    limit_ns = sending.started_ns + mean_gap_ns
    late_ns = map(sub, sending.sent_ns, sending.deadlines_ns)  # far below 0 for one that failed
    return sum(map(gt, late_ns, repeat(limit_ns)))
