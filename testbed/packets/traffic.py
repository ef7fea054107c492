# SPDX-License-Identifier: Apache-2.0
"""The trial's own packets as they must come out: made again from what the client recorded.

`guest/pacing.py` draws the payload from a seed, `guest/protocol.py` puts the trial's header in
front, Linux adds IP and UDP. A test holds this module against both programs. A report makes these
packets, so dpkt, which crafts the gate's, is not loaded for them.
"""

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from testbed.model.json_node import Node
from testbed.packets.reference import UDP, ones_complement_sum, packed, with_ip_checksum

HEADER = struct.Struct("!2sBBIQQ")
"""Magic, version, kind, trial, token, sequence (guest/protocol.py)."""
MAGIC, VERSION = b"PH", 1
DATA, START, END, CLOSE = 0, 1, 3, 5
POOL_BYTES, MOST_SLOTS, FEWEST_SLOTS = 1 << 18, 64, 2
"""How guest/pacing.py cuts its random bytes into payloads."""
IP_HEADER, UDP_HEADER = struct.Struct("!BBHHHBBH"), struct.Struct("!4H")
"""IPv4 without its addresses, 12 bytes; UDP."""
DONT_FRAGMENT = 0x4000
HEAD_BYTES = 28 + HEADER.size
"""Headers of IP and UDP, and the trial's own."""
TTL = 63
"""Linux sends with 64, and the server takes one off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """One trial as the client recorded it; `token` as a number, sizes in bytes."""

    trial: int
    token: int
    source_port: int
    seed: int
    payload_bytes: int
    planned: int
    offered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """Where the packets come from and where they come out."""

    client_address: str
    target_address: str
    target_port: int


def sent_by(trials: Sequence[Node]) -> tuple[Sent, ...]:
    """Return what the client recorded of each trial (client.json, `trials`).

    Empty where a trial lacks its seed or its number: its packets cannot be made again. Raises
    ParseError with place and value for what is no such record.
    """
    found = []
    for trial in trials:
        number, seed = trial.optional_integer("trial"), trial.optional_integer("seed")
        try:
            token = int(trial.text("token"), 16)
        except ValueError:
            raise trial.fault("not a hexadecimal number", "token") from None
        if number is None or seed is None:
            return ()
        found.append(
            Sent(
                trial=number,
                token=token,
                source_port=trial.integer("source_port"),
                seed=seed,
                payload_bytes=trial.integer("payload_bytes"),
                planned=trial.integer("planned"),
                offered=trial.integer("offered"),
            )
        )
    return tuple(found)


@lru_cache(maxsize=8)
def _slots(seed: int, payload_bytes: int) -> tuple[bytes, ...]:
    count = max(FEWEST_SLOTS, min(MOST_SLOTS, POOL_BYTES // payload_bytes))
    pool = random.Random(seed).randbytes(count * payload_bytes)
    return tuple(
        pool[start : start + payload_bytes] for start in range(0, len(pool), payload_bytes)
    )


def payload(sent: Sent, kind: int, sequence: int) -> bytes:
    """Return the UDP payload of one of the trial's datagrams; control datagrams are a header."""
    head = HEADER.pack(MAGIC, VERSION, kind, sent.trial, sent.token, sequence)
    if kind != DATA:
        return head
    slots = _slots(sent.seed, sent.payload_bytes)
    return head + slots[sequence % len(slots)][HEADER.size :]


def arriving(sent: Sent, kind: int, sequence: int, path: Path, identification: int) -> bytes:
    """Return the whole IP packet as it comes out in the namespace, with valid checksums."""
    data = payload(sent, kind, sequence)
    addresses = packed(path.client_address) + packed(path.target_address)
    length = UDP_HEADER.size + len(data)
    ports = sent.source_port, path.target_port
    pseudo = addresses + struct.pack("!BBH", 0, UDP, length)
    total = ones_complement_sum(pseudo + UDP_HEADER.pack(*ports, length, 0) + data)
    check = ~total & 0xFFFF or 0xFFFF  # a computed 0 is sent as its other form (RFC 768)
    head = IP_HEADER.pack(
        0x45, 0, IP_HEADER.size + 8 + length, identification, DONT_FRAGMENT, TTL, UDP, 0
    )
    datagram = UDP_HEADER.pack(*ports, length, check) + data
    return with_ip_checksum(head + addresses + datagram)


def reference(head: bytes, trials: Sequence[Sent], path: Path) -> bytes | None:
    """Return what a captured packet should be, by its first HEAD_BYTES; None: nothing of ours.

    The trial's header in it says which datagram it is. The IP identification is taken over: the
    client's kernel chooses it, and the gate looks at it.
    """
    if len(head) < HEAD_BYTES:
        return None
    magic, version, kind, number, token, sequence = HEADER.unpack_from(head, 28)
    sent = next((one for one in trials if (one.token, one.trial) == (token, number)), None)
    if sent is None or (magic, version) != (MAGIC, VERSION):
        return None
    numbers = {START: sent.planned, END: sent.offered, CLOSE: 0}
    known = sequence < sent.planned if kind == DATA else numbers.get(kind) == sequence
    if not known:
        return None
    return arriving(sent, kind, sequence, path, int.from_bytes(head[4:6], "big"))
