# SPDX-License-Identifier: Apache-2.0
"""A NIC's own counters, as `ethtool -S` prints them, without starting a process for it.

The requests are those of <linux/ethtool.h>, through the ioctl SIOCETHTOOL: struct ifreq holds the
interface's name and a pointer to a structure that begins with the request's number.
"""

import ctypes
import fcntl
import socket
import struct

SIOCETHTOOL = 0x8946  # <linux/sockios.h>
ETHTOOL_GDRVINFO, ETHTOOL_GSTRINGS, ETHTOOL_GSTATS = 0x03, 0x1B, 0x1D
ETH_SS_STATS = 1  # which set of strings: the names of the counters
NAME_BYTES = 32  # ETH_GSTRING_LEN
DRIVER_INFO = struct.Struct("=I 32s 32s 32s 32s 32s 12s 5I")  # struct ethtool_drvinfo
COUNT = 8  # its member n_stats
HEAD = struct.Struct("=3I")  # struct ethtool_gstrings; the first two: struct ethtool_stats
STATS_HEAD = struct.Struct("=2I")


def nic_counters(interface: str) -> dict[str, int]:
    """{name: count}; empty for a NIC that counts nothing. Raises OSError for one that is not there.

    Between the two requests a driver may not change its set, so the names fit the counts.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:

        def ask(request: bytes) -> bytes:
            buffer = ctypes.create_string_buffer(request, len(request))
            name = interface.encode()
            if len(name) > 15:  # IFNAMSIZ, with its final zero
                raise OSError(f"{interface}: longer than a name of an interface")
            fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sP", name, ctypes.addressof(buffer)))
            return buffer.raw

        empty = DRIVER_INFO.pack(ETHTOOL_GDRVINFO, *(b"",) * 6, *(0,) * 5)
        count = DRIVER_INFO.unpack(ask(empty))[COUNT]
        if not count:
            return {}
        head = HEAD.pack(ETHTOOL_GSTRINGS, ETH_SS_STATS, count)
        names = ask(head + bytes(count * NAME_BYTES))[HEAD.size :]
        head = STATS_HEAD.pack(ETHTOOL_GSTATS, count)
        values = struct.unpack(f"={count}Q", ask(head + bytes(count * 8))[STATS_HEAD.size :])
    keys = (names[at : at + NAME_BYTES] for at in range(0, count * NAME_BYTES, NAME_BYTES))
    return {
        key.split(b"\0")[0].decode(errors="replace").strip(): value
        for key, value in zip(keys, values, strict=True)
    }
