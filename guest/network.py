# SPDX-License-Identifier: Apache-2.0
"""The network's counters, in this network namespace and in another one."""

import ctypes
import json
import os
from pathlib import Path
from typing import Any, NamedTuple

import nic_driver
from procfs import output_of, read_text

CLONE_NEWNET = 0x40000000  # <linux/sched.h>


class Namespace(NamedTuple):
    """A network namespace: by the name `ip netns` gave it, or by path (/proc/PID/ns/net)."""

    name: str

    def enter(self) -> None:
        """Move this process into it, so that /proc/net and child processes show its network.

        One system call in place of `ip netns exec` and a shell around every file. Raises OSError.
        Only for a process with one thread: /proc/net follows the first one.
        """
        handle = os.open(Path("/run/netns") / self.name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            libc = ctypes.CDLL(None, use_errno=True)  # os.setns came with Python 3.12
            if libc.setns(handle, CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, os.strerror(number))
        finally:
            os.close(handle)


def protocol_counters(table: str) -> str | None:
    """`snmp` or `netstat` of the present namespace, raw."""
    return read_text(f"/proc/net/{table}")


def links(unavailable: dict[str, str]) -> list[dict[str, Any]] | None:
    """Every link with its counters and details (XDP programs among them), as `ip -j` has them."""
    text = output_of("ip", "-j", "-s", "-d", "link", unavailable=unavailable)
    if text is None:
        return None
    try:
        found: list[dict[str, Any]] = json.loads(text)
    except ValueError as error:
        unavailable["ip -j -s -d link"] = f"not JSON: {error}"
        return None
    return found


#: EtherTypes, as /proc/net/packet prints them, of sockets that get to see the experiment's packets:
#: all, and IPv4. systemd-networkd has a socket for LLDP on each link, which does not.
TAPPING = ("0003", "0800")


def packet_taps() -> list[int] | None:
    """Inodes of open packet sockets (tcpdump's kind) that see, and so slow, every packet."""
    text = read_text("/proc/net/packet")
    if text is None:
        return None
    rows = (line.split() for line in text.splitlines()[1:])
    return sorted(int(row[-1]) for row in rows if len(row) > 3 and row[3] in TAPPING)


def ethtool_counters(interface: str, unavailable: dict[str, str]) -> dict[str, int] | None:
    """The driver's own counters of a NIC; None if it has none or is not there."""
    try:
        found = nic_driver.counters(interface)
    except OSError as error:
        unavailable[f"counters of {interface}"] = error.strerror or str(error)
        return None
    return found or None


def gro(interfaces: list[str], unavailable: dict[str, str]) -> dict[str, bool | None]:
    """Whether GRO is switched on, by interface of the present namespace."""
    found: dict[str, bool | None] = {}
    for interface in interfaces:
        try:
            found[interface] = nic_driver.gro(interface)
        except OSError as error:
            unavailable[f"GRO of {interface}"] = error.strerror or str(error)
            found[interface] = None
    return found
