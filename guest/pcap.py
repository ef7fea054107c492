# SPDX-License-Identifier: Apache-2.0
"""pcap files: frames to send are read from one, captured packets are written to one."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from command import Unusable

FILE_HEAD = struct.Struct("<IHHiIII")
RECORD_HEAD = struct.Struct("<IIII")
PCAP_MAGIC = 0xA1B2C3D4
ETHERNET, RAW_IP = 1, 101  # link types


def read_frames(path: Path) -> list[tuple[float, bytes]]:
    """The frames of a pcap file, compressed or not, each with its time in seconds."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = zlib.decompress(content, wbits=31)
        magic, *_, link_type = FILE_HEAD.unpack_from(content)
        if (magic, link_type) != (PCAP_MAGIC, ETHERNET):
            raise Unusable(f"{path} is no little-endian pcap file of Ethernet frames")
        return list(_records(content))
    except OSError as error:
        raise Unusable(f"cannot read {path}: {error.strerror}") from error
    except (struct.error, zlib.error) as error:
        raise Unusable(f"{path} is cut off or damaged: {error}") from error


def _records(content: bytes) -> Iterator[tuple[float, bytes]]:
    place = FILE_HEAD.size
    while place < len(content):
        seconds, microseconds, length, _ = RECORD_HEAD.unpack_from(content, place)
        place += RECORD_HEAD.size + length
        if place > len(content):
            raise struct.error("the last frame is not whole")
        yield seconds + microseconds / 1e6, content[place - length : place]


def write_packets(path: Path, packets: list[tuple[float, bytes]]) -> None:
    """Captured IP packets as a pcap file."""
    with path.open("wb") as file:
        file.write(FILE_HEAD.pack(PCAP_MAGIC, 2, 4, 0, 0, 65535, RAW_IP))
        for moment, packet in packets:
            seconds, rest = divmod(moment, 1)
            size = len(packet)
            file.write(RECORD_HEAD.pack(int(seconds), int(rest * 1e6), size, size) + packet)
