# SPDX-License-Identifier: Apache-2.0
"""Frames from parts, with dpkt. Every field can be given, so that it can be wrong on purpose."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise

from dpkt.dpkt import in_cksum
from dpkt.ethernet import ETH_TYPE_IP, Ethernet
from dpkt.ip import IP, IP_PROTO_TCP, IP_PROTO_UDP
from dpkt.tcp import TCP
from dpkt.udp import UDP

MORE_FRAGMENTS, DONT_FRAGMENT = 0x2000, 0x4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """An IPv4 packet with UDP; what is None is as it should be.

    `first_byte` is version and header length. `protocol` makes the same bytes another protocol's.
    `after` lies behind the UDP datagram, but inside of the IP packet.
    """

    id: int
    source: str
    destination: str
    port: int
    source_port: int
    payload: bytes = b""
    after: bytes = b""
    ttl: int = 64
    tos: int = 0
    flags: int = 0
    options: bytes = b""
    first_byte: int | None = None
    protocol: int = IP_PROTO_UDP
    ip_bytes: int | None = None
    ip_checksum: int | None = None
    udp_bytes: int | None = None
    udp_checksum: int | None = None

    def right_udp_checksum(self) -> int:
        """Return the checksum over the whole payload; 0xFFFF where it computes to 0 (RFC 768)."""
        length = 8 + len(self.payload)
        pseudo = _packed(self.source) + _packed(self.destination)
        pseudo += bytes((0, IP_PROTO_UDP)) + length.to_bytes(2, "big")
        header = UDP(sport=self.source_port, dport=self.port, ulen=length, sum=0).pack_hdr()
        return int(in_cksum(pseudo + bytes(header) + self.payload)) or 0xFFFF

    def udp(self) -> bytes:
        """Return the UDP datagram and what lies after it."""
        length, check = self.udp_bytes, self.udp_checksum
        header = UDP(
            sport=self.source_port,
            dport=self.port,
            ulen=8 + len(self.payload) if length is None else length,
            sum=self.right_udp_checksum() if check is None else check,
        ).pack_hdr()
        return bytes(header) + self.payload + self.after

    def packet(self) -> bytes:
        """Return the whole IP packet."""
        return ip_packet(
            self.udp(), id=self.id, source=self.source, destination=self.destination,
            ttl=self.ttl, tos=self.tos, flags=self.flags, options=self.options,
            length=self.ip_bytes, checksum=self.ip_checksum, first_byte=self.first_byte,
            protocol=self.protocol,
        )  # fmt: skip

    def fragments(self, *cuts: int) -> tuple[bytes, ...]:
        """Return the packet in fragments, cut at these places of the UDP datagram (times 8)."""
        data = self.udp()
        places = [0, *cuts, len(data)]
        return tuple(
            ip_packet(
                data[start:end], id=self.id, source=self.source, destination=self.destination,
                ttl=self.ttl, tos=self.tos,
                flags=start // 8 | (MORE_FRAGMENTS if end < len(data) else 0),
            )
            for start, end in pairwise(places)
        )  # fmt: skip


def ip_packet(
    data: bytes,
    *,
    id: int,
    source: str,
    destination: str,
    protocol: int = IP_PROTO_UDP,
    ttl: int = 64,
    tos: int = 0,
    flags: int = 0,
    options: bytes = b"",
    length: int | None = None,
    checksum: int | None = None,
    first_byte: int | None = None,
) -> bytes:
    """Return an IPv4 packet around `data`; `flags` is the word of flags and fragment offset."""
    words = 5 + len(options) // 4
    header = IP(
        _v_hl=4 << 4 | words if first_byte is None else first_byte,
        tos=tos,
        len=4 * words + len(data) if length is None else length,
        id=id,
        _flags_offset=flags,
        ttl=ttl,
        p=protocol,
        sum=0,
        src=_packed(source),
        dst=_packed(destination),
    )
    # Not bytes(header): that would put right what is wrong on purpose.
    header.sum = in_cksum(header.pack_hdr() + options) if checksum is None else checksum
    return bytes(header.pack_hdr()) + options + data


def tcp(
    source: str, destination: str, source_port: int, port: int, flags: int, payload: bytes = b""
) -> bytes:
    """Return a TCP segment with its right checksum."""
    segment = TCP(sport=source_port, dport=port, seq=1, flags=flags, win=1024, sum=0)
    plain = bytes(segment.pack_hdr()) + payload
    pseudo = _packed(source) + _packed(destination) + bytes((0, IP_PROTO_TCP))
    segment.sum = in_cksum(pseudo + len(plain).to_bytes(2, "big") + plain)
    return bytes(segment.pack_hdr()) + payload


Tag = tuple[int, int]
"""A VLAN tag: its EtherType (0x8100, or 0x88a8 of 802.1ad), and priority and VLAN in one word."""


@dataclass(frozen=True, slots=True)
class Wire:
    """The two ends of the link; `frame` puts a packet on it."""

    client_mac: str
    server_mac: str

    def frame(
        self, packet: bytes, *, padding: bytes = b"", tags: Sequence[Tag] = (),
        kind: int = ETH_TYPE_IP,
    ) -> bytes:  # fmt: skip
        """Return the Ethernet frame, the outer tag first; the NIC pads it to 60 bytes with zeros.

        `kind` is the EtherType of what is behind the tags.
        """
        kinds = [*(tag for tag, _ in tags), kind]
        words = b"".join(
            vlan.to_bytes(2, "big") + inner.to_bytes(2, "big")
            for (_, vlan), inner in zip(tags, kinds[1:], strict=True)
        )
        header = Ethernet(dst=_mac(self.server_mac), src=_mac(self.client_mac), type=kinds[0])
        return bytes(header.pack_hdr()) + words + packet + padding


def _packed(address: str) -> bytes:
    return IPv4Address(address).packed


def _mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))
