# SPDX-License-Identifier: Apache-2.0
"""A NIC's driver and counters, as `ethtool -i` and `-S` print them, without a process for it.

The requests are those of <linux/ethtool.h>, through the ioctl SIOCETHTOOL: struct ifreq holds the
interface's name and a pointer to a structure that begins with the request's number.
"""

import ctypes
import fcntl
import socket
import struct

SIOCETHTOOL = 0x8946  # <linux/sockios.h>
ETHTOOL_GDRVINFO, ETHTOOL_GSTRINGS, ETHTOOL_GSTATS = 0x03, 0x1B, 0x1D
ETHTOOL_GGRO = 0x2B
VALUE = struct.Struct("=2I")  # struct ethtool_value
ETH_SS_STATS = 1  # which set of strings: the names of the counters
NAME_BYTES = 32  # ETH_GSTRING_LEN
DRIVER_INFO = struct.Struct("=I 32s 32s 32s 32s 32s 12s 5I")  # struct ethtool_drvinfo
STRINGS_HEAD = struct.Struct("=3I")  # struct ethtool_gstrings
STATS_HEAD = struct.Struct("=2I")  # struct ethtool_stats


def driver_info(interface: str) -> dict[str, str]:
    """{name: value} in ethtool's words. Raises OSError for a NIC that is not there, or has none."""
    texts, numbers = _driver_info(interface)
    names = ("driver", "version", "firmware-version", "bus-info", "expansion-rom-version")
    may = {
        "supports-statistics": numbers[1], "supports-test": numbers[2],
        "supports-eeprom-access": numbers[3], "supports-register-dump": numbers[4],
        "supports-priv-flags": numbers[0],
    }  # fmt: skip
    can = {name: "yes" if count else "no" for name, count in may.items()}
    return {**dict(zip(names, texts, strict=False)), **can}


def counters(interface: str) -> dict[str, int]:
    """{name: count}; empty for a NIC that counts nothing. Raises OSError for one that is not there.

    Between the two requests a driver may not change its set, so the names fit the counts.
    """
    count = _driver_info(interface)[1][1]
    if not count:
        return {}
    asked = STRINGS_HEAD.pack(ETHTOOL_GSTRINGS, ETH_SS_STATS, count) + bytes(count * NAME_BYTES)
    names = ask(interface, asked)[STRINGS_HEAD.size :]
    asked = STATS_HEAD.pack(ETHTOOL_GSTATS, count) + bytes(count * 8)
    values = struct.unpack(f"={count}Q", ask(interface, asked)[STATS_HEAD.size :])
    keys = (names[at : at + NAME_BYTES] for at in range(0, count * NAME_BYTES, NAME_BYTES))
    return {_text(key).strip(): value for key, value in zip(keys, values, strict=True)}


def gro(interface: str) -> bool:
    """Whether GRO is switched on; a generic XDP program leaves it out all the same.

    Raises OSError for a NIC that is not there.
    """
    answer = ask(interface, VALUE.pack(ETHTOOL_GGRO, 0))
    return bool(VALUE.unpack(answer)[1])


def _driver_info(interface: str) -> tuple[list[str], tuple[int, ...]]:
    """The texts, then n_priv_flags, n_stats, testinfo_len, eedump_len and regdump_len."""
    asked = DRIVER_INFO.pack(ETHTOOL_GDRVINFO, *(b"",) * 6, *(0,) * 5)
    _, *texts, _, flags, stats, tests, eeprom, registers = DRIVER_INFO.unpack(ask(interface, asked))
    return [_text(text) for text in texts], (flags, stats, tests, eeprom, registers)


def ask(interface: str, request: bytes) -> bytes:
    """The request's structure as the driver filled it in. Raises OSError."""
    name = interface.encode()
    if len(name) > 15:  # IFNAMSIZ, with its final zero
        raise OSError(f"{interface}: longer than a name of an interface")
    buffer = ctypes.create_string_buffer(request, len(request))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCETHTOOL, struct.pack("16sP", name, ctypes.addressof(buffer)))
    return buffer.raw


def _text(field: bytes) -> str:
    return field.split(b"\0")[0].decode(errors="replace")
