# SPDX-License-Identifier: Apache-2.0
"""One trial as the server sees it, and the loop that receives its datagrams.

The loop is the one place in `guest/` written for speed before anything else. Under emulation a
Python instruction costs about twenty times what it should, and 10,000 datagrams a second leave
100 us for each. So the usual case, the next datagram in order, is tested first and costs one
system call, one unpacking and a few comparisons: no clock, no address, no object is made for it.
"""

import socket
import time
from collections.abc import Container
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from protocol import WORDS, Counts, Kind, Message, unpack_message
from udp_socket import answer

#: The clock is read for every so many datagrams, and for each of the last so many planned: the
#: last arrival is exact if one of those came, otherwise early by at most as many datagrams.
STAMP_EVERY = 256
STAMP_TAIL = 64


@dataclass(slots=True)
class Trial:
    """Counts of one trial; `before` and `after` are the counters at START and at END."""

    number: int
    token: int
    planned: int
    peer: tuple[str, int]
    before: dict[str, Any]
    drops_before: int | None
    after: dict[str, Any] | None = None
    drops_after: int | None = None
    network: dict[str, Any] = field(default_factory=dict)  # counters of the stack, by edge
    cpu_ns: list[int] = field(default_factory=list)  # this process's CPU time, at the edges
    answers: int = 0
    started_ns: int = 0
    ended_ns: int | None = None
    offered: int | None = None
    seen: bytearray = field(default_factory=bytearray)
    expected: int = 0  # one more than the highest sequence number so far
    duplicates: int = 0
    reordered: int = 0
    foreign: int = 0
    payload_bytes: int = 0
    first_data_ns: int | None = None
    last_data_ns: int | None = None
    next_stamp: int = 0

    def __post_init__(self) -> None:
        self.seen = bytearray(self.planned)

    @property
    def unique(self) -> int:
        """Different sequence numbers that arrived."""
        return self.seen.count(1)

    @property
    def duration_ns(self) -> int | None:
        """From START (acknowledged) to END; None while there was no END."""
        return None if self.ended_ns is None else self.ended_ns - self.started_ns

    def message(self, kind: Kind, sequence: int = 0) -> Message:
        """A message to this trial's client."""
        return Message(kind, self.number, self.token, sequence)

    def end_acknowledgement(self) -> bytes:
        """The account of its trial that the client is given."""
        unique = self.unique
        counts = Counts(
            received=unique + self.duplicates,
            unique=unique,
            duplicates=self.duplicates,
            reordered=self.reordered,
            duration_ns=self.duration_ns or 0,
        )
        return self.message(Kind.END_ACK, self.offered or 0).pack() + counts.pack()

    def stamp(self, following: int) -> None:
        """Note the time of an arrival; `following` is the sequence number expected next."""
        self.last_data_ns = time.monotonic_ns()
        if self.first_data_ns is None:
            self.first_data_ns = self.last_data_ns
        tail = self.planned - STAMP_TAIL
        self.next_stamp = max(following, min(following + STAMP_EVERY, tail))

    def count_unusual(self, sequence: int, size: int) -> None:
        """Count a datagram that was not the next in order: after a gap, late, or a repeat."""
        self.payload_bytes += size
        if self.seen[sequence]:
            self.duplicates += 1
        elif sequence < self.expected:  # a higher number came before it (RFC 4737)
            self.seen[sequence] = 1
            self.reordered += 1
        else:
            self.seen[sequence] = 1
            self.expected = sequence + 1
        self.stamp(self.expected)

    def record(self) -> dict[str, Any]:
        """The trial as it stands in the JSON file; what is not known is null."""
        unique, duration_ns = self.unique, self.duration_ns
        known = None not in (self.drops_before, self.drops_after)
        return {
            "trial": self.number,
            "token": f"{self.token:016x}",
            "peer": "{}:{}".format(*self.peer),
            "planned": self.planned,
            "offered": self.offered,
            "received": unique + self.duplicates,
            "unique": unique,
            "duplicates": self.duplicates,
            "reordered": self.reordered,
            "lost": None if self.offered is None else self.offered - unique,
            "foreign": self.foreign,
            "bytes": self.payload_bytes,
            "started_monotonic_ns": self.started_ns,
            "ended_monotonic_ns": self.ended_ns,
            "first_data_monotonic_ns": self.first_data_ns,
            "last_data_monotonic_ns": self.last_data_ns,
            "duration_ms": None if duration_ns is None else duration_ns / 1e6,
            "socket_drops": (self.drops_after or 0) - (self.drops_before or 0) if known else None,
            "answers_sent": self.answers,
            "cpu_ns": self.cpu_ns[1] - self.cpu_ns[0] if len(self.cpu_ns) > 1 else None,
            "network": self.network,
            "before": self.before,
            "after": self.after,
        }


class Event(Enum):
    """Why `receive` came back."""

    END = auto()
    NEW_START = auto()  # the client has begun again without ending this trial
    IDLE = auto()  # silence, or a stranger's datagram: the caller may look at the clock


def receive(
    sock: socket.socket, buffer: bytearray, trial: Trial, finished: Container[int]
) -> Event:
    """Count the trial's datagrams until something else happens; `finished` are earlier tokens.

    The counts are in `trial` at every exit, a signal's exception included.
    """
    recv_into, unpack = sock.recv_into, WORDS.unpack_from
    data_word = int.from_bytes(trial.message(Kind.DATA).pack()[:8], "big")
    token, planned, seen = trial.token, trial.planned, trial.seen
    expected, total, next_stamp = trial.expected, trial.payload_bytes, trial.next_stamp
    try:
        while True:
            size = recv_into(buffer)
            word, its_token, sequence = unpack(buffer)
            # A datagram shorter than a header leaves part of the last one's in the buffer. That
            # one's sequence number was below `expected`, so `_receive_unusual` gets to see it.
            if sequence == expected < planned and its_token == token and word == data_word:
                seen[sequence] = 1
                expected += 1
                total += size
                if expected > next_stamp:
                    trial.stamp(expected)
                    next_stamp = trial.next_stamp
                continue
            trial.expected, trial.payload_bytes = expected, total
            event = _receive_unusual(sock, trial, finished, unpack_message(buffer, size), size)
            expected, total, next_stamp = trial.expected, trial.payload_bytes, trial.next_stamp
            if event is not None:
                return event
    except BlockingIOError:  # the socket's receive time-out
        return Event.IDLE
    finally:
        trial.expected, trial.payload_bytes = expected, total


def _receive_unusual(
    sock: socket.socket,
    trial: Trial,
    finished: Container[int],
    message: Message | None,
    size: int,
) -> Event | None:
    """Whatever is not the next datagram in order; None when the loop may go on at once."""
    if message is not None and message.token == trial.token:
        match message.kind:
            case Kind.DATA if message.sequence < trial.planned:
                trial.count_unusual(message.sequence, size)
                return None
            case Kind.START:  # our answer got lost
                trial.answers += 1
                answer(sock, trial.message(Kind.START_ACK).pack(), trial.peer)
                return None
            case Kind.END:
                trial.offered = message.sequence
                return Event.END
    elif message is not None and message.kind is Kind.START and message.token not in finished:
        return Event.NEW_START
    trial.foreign += 1
    return Event.IDLE
