# SPDX-License-Identifier: Apache-2.0
"""Proof that nothing of removed machines is left: looked for, not assumed."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.libvirt import Domains
from testbed.lab.machines import processes
from testbed.model.errors import HostError, MachineError

COUNTING = "testbed-count-"
"""How the name of a counting machine's QEMU begins; the id of its command follows."""


def remains(
    account: Account, domains: Domains, folder: Path, settings: Mapping[str, Any] | None
) -> list[str]:
    """Return what is still there of machines that were removed, a line each; none is the proof.

    Looked for: domains, disks, saved states, QEMU processes, listening ports, and `folder`, where
    their settings were.
    """
    prefix = domains.prefix
    left = [f"domain {prefix}{role} ({state})" for role, state in domains.states().items()]
    left += [f"disk {name}" for name in domains.volumes()]
    left += [f"saved state {path}" for path in saved_states(account, prefix)]
    left += [f"process {pid}: {name}" for pid, name in machine_processes(prefix).items()]
    ports = dict((settings or {}).get("ports", {}))
    left += [
        f"port {port} of 127.0.0.1 ({name.removesuffix('_ssh')}'s SSH)"
        for name, port in ports.items()
        if name.endswith("_ssh") and not host.port_is_free(int(port))
    ]
    if folder.exists():
        left.append(f"folder {folder}")
    return left


def saved_states(account: Account, prefix: str) -> list[Path]:
    """Return the files that libvirt's session daemon keeps states of such machines in."""
    return sorted(account.session.saves.glob(f"{prefix}*.save"))


def machine_processes(prefix: str) -> dict[int, str]:
    """Return {process id: domain name} of the QEMU processes of such machines."""
    every = processes.machines()
    return {one.pid: one.guest for one in every if one.guest.startswith(prefix)}


def remove_counting(account: Account) -> list[str]:
    """Delete the counting machines of every checkout of this account; return their folders.

    Their disks rest on the box's own file. Raises MachineError while one of them counts, HostError
    when one cannot be deleted.
    """
    for process in processes.machines():
        if process.uid == account.uid and process.guest.startswith(COUNTING):
            raise MachineError(
                f"a counting machine still uses the box: {process.guest} (process {process.pid})",
                hint="wait for its `testbed count`; `testbed doctor --orphans` tells whether it "
                "has ended",
            )
    folders = sorted(account.projects_dir.glob("*/count"))
    for folder in folders:
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise HostError(f"{folder} cannot be removed: {error.strerror}") from error
    return [str(folder) for folder in folders]
