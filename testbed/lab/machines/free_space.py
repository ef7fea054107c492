# SPDX-License-Identifier: Apache-2.0
"""Whether this computer has the memory and the disk for what is about to be done."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.edge.computer.account import Account
from testbed.model.config import MachinesConfig
from testbed.model.errors import HostError

QEMU_MB = 300
"""What two QEMU processes need beside their guests' memory."""


def demand_memory(machines: MachinesConfig) -> None:
    """Raise HostError when two new machines would not fit into memory."""
    needed_mb = machines_mb(machines)
    available_mb = available_memory_mb()
    if available_mb < needed_mb:
        raise HostError(
            f"too little memory: the two machines need {needed_mb} MB, "
            f"{available_mb} MB are available",
            hint="close programs, or lower [machines.server] memory_mb in testbed.toml",
        )


def machines_mb(machines: MachinesConfig) -> int:
    """Return the memory that the two machines take of this computer's."""
    return machines.server.memory_mb + machines.client.memory_mb + QEMU_MB


def demand_disk(account: Account, settings: Mapping[str, Any], roles: Sequence[str]) -> None:
    """Raise HostError when the memory of running machines may not fit on the disk."""
    machines = settings.get("machines", {})
    needed = sum(int(machines.get(role, {}).get("memory_mb", 0)) for role in roles) << 20
    free = account.free_bytes()
    if free < needed:
        raise HostError(
            f"too little disk: saving the machines may take {needed / 1e9:.1f} GB, "
            f"{free / 1e9:.1f} GB are free",
            hint="free some room, or `testbed down --halt`, which saves nothing",
        )


def available_memory_mb() -> int:
    """Return the memory that new programs can have, as the kernel estimates it."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 1 << 30
