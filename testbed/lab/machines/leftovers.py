# SPDX-License-Identifier: Apache-2.0
"""Proof that nothing of removed machines is left: looked for, not assumed."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.libvirt import Domains

PROC = Path("/proc")


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
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                words = (folder / "cmdline").read_text(errors="replace").split("\0")
            except OSError:
                continue  # it has ended
            for word in words:
                if word.startswith(f"guest={prefix}"):
                    found[int(folder.name)] = word.partition(",")[0].removeprefix("guest=")
    return found
