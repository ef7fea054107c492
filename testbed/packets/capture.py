# SPDX-License-Identifier: Apache-2.0
"""Frames and packets as pcap files; the same ones always give the same bytes."""

import gzip
import io
import zlib
from collections.abc import Iterable, Iterator

import dpkt
from dpkt.pcap import TCPDUMP_MAGIC, LEFileHdr, LEPktHdr, Writer

ETHERNET = 1
"""Link type of frames that were sent (LINKTYPE_ETHERNET)."""
RAW_IP = 101
"""Link type of captured IP packets (LINKTYPE_RAW)."""
GZIP = b"\x1f\x8b"


def write(packets: Iterable[bytes], link_type: int) -> bytes:
    """Return a compressed pcap file of these packets, without times."""
    plain, packed = io.BytesIO(), io.BytesIO()
    writer = Writer(plain, snaplen=65535, linktype=link_type)
    for packet in packets:
        writer.writepkt_time(packet, 0)
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as file:
        file.write(plain.getvalue())
    return packed.getvalue()


def read(content: bytes, link_type: int) -> tuple[bytes, ...]:
    """Return the packets of a little-endian pcap file, compressed or not.

    Raises ValueError when it is cut off, or no pcap of this link type.
    """
    try:
        plain = gzip.decompress(content) if content.startswith(GZIP) else content
        head = LEFileHdr(plain[: LEFileHdr.__hdr_len__])
    except (EOFError, OSError, zlib.error, dpkt.UnpackError) as error:
        raise ValueError(f"cut off or damaged ({error})") from error
    if (head.magic, head.linktype) != (TCPDUMP_MAGIC, link_type):
        raise ValueError(f"no pcap file of link type {link_type}")
    return tuple(_packets(plain, LEFileHdr.__hdr_len__))


def _packets(plain: bytes, start: int) -> Iterator[bytes]:
    """Read record by record: dpkt's own reader takes a last one that is cut off for a whole."""
    while start < len(plain):
        body = start + LEPktHdr.__hdr_len__
        try:
            end = body + LEPktHdr(plain[start:body]).caplen
        except dpkt.UnpackError as error:
            raise ValueError(f"cut off in a record's head at byte {start}") from error
        if end > len(plain):
            raise ValueError(f"cut off in the record at byte {start}")
        yield plain[body:end]
        start = end
