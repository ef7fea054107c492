# SPDX-License-Identifier: Apache-2.0
"""Facts about this computer, for the record of a run."""

import os
import platform
from dataclasses import asdict
from pathlib import Path
from typing import Any

from testbed.lab.kernels.own_kernel import package_of
from testbed.lab.machines.machines import Machines


def collect(machines: Machines) -> dict[str, Any]:
    """Return the content of facts/host.json."""
    chosen = machines.accelerator()
    settings = machines.project.settings() or {}
    box = settings.get("box", {}).get("name")
    return {
        "schema": 1,
        "accelerator": chosen.name,
        "accelerator_reason": chosen.reason,
        **machines.domains.versions(),
        "provider": machines.provider.name,
        **machines.provider.facts(),
        **machines.project.boots(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cpu_model": _cpu_model(),
        "cores": os.cpu_count(),
        "memory_mb": _memory_mb(),
        "box": box,
        "kernel_package": _kernel_package(machines, box),
        "nic_model": settings.get("nic_model"),
        "server_cpus": settings.get("machines", {}).get("server", {}).get("cpus"),
        "client_cpus": settings.get("machines", {}).get("client", {}).get("cpus"),
    }


def _kernel_package(machines: Machines, name: str | None) -> dict[str, Any] | None:
    """Return what the machines' kernel is from; None where the box of that name is not there."""
    box = machines.boxes.find()
    if box is None or box.name != name:
        return None
    found = package_of(box.folder, box.kernel)
    return asdict(found) if found else None


def _cpu_model() -> str | None:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return None


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 1024**2
