# SPDX-License-Identifier: Apache-2.0
"""Sockets that see whole IP packets where they come out, and waiting until all of them are there.

Crafted packets end with a marker at each place, known by what its UDP payload begins with.
"""

import selectors
import socket
import struct
import time
from dataclasses import dataclass, field
from typing import Any

from command import Unusable
from udp_socket import SO_RCVBUFFORCE, socket_drops

ETH_P_IP = 0x0800
PACKET_HOST = 0  # <linux/if_packet.h>: to us, and coming in
SOL_PACKET, PACKET_STATISTICS = 263, 6  # <linux/socket.h>, <linux/if_packet.h>
BUFFER_BYTES = 64 << 20
#: Capturing ends after so long a silence behind the end markers. Nothing overtakes those: it is for
#: the copies that go on to the other place.
QUIET_S = 0.05


@dataclass
class Place:
    """Where packets come out, and what came so far."""

    source: bytes
    marker: bytes
    sockets: list[socket.socket]
    packets: list[tuple[float, bytes]] = field(default_factory=list)
    ended: bool = False

    def drain_all(self) -> None:
        """Take what is still there."""
        for sock in self.sockets:
            self.drain(sock)

    def drain(self, sock: socket.socket) -> bool:
        """Take what is there; returns whether any of it came in from the client."""
        kept = False
        while True:
            try:
                packet, address = sock.recvfrom(65535)
            except BlockingIOError:
                return kept
            if self.wants(packet, address):
                self.packets.append((time.time(), packet))
                kept = True
                marked = packet.startswith(self.marker, 28) and packet[12:16] == self.source
                self.ended = self.ended or marked

    def wants(self, packet: bytes, address: Any) -> bool:
        """Tell a packet to keep: a raw socket's from the client, a packet socket's from outside."""
        if len(address) > 2:
            return bool(address[2] == PACKET_HOST)
        return packet[12:16] == self.source

    def drops(self) -> int | None:
        """Packets for which the sockets had no room; None where one does not say."""
        found = [drops_of(sock) for sock in self.sockets]
        return None if None in found else sum(filter(None, found))


def drops_of(sock: socket.socket) -> int | None:
    """Packets that this socket had no room for, since it was opened or last asked."""
    if sock.family != socket.AF_PACKET:
        return socket_drops(sock)
    try:
        return int(struct.unpack("II", sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))[1])
    except (OSError, struct.error):
        return None


def raw_socket(protocol: int) -> socket.socket:
    """A socket that gets every IP packet of a protocol which is delivered to this machine."""
    return _with_buffer(socket.socket(socket.AF_INET, socket.SOCK_RAW, protocol))


def packet_socket(interface: str) -> socket.socket:
    """A socket that gets the IPv4 packets of an interface, without their link headers."""
    sock = _with_buffer(socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0))
    try:
        sock.bind((interface, ETH_P_IP))
    except OSError as error:
        raise Unusable(f"cannot capture on {interface}: {error.strerror}") from error
    return sock


def _with_buffer(sock: socket.socket) -> socket.socket:
    sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    sock.setblocking(False)
    return sock


def listen(places: list[Place], deadline: float) -> bool:
    """Capture until all is there; returns False when the deadline came before an end marker."""
    with selectors.DefaultSelector() as selector:
        for place in places:
            for sock in place.sockets:
                selector.register(sock, selectors.EVENT_READ, place)
        last = time.monotonic()
        while True:
            ended = all(place.ended for place in places)
            left_s = (last + QUIET_S if ended else deadline) - time.monotonic()
            if left_s <= 0:
                return ended
            for key, _ in selector.select(left_s):
                assert isinstance(key.fileobj, socket.socket)
                if key.data.drain(key.fileobj):
                    last = time.monotonic()
