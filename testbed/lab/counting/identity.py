# SPDX-License-Identifier: Apache-2.0
"""The facts that a count depends on: only counts that agree in all of them are compared."""

import re
from dataclasses import asdict
from typing import Any

from testbed.edge.guests.guest import Guest
from testbed.lab.counting import commandline
from testbed.lab.counting.plugin import Plugin
from testbed.lab.kernels.own_kernel import package_of, versions_of
from testbed.lab.machines.box import Box
from testbed.model.errors import GuestError

HIDDEN = {
    "/proc/sys/kernel/kptr_restrict": ("2",),
    "/proc/sys/net/core/bpf_jit_kallsyms": ("0",),
    "/proc/sys/net/core/bpf_jit_harden": ("1", "2"),
}
"""Settings with which the kernel hides addresses or BPF programs from its own list of names."""
VULNERABILITIES = "/sys/devices/system/cpu/vulnerabilities"
BUILDS = re.compile(r"(gcc|clang)-\d+|libbpf-dev|bpftool|libc6")
"""Packages of the box that arms and the receiver are built with; a compiler's has its version in
its name.
"""
FILES = ("/proc/version", "/proc/cmdline", "/proc/sys/kernel/random/boot_id", *HIDDEN)


def identity(guest: Guest, plugin: Plugin, nic_model: str, box: str) -> dict[str, Any]:
    """Return the identity of the counts of a machine. Raises GuestError when names are hidden."""
    line = f"grep -s '' {' '.join(FILES)} {VULNERABILITIES}/*; grep -m1 ^flags /proc/cpuinfo"
    said = guest.shell(line, ["identity"], check=False, timeout_s=30).stdout
    texts: dict[str, str] = {}
    flags: list[str] = []
    for row in said.splitlines():
        name, _, text = row.partition(":")
        if name.startswith("/"):
            texts.setdefault(name, text)
        elif name.startswith("flags"):
            flags = sorted(text.split())
    _demand_names(texts)
    known = {
        name.rpartition("/")[2]: text
        for name, text in sorted(texts.items())
        if name.startswith(VULNERABILITIES) and text != "Not affected"
    }
    return {
        "qemu": plugin.qemu,
        "interface": plugin.interface,
        "cpu": commandline.CPU,
        "cpu_flags": flags,
        "kernel": texts.get("/proc/version"),
        "command_line": texts.get("/proc/cmdline"),
        "boot_id": texts.get("/proc/sys/kernel/random/boot_id"),
        "mitigations": known,
        "nic": nic_model,
        "box": box,
    }


def of_box(box: Box) -> dict[str, Any]:
    """Return the package that a box's kernel is from, and what builds its arms, {name: version}."""
    kernel, versions = package_of(box.folder, box.kernel), versions_of(box.folder)
    tools = {name: version for name, version in versions.items() if BUILDS.fullmatch(name)}
    return {"kernel_package": asdict(kernel) if kernel else None, "built_with": tools or None}


def _demand_names(texts: dict[str, str]) -> None:
    for path, values in HIDDEN.items():
        if texts.get(path) in values:
            raise GuestError(
                f"the counting machine hides names of its kernel: {path} is {texts[path]}",
                hint="an arm or the box sets that: without names nothing can be attributed",
            )
