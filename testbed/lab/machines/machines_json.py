# SPDX-License-Identifier: Apache-2.0
"""machines.json: what this computer and `testbed.toml` make of the Vagrantfile."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.guests.guest import Guest
from testbed.edge.hypervisor.provider import Choice
from testbed.edge.hypervisor.states import ALIVE
from testbed.lab.guests.deploy import setup_arguments
from testbed.lab.machines.accelerator import Accelerator
from testbed.lab.machines.box import Box
from testbed.lab.machines.project import ROLES
from testbed.model.config import Config, MachineConfig

MGMT_MAC = "52:54:00:7b:ed:01"  # the box names this NIC mgmt0
LAB_MACS = {"client": "52:54:00:7b:ed:07", "server": "52:54:00:7b:ed:02"}


def of_this_host(account: Account, chosen: Accelerator) -> dict[str, Any]:
    """Return the accelerator and the storage pool."""
    return {
        "accelerator": chosen.name,
        "accelerator_reason": chosen.reason,
        "driver": chosen.driver,
        "cpu_mode": chosen.cpu_mode,
        "pool": {"name": "testbed", "path": str(account.data_dir / "pool")},
    }


def of_the_box(box: Box, private_key: Path) -> dict[str, Any]:
    """Return the image, and the key that opens it."""
    return {
        "private_key": str(private_key),
        "box": {"name": box.name, "url": f"file://{box.box}"},
    }


def accelerator_of(settings: Mapping[str, Any] | None) -> Accelerator:
    """Return what machines were started with; `?` where that is not known."""
    known = settings or {}
    return Accelerator(known.get("accelerator", "?"), known.get("accelerator_reason", "?"))


def provider_of(settings: Mapping[str, Any]) -> Choice:
    """Return what machines were made by, and why by that."""
    return Choice(settings["provider"], settings.get("provider_reason", "?"))


def guests_of(settings: Mapping[str, Any]) -> dict[str, Guest]:
    """Return both guests, not yet connected."""
    key, machines = Path(settings["private_key"]), settings["machines"]
    return {role: Guest(role, int(machines[role]["ssh_port"]), key) for role in ROLES}


def of_the_pair(config: Config, project: Path, ports: Mapping[str, int]) -> dict[str, Any]:
    """Return what the configuration says of the two machines."""
    network, machines = config.network, config.machines
    common: dict[str, MachineConfig] = {"client": machines.client, "server": machines.server}
    addresses = {"client": network.client_address, "server": network.server_address}
    return {
        "nic_model": machines.nic_model,
        "boot_timeout_s": machines.boot_timeout_s,
        "mgmt_mac": MGMT_MAC,
        "ports": dict(ports),
        "machines": {
            role: {
                "address": addresses[role],
                "setup": setup_arguments(role, network),
                "mac": LAB_MACS[role],
                "cpus": common[role].cpus,
                "memory_mb": common[role].memory_mb,
                "ssh_port": ports[f"{role}_ssh"],
                "local_port": ports[f"{role}_link"],
                "peer_port": ports["server_link" if role == "client" else "client_link"],
                "console": str(project / f"{role}-console.log"),
            }
            for role in ROLES
        },
    }


def free_ports() -> dict[str, int]:
    """Return a free port for each machine's SSH (TCP) and end of the link (UDP)."""
    kinds = {"ssh": socket.SOCK_STREAM, "link": socket.SOCK_DGRAM}
    return {f"{role}_{use}": host.free_port(kind) for role in ROLES for use, kind in kinds.items()}


def taken(settings: Mapping[str, Any], states: Mapping[str, str]) -> frozenset[str]:
    """Return the roles that do not run and whose ports another program has by now."""
    ports = settings["ports"]
    return frozenset(
        role
        for role, state in states.items()
        if state not in ALIVE
        and not (
            host.port_is_free(ports[f"{role}_ssh"])
            and host.port_is_free(ports[f"{role}_link"], socket.SOCK_DGRAM)
        )
    )
