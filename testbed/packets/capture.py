# SPDX-License-Identifier: Apache-2.0
"""Frames and packets as pcap files; the same ones always give the same bytes.

dpkt writes them. They are read without it: it takes a last record that is cut off for a whole, and
loads every protocol there is.
"""

import gzip
import io
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat

ETHERNET = 1
"""Link type of frames that were sent (LINKTYPE_ETHERNET)."""
RAW_IP = 101
"""Link type of captured IP packets (LINKTYPE_RAW)."""
GZIP = b"\x1f\x8b"
MAGIC = 0xA1B2C3D4
HEAD = struct.Struct("<I16xI")
"""The head of a little-endian file: the magic number and the link type."""
RECORD = struct.Struct("<8xI4x")
"""A record's head: how many bytes of the packet are kept."""


def write(packets: Iterable[bytes], link_type: int, due_us: Sequence[int] | None = None) -> bytes:
    """Return a compressed pcap file of these packets, with the times of `due_us`, else without."""
    from dpkt.pcap import Writer

    plain, packed = io.BytesIO(), io.BytesIO()
    writer = Writer(plain, snaplen=65535, linktype=link_type)
    moments: Iterable[int] = repeat(0) if due_us is None else due_us
    for packet, moment in zip(packets, moments, strict=due_us is not None):
        writer.writepkt_time(packet, moment / 1e6)
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as file:
        file.write(plain.getvalue())
    return packed.getvalue()


def read(content: bytes, link_type: int) -> tuple[bytes, ...]:
    """Return the packets of a little-endian pcap file, compressed or not.

    Raises ValueError when it is cut off, or no pcap of this link type.
    """
    try:
        plain = gzip.decompress(content) if content.startswith(GZIP) else content
        head = HEAD.unpack_from(plain)
    except (EOFError, OSError, zlib.error, struct.error) as error:
        raise ValueError(f"cut off or damaged ({error})") from error
    if head != (MAGIC, link_type):
        raise ValueError(f"no pcap file of link type {link_type}")
    return tuple(_packets(plain, HEAD.size))


def _packets(plain: bytes, start: int) -> Iterator[bytes]:
    while start < len(plain):
        body = start + RECORD.size
        try:
            (kept,) = RECORD.unpack_from(plain, start)
        except struct.error as error:
            raise ValueError(f"cut off in a record's head at byte {start}") from error
        end = body + kept
        if end > len(plain):
            raise ValueError(f"cut off in the record at byte {start}")
        yield plain[body:end]
        start = end
