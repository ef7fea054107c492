# SPDX-License-Identifier: Apache-2.0
"""machines.json: what this computer and `testbed.toml` make of the Vagrantfile."""

import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.edge import host
from testbed.edge.account import Account
from testbed.lab.accelerator import Accelerator
from testbed.lab.deploy import setup_arguments
from testbed.model.config import Config, MachineConfig

ROLES = ("client", "server")
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


def same_machines(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether existing machines are what the configuration asks for now."""
    keys = ("driver", "cpu_mode", "nic_model", "box", "machines", "private_key")
    return all(old.get(key) == new[key] for key in keys)


def free_ports() -> dict[str, int]:
    """Return a free port for each machine's SSH (TCP) and end of the link (UDP)."""
    kinds = {"ssh": socket.SOCK_STREAM, "link": socket.SOCK_DGRAM}
    return {f"{role}_{use}": host.free_port(kind) for role in ROLES for use, kind in kinds.items()}


def ports_are_free(wanted: Mapping[str, Any], states: Mapping[str, str]) -> bool:
    """Whether machines that do not run can have the ports they had."""
    return all(
        host.port_is_free(wanted["ports"][f"{role}_ssh"])
        and host.port_is_free(wanted["ports"][f"{role}_link"], socket.SOCK_DGRAM)
        for role, state in states.items()
        if state != "running"
    )
