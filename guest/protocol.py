# SPDX-License-Identifier: Apache-2.0
"""The messages between client and server: one 24-byte header on every datagram.

    0      2 3 4        8                16               24
    | "PH" |v|k| trial  | token          | sequence       | payload, or counts ...
                (all integers unsigned, big-endian)

`token` is drawn at random for each trial. Both sides match messages by it and never by address,
because a hook rewrites addresses: what was sent to 192.168.64.2:8080 is answered by 10.0.1.2:8083.

`sequence` numbers the data from 0. START carries there how many datagrams are planned, END how
many the client's kernel accepted. The conversation of one trial:

    client  START  ->           repeated until START_ACK comes: either may get lost
    server         <- START_ACK (after its counters were read)
    client  DATA 0 ... DATA n-1
    client  END    ->           repeated until END_ACK comes
    server         <- END_ACK   (header, then the Counts below)
    client  CLOSE  ->           once, as a courtesy: the server need not wait for a repeated END

Control messages are short on purpose: they pass where long datagrams do not (a bounded checksum
loop damages long ones only), so a trial that delivers nothing is still measured and told as such.
"""

import struct
from enum import IntEnum
from typing import NamedTuple

MAGIC = b"PH"
VERSION = 1

HEADER = struct.Struct("!2sBBIQQ")
HEADER_BYTES = HEADER.size
#: The same 24 bytes as three integers, for loops that have no time to look at every field:
#: (magic, version, kind, trial), token, sequence.
WORDS = struct.Struct("!QQQ")
SEQUENCE = struct.Struct("!Q")
SEQUENCE_OFFSET = 16

#: The largest UDP payload IPv4 can carry: 65,535 minus 20 (IP header) minus 8 (UDP header).
MAX_PAYLOAD_BYTES = 65_507
#: The server keeps one byte for each planned datagram; this bounds what a START can make it take.
MAX_PLANNED = 1 << 24

#: Silence before the first repeat of START or END; doubled with every repeat up to the second.
FIRST_RETRY_S = 0.05
LAST_RETRY_S = 0.8


class Kind(IntEnum):
    """The kind of a datagram."""

    DATA = 0
    START = 1
    START_ACK = 2
    END = 3
    END_ACK = 4
    CLOSE = 5


class Message(NamedTuple):
    """One decoded header."""

    kind: Kind
    trial: int
    token: int
    sequence: int

    def pack(self) -> bytes:
        """The header as it goes on the wire."""
        return HEADER.pack(MAGIC, VERSION, self.kind, self.trial, self.token, self.sequence)


class Counts(NamedTuple):
    """The server's account of a trial; it follows the header of an END_ACK."""

    received: int
    unique: int
    duplicates: int
    reordered: int
    duration_ns: int

    def pack(self) -> bytes:
        """Five integers, as they follow the header."""
        return _COUNTS.pack(*self)


_COUNTS = struct.Struct("!5Q")


def unpack_message(datagram: bytes | bytearray, size: int) -> Message | None:
    """The header of a datagram of `size` bytes, or None if it is not one of ours.

    `size` is given because a receive buffer is longer than what was received into it.
    """
    if size < HEADER_BYTES:
        return None
    magic, version, kind, trial, token, sequence = HEADER.unpack_from(datagram)
    if magic != MAGIC or version != VERSION or kind > Kind.CLOSE:
        return None
    return Message(Kind(kind), trial, token, sequence)


def unpack_counts(datagram: bytes | bytearray, size: int) -> Counts | None:
    """The counts behind the header of an END_ACK, or None if it was cut short."""
    if size < HEADER_BYTES + _COUNTS.size:
        return None
    return Counts(*_COUNTS.unpack_from(datagram, HEADER_BYTES))
