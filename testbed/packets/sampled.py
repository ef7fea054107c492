# SPDX-License-Identifier: Apache-2.0
"""A trial's sample of packets, small enough to keep: `sample.pcap.gz` and `sample.json`.

Payloads are random bytes that the seed gives again. So a packet that is as it should be is kept as
its headers and the SHA-256 of all of it; one that is not is kept whole.
"""

import gzip
import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from testbed.packets.capture import HEAD, MAGIC, RAW_IP, read
from testbed.packets.traffic import HEAD_BYTES, Path, Sent, reference

FILE_HEAD = struct.Struct("<IHHiIII")
RECORD = struct.Struct("<IIII")
MOST_WHOLE = 16
"""So many packets that differ are kept whole: they are mostly wrong in the same way."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """One packet: what was kept of it, its whole length in bytes, the SHA-256 of all of it."""

    kept: bytes
    length: int
    digest: str

    @property
    def is_whole(self) -> bool:
        """Return True if every byte was kept."""
        return len(self.kept) == self.length

    def equals(self, packet: bytes) -> bool:
        """Return True if it is this packet, byte for byte."""
        return self.length == len(packet) and self.digest == digest(packet)


def digest(packet: bytes) -> str:
    """Return the SHA-256 of a packet, in hexadecimal."""
    return hashlib.sha256(packet).hexdigest()


def cut(captured: bytes, trials: Sequence[Sent], path: Path) -> tuple[Sampled, ...]:
    """Return what is to be kept of a capture (raw IP, as a pcap file).

    Raises ValueError when that is no such file.
    """
    kept, whole = [], 0
    for packet in read(captured, RAW_IP):
        right = packet == reference(packet[:HEAD_BYTES], trials, path)
        whole += not right
        as_it_is = not right and whole <= MOST_WHOLE
        head = packet if as_it_is else packet[:HEAD_BYTES]
        kept.append(Sampled(head, len(packet), digest(packet)))
    return tuple(kept)


def to_pcap(packets: Sequence[Sampled]) -> bytes:
    """Return them as a compressed pcap file; a record says how long its packet really was."""
    plain = FILE_HEAD.pack(MAGIC, 2, 4, 0, 0, 65535, RAW_IP)
    for one in packets:
        plain += RECORD.pack(0, 0, len(one.kept), one.length) + one.kept
    return gzip.compress(plain, mtime=0)


def to_json(packets: Sequence[Sampled]) -> bytes:
    """Return the digests as a JSON document, in the order of the pcap file."""
    return json.dumps({"schema": 1, "sha256": [one.digest for one in packets]}).encode() + b"\n"


def from_files(pcap: bytes, digests: Sequence[str]) -> tuple[Sampled, ...]:
    """Return the packets of both files.

    Raises ValueError when the pcap file is damaged, or they do not fit together.
    """
    kept = read(pcap, RAW_IP)
    lengths = _lengths(gzip.decompress(pcap))
    if len(kept) != len(digests):
        raise ValueError(f"{len(kept)} packets, but sample.json has {len(digests)} digests")
    return tuple(map(Sampled, kept, lengths, digests))


def _lengths(plain: bytes) -> list[int]:
    """Every record's own length; `read` has found the file whole."""
    found, place = [], HEAD.size
    while place < len(plain):
        _, _, kept, length = RECORD.unpack_from(plain, place)
        found.append(length)
        place += RECORD.size + kept
    return found
