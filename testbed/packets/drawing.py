# SPDX-License-Identifier: Apache-2.0
"""Crafted packets drawn from all that the trials send, and from everywhere else, by a seed.

Were the gate's packets of one kind and the trials' of another, an arm could do its work on the
first kind only. So every property is drawn for every packet: half of them have what a trial's
packet has, the others anything. Linux sends packets from a UDP socket with DF. Their identification
counts up from a random start (seen in the samples of Debian 12's trials) or is 0 (other versions of
`ip_select_ident_segs()`). So a packet cannot be known again by it.
"""

import random
import struct
from dataclasses import dataclass, field
from typing import Any

from testbed.model.config import BenchConfig, NetworkConfig
from testbed.model.plan import FIRST_SOURCE_PORT
from testbed.packets.craft import DONT_FRAGMENT, Datagram

LONGEST = 1472
"""Payload bytes of UDP that a frame of 1,500 bytes holds."""
DATA, START, END, CLOSE = 0, 1, 3, 5
"""Kinds of the trials' datagrams (`guest/protocol.py`)."""
HEADER = struct.Struct("!2sBBIQQ")
MORE_PORTS = 40
"""At least so many source ports count as the trials': `--until-precise` adds blocks."""
TRIES = 50
SPECIAL = (1, 0x00FF, 0xFF00, 0xFFFF)
"""Identifications that have cases of their own; 0 may come in any number of packets."""


@dataclass(frozen=True, slots=True)
class TrialSpace:
    """The packets that the trials of a run may send."""

    payload_bytes: int
    rate_pps: float
    jitter: float
    planned: int
    source_ports: range
    likely_ports: range
    """The ports of the planned blocks."""

    @classmethod
    def of(cls, bench: BenchConfig) -> "TrialSpace":
        """Return what trials with these settings send."""
        ports = range(FIRST_SOURCE_PORT, FIRST_SOURCE_PORT + max(bench.trials, MORE_PORTS))
        return cls(
            bench.payload_bytes, bench.rate_pps, bench.jitter,
            max(1, round(bench.rate_pps * bench.duration_s)), ports, ports[: bench.trials],
        )  # fmt: skip


def header(kind: int, token: int, sequence: int) -> bytes:
    """Return what a trial's datagram begins with; the trial's number in it is always 1."""
    return HEADER.pack(b"PH", 1, kind, 1, token, sequence)


def kind_of(payload: bytes) -> int:
    """Return the kind of a trial's datagram."""
    return payload[3]


@dataclass
class Draws:
    """Random packets of one seed, no two of which could be taken for each other."""

    seed: int
    network: NetworkConfig
    space: TrialSpace
    chance: random.Random = field(init=False)
    _pool: bytes = field(init=False)
    _ids: set[int] = field(default_factory=lambda: {0, *SPECIAL})
    _names: set[tuple[int, int]] = field(default_factory=set)
    _tokens: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"gate {self.seed}")
        # One pool, so that files of frames compress; a trial's payloads are slices of one too.
        self._pool = self.chance.randbytes(4 * LONGEST)
        self._tokens = [self.chance.getrandbits(64) for _ in range(8)]

    def number(self, parity: int | None = None) -> int:
        """Return an identification that no other packet has, on request even (0) or odd (1)."""
        while True:
            drawn = self.chance.randrange(1, 65536)
            if drawn not in self._ids and parity in (None, drawn % 2):
                self._ids.add(drawn)
                return drawn

    def counting(self, count: int) -> range:
        """Return that many identifications in a row that no other packet has."""
        while True:
            start = self.chance.randrange(1, 65536 - count)
            numbers = range(start, start + count)
            if self._ids.isdisjoint(numbers):
                self._ids.update(numbers)
                return numbers

    def claim(self, number: int) -> bool:
        """Take this very identification; False when another packet has it."""
        if number in self._ids:
            return False
        self._ids.add(number)
        return True

    def filler(self, size: int) -> bytes:
        """Return random bytes, up to 4,416 of them."""
        start = self.chance.randrange(len(self._pool) - min(size, 3 * LONGEST))
        return self._pool[start : start + size]

    def likely(self, share: float) -> bool:
        """Return True in so many cases."""
        return self.chance.random() < share

    def trial_port(self) -> int:
        """Return a source port of the trials, mostly of those that are planned."""
        space = self.space
        return self.chance.choice(space.likely_ports if self.likely(0.6) else space.source_ports)

    def source_port(self) -> int:
        """Return a source port: a trial's, or any."""
        return self.trial_port() if self.likely(0.5) else self.chance.randrange(1, 65536)

    def token(self) -> int:
        """Return a token such as names a trial."""
        return self.chance.getrandbits(64)

    def head(self) -> bytes:
        """Return the header of a trial's datagram that no other packet has."""
        kind = DATA if self.likely(0.85) else self.chance.choice((START, END, CLOSE))
        for _ in range(TRIES):
            name = (self.chance.choice(self._tokens), self.chance.randrange(self.space.planned))
            if name not in self._names:
                break
        else:  # trials of a few packets: another trial's
            name = (self.token(), name[1])
        self._names.add(name)
        return header(kind, *name)

    def payload(self, size: int) -> tuple[bytes, bool]:
        """Return that many bytes, and whether a trial's header names them."""
        named = size >= HEADER.size and self.likely(0.6)
        begin = self.head() if named else b""
        return begin + self.filler(size - len(begin)), named

    def datagram(self, size: int = 64, **fixed: Any) -> Datagram:
        """Return what a hook must match, but for what is given; `size` is that of the payload.

        It has an identification of its own, a header of its own, or both.
        """
        payload, named = self.payload(size)
        alike = named and not fixed.keys() & {"id", "payload"} and self.likely(0.7)
        drawn: dict[str, Any] = {
            "id": 0 if alike and self.likely(0.5) else fixed.get("id") or self.number(),
            "source": self.network.client_address,
            "destination": self.network.server_address,
            "port": self.network.match_port,
            "source_port": self.source_port(),
            "payload": payload,
            "flags": DONT_FRAGMENT if alike or self.likely(0.5) else 0,
            "ttl": 64 if self.likely(0.6) else self.chance.randrange(2, 256),
            "tos": 0 if self.likely(0.7) else self.chance.randrange(256),
        }
        return Datagram(**{**drawn, **fixed})

    def as_in_trial(self, port: int, payload: bytes, number: int) -> Datagram:
        """Return a datagram as the client's kernel sends it, with this identification."""
        return self.datagram(0, id=number, source_port=port, payload=payload, flags=DONT_FRAGMENT,
                             ttl=64, tos=0)  # fmt: skip

    def stretch(self, count: int) -> list[Datagram]:
        """Return the beginning, some of the middle and the end of a trial, in order."""
        planned, size = self.space.planned, self.space.payload_bytes - HEADER.size
        port, token = self.trial_port(), self.token()
        first = self.chance.randrange(max(1, planned - count))
        numbers = range(first, min(first + count, planned))
        parts = [header(START, token, planned)]
        parts += [header(DATA, token, number) + self.filler(size) for number in numbers]
        parts += [header(END, token, planned), header(CLOSE, token, 0)]
        ids = self.counting(len(parts))
        return [self.as_in_trial(port, part, id) for part, id in zip(parts, ids, strict=True)]
