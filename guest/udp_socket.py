# SPDX-License-Identifier: Apache-2.0
"""The UDP socket of client and server: binding with advice, time-outs, drop counters.

Unconnected on both sides: a connected socket would refuse the server's answers, which come from
another address than the one the client sends to.
"""

import contextlib
import errno
import os
import socket
import struct

from command import Unusable
from procfs import read_text

# <asm-generic/socket.h>; Python has no names for these.
SO_RCVBUFFORCE = 33
SO_MEMINFO = 55
#: <linux/sock_diag.h>: the ninth of the 32-bit integers SO_MEMINFO gives.
SK_MEMINFO_DROPS = 8

ADVICE = {
    errno.EADDRINUSE: "another program has this port; is an earlier one still running?",
    errno.EADDRNOTAVAIL: "no interface here has this address (inside a network namespace: "
    "ip netns exec NAMESPACE python3 ...)",
    errno.EACCES: "ports below 1024 are for root",
}


def open_socket(host: str, port: int, rcvbuf_bytes: int | None = None) -> socket.socket:
    """A bound UDP socket, with the receive buffer asked for or as much of it as is allowed."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        if rcvbuf_bytes is not None:
            set_receive_buffer(sock, rcvbuf_bytes)
        sock.bind((host, port))
    except OSError as error:
        sock.close()
        reason = ADVICE.get(error.errno or 0, error.strerror or str(error))
        raise Unusable(f"cannot use {host or '*'}:{port}: {reason}") from error
    return sock


def set_receive_buffer(sock: socket.socket, size_bytes: int) -> None:
    """Ask for a receive buffer of this size; who is not root gets as much as is allowed."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size_bytes)  # may exceed rmem_max
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)


def answer(sock: socket.socket, datagram: bytes, peer: tuple[str, int]) -> None:
    """Send a control message once. If that fails it counts as lost, and is asked for again."""
    with contextlib.suppress(OSError):
        sock.sendto(datagram, peer)


def set_receive_timeout(sock: socket.socket, seconds: float) -> None:
    """Let the kernel time the receive calls: `settimeout` would add a poll() to every datagram."""
    microseconds = max(1, round(seconds * 1e6))  # 0 would mean: no time-out
    timeval = struct.pack("@ll", *divmod(microseconds, 1_000_000))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)


def socket_drops(sock: socket.socket) -> int | None:
    """Datagrams the kernel took off this socket's queue unread: buffer full or bad checksum.

    Asked of the socket itself (SO_MEMINFO, Linux 4.12), else found in /proc/net/udp by inode.
    """
    try:
        values = sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4 * (SK_MEMINFO_DROPS + 1))
        return int(struct.unpack_from("=I", values, 4 * SK_MEMINFO_DROPS)[0])
    except (OSError, struct.error):
        return drops_in_table(read_text("/proc/net/udp"), os.fstat(sock.fileno()).st_ino)


def drops_in_table(table: str | None, inode: int) -> int | None:
    """The last column of the row of /proc/net/udp that belongs to a socket; None if not there."""
    rows = (line.split() for line in (table or "").splitlines()[1:])
    return next((int(row[-1]) for row in rows if row[9] == str(inode)), None)
