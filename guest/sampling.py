# SPDX-License-Identifier: Apache-2.0
"""A random sample of a trial's own packets, taken where they come out, read when it is over.

The gate looks at other packets than a trial sends, so an arm could treat the two differently. One
packet socket on the inner interface keeps about one UDP packet in N; the kernel draws them behind
the hook, so no arm can know which. The same socket is there in every trial of every arm.

Its cost (net/core/dev.c and net/packet/af_packet.c of Linux 6.1): a packet that is not drawn takes
a reference, one classic BPF program and the reference back. packet_rcv() clones nothing before its
filter has said yes. The socket is bound to ETH_P_ALL and not to ETH_P_IP, because IP's own handler
comes last then and finds the packet unshared. Bound to ETH_P_IP the socket would come last, and
ip_rcv() would clone every packet (skb_share_check()).
"""

import contextlib
import ctypes
import os
import socket
import struct
from pathlib import Path
from typing import Any

from command import Unusable, complain
from pcap import write_packets
from udp_socket import set_receive_buffer

ETH_P_ALL, ETH_P_IP, IPPROTO_UDP = 0x0003, 0x0800, 17
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23  # <linux/if_packet.h>
SO_ATTACH_FILTER = 26  # <asm-generic/socket.h>
SKF_AD_OFF, SKF_AD_PROTOCOL, SKF_AD_RANDOM = 0xFFFFF000, 0, 56  # <linux/filter.h>
LOAD_WORD, LOAD_HALF, LOAD_BYTE, JUMP_ABOVE, JUMP_EQUAL, RETURN = 0x20, 0x28, 0x30, 0x25, 0x15, 0x06
WHOLE = 0x40000
PROTOCOL_AT = 9  # of an IPv4 header
#: Room for some thousand packets with their bookkeeping; a trial keeps about a hundred.
BUFFER_BYTES = 8 << 20
#: No more than these are kept of one session.
MOST = 1000
STATISTICS = struct.Struct("=2I")


def random_filter(one_in: int) -> list[tuple[int, int, int, int]]:
    """Classic BPF: every UDP packet over IPv4 with a chance of 1 in `one_in`, whole.

    The random number comes first, so that nearly every packet costs three instructions.
    """
    return [
        (LOAD_WORD, 0, 0, SKF_AD_OFF + SKF_AD_RANDOM),
        (JUMP_ABOVE, 5, 0, (1 << 32) // one_in - 1),
        (LOAD_HALF, 0, 0, SKF_AD_OFF + SKF_AD_PROTOCOL),
        (JUMP_EQUAL, 0, 3, ETH_P_IP),
        (LOAD_BYTE, 0, 0, PROTOCOL_AT),
        (JUMP_EQUAL, 0, 1, IPPROTO_UDP),
        (RETURN, 0, 0, WHOLE),
        (RETURN, 0, 0, 0),
    ]


class Sampler:
    """The socket; opened while the server prepares itself, read after the last trial."""

    def __init__(self, interface: str, one_in: int) -> None:
        """Raise Unusable where no packet socket can be had."""
        self.one_in = one_in
        try:
            self.sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)  # receives nothing
        except OSError as error:
            raise Unusable(f"cannot sample packets: {error.strerror}") from error
        try:
            # Before it is bound: not one packet may come past the filter.
            attach(self.sock, random_filter(one_in))
            self.sock.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            set_receive_buffer(self.sock, BUFFER_BYTES)
            self.sock.setblocking(False)
            self.sock.bind((interface, ETH_P_ALL))
        except OSError as error:
            self.sock.close()
            raise Unusable(f"cannot sample packets on {interface}: {error.strerror}") from error
        self.inode = os.fstat(self.sock.fileno()).st_ino

    def finish(self, path: Path) -> dict[str, Any]:
        """Read what was drawn, write it to a file, close the socket; return what to record."""
        packets: list[tuple[float, bytes]] = []
        with contextlib.suppress(BlockingIOError):
            while len(packets) < MOST:
                packets.append((0.0, self.sock.recv(65535)))
        numbers = self.sock.getsockopt(SOL_PACKET, PACKET_STATISTICS, STATISTICS.size)
        drawn, dropped = STATISTICS.unpack(numbers)  # the first one counts the dropped ones too
        self.sock.close()
        try:
            write_packets(path, packets)
        except OSError as error:  # a full disk, mostly; what was measured is more than the sample
            complain(f"cannot write the sample: {error.strerror}")
            packets = []
        return {
            "one_in": self.one_in,
            "inode": self.inode,
            "drawn": drawn,
            "dropped": dropped,
            "kept": len(packets),
        }


def attach(sock: socket.socket, program: list[tuple[int, int, int, int]]) -> None:
    """Give a socket its filter: struct sock_fprog with an array of struct sock_filter."""
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    pointer = struct.pack("HP", len(program), ctypes.addressof(buffer))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)
