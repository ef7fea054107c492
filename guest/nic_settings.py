# SPDX-License-Identifier: Apache-2.0
"""How NICs are set: features, ring, coalescing, queues; and which interrupts are theirs."""

import struct
from pathlib import Path
from typing import Any

from nic_driver import ask
from procfs import read_number_or_text

ETHTOOL_GCOALESCE, ETHTOOL_GRINGPARAM, ETHTOOL_GFEATURES = 0x0E, 0x10, 0x3A  # <linux/ethtool.h>
COALESCE_WORDS, RING_WORDS, FEATURE_BLOCKS = 23, 9, 2
QUEUE_FILES = ("gro_flush_timeout", "napi_defer_hard_irqs", "threaded", "queues/rx-0/rps_cpus")
SYS_NET = Path("/sys/class/net")


def settings(interface: str) -> dict[str, Any]:
    """Ring, coalescing, and files of sysfs; None where the driver has no such thing."""
    return {
        "ring": _words(interface, ETHTOOL_GRINGPARAM, RING_WORDS),
        "coalescing": _words(interface, ETHTOOL_GCOALESCE, COALESCE_WORDS),
        **{name: read_number_or_text(f"{SYS_NET}/{interface}/{name}") for name in QUEUE_FILES},
    }


def features(interface: str) -> str | None:
    """The features that are on, a bit each, in hexadecimal; None if it cannot be asked.

    The third word of each block of struct ethtool_gfeatures.
    """
    request = struct.pack("=II", ETHTOOL_GFEATURES, FEATURE_BLOCKS) + bytes(16 * FEATURE_BLOCKS)
    try:
        answer = ask(interface, request)
    except OSError:
        return None
    blocks = struct.iter_unpack("=4I", answer[8:])
    return "".join(f"{active:08x}" for _, _, active, _ in reversed(list(blocks)))


def _words(interface: str, request: int, count: int) -> list[int] | None:
    """A structure of 32-bit words that begins with the request's number."""
    try:
        answer = ask(interface, struct.pack(f"={count}I", request, *[0] * (count - 1)))
    except OSError:
        return None
    return list(struct.unpack(f"={count}I", answer)[1:])


def interrupts(interface: str) -> list[int] | None:
    """The numbers of a NIC's interrupts, rows of /proc/interrupts; None if it has none.

    A virtio NIC's device is below the PCI device that has them. Message-signalled ones are listed
    in msi_irqs; `irq` is the only one of a NIC without.
    """
    device = SYS_NET / interface / "device"
    try:
        places = (device.resolve(strict=True), device.resolve().parent)
    except OSError:
        return None
    for place in places:
        try:
            numbers = sorted(int(file.name) for file in (place / "msi_irqs").iterdir())
        except (OSError, ValueError):
            numbers = []
        number = read_number_or_text(f"{place}/irq")
        if numbers or (isinstance(number, int) and number > 0):
            return numbers or [int(number or 0)]
    return None
