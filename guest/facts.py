# SPDX-License-Identifier: Apache-2.0
"""Facts about a guest, which must not differ between two runs that are compared."""

import gzip
import os
import platform
import time
from pathlib import Path
from typing import Any

from nic_driver import driver_info
from procfs import output_of, read_number_or_text, read_text, uptime_s

CLOCKSOURCE = "/sys/devices/system/clocksource/clocksource0"
CONFIG_OPTIONS = (
    "HZ",
    "NO_HZ_IDLE",
    "NO_HZ_FULL",
    "IRQ_TIME_ACCOUNTING",
    "TICK_CPU_ACCOUNTING",
    "VIRT_CPU_ACCOUNTING_GEN",
    "DEBUG_INFO_BTF",
    "BPF_JIT",
    "BPF_JIT_ALWAYS_ON",
    "LOG_BUF_SHIFT",
    "PREEMPT_DYNAMIC",
)
PACKAGES = (
    "bpftool",
    "clang",
    "ethtool",
    "iproute2",
    "libbpf-dev",
    "libbpf1",
    "linux-image-amd64",
    "linux-image-generic",
    "sysstat",
)


def facts() -> dict[str, Any]:
    """One object; what cannot be found out is null."""
    unavailable: dict[str, str] = {}
    uname = os.uname()
    return {
        "schema": 1,
        "monotonic_ns": time.monotonic_ns(),
        "utc_ns": time.time_ns(),
        "boot_id": read_number_or_text("/proc/sys/kernel/random/boot_id"),
        "uptime_s": uptime_s(),
        "os_release": os_release(read_text("/etc/os-release")),
        "uname": {
            "sysname": uname.sysname,
            "nodename": uname.nodename,
            "release": uname.release,
            "version": uname.version,
            "machine": uname.machine,
        },
        "cpus": {"online": os.cpu_count(), "model": cpu_model(read_text("/proc/cpuinfo"))},
        "memory_bytes": memory_bytes(read_text("/proc/meminfo")),
        "clocksource": {
            "current": read_number_or_text(f"{CLOCKSOURCE}/current_clocksource"),
            "available": (read_text(f"{CLOCKSOURCE}/available_clocksource") or "").split() or None,
        },
        "cmdline": read_number_or_text("/proc/cmdline"),
        "nics": nics(unavailable),
        "kernel_config": kernel_config(config_text(uname.release)),
        "btf": Path("/sys/kernel/btf/vmlinux").exists(),
        "packages": packages(unavailable),
        "python": platform.python_version(),
        "unavailable": unavailable,
    }


def os_release(text: str | None) -> dict[str, str] | None:
    """The fields of /etc/os-release without their quotes."""
    if text is None:
        return None
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip("\"'") for name, _, value in pairs}


def cpu_model(text: str | None) -> str | None:
    """`model name` of the first CPU; some architectures have none."""
    return _field(text, "model name")


def memory_bytes(text: str | None) -> int | None:
    """`MemTotal`, which /proc/meminfo gives in KiB."""
    total = _field(text, "MemTotal")
    return None if total is None else int(total.split()[0]) * 1024


def _field(text: str | None, name: str) -> str | None:
    for line in (text or "").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return None


def nic_names() -> list[str]:
    """The network interfaces but the loopback."""
    try:
        return sorted(link.name for link in Path("/sys/class/net").iterdir() if link.name != "lo")
    except OSError:
        return []


def nics(unavailable: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Address, size, driver and offloads of each interface, in the words of `ethtool -i`, `-k`."""
    said = output_of("ethtool", "-k", "*", unavailable=unavailable)  # all of them, by one process
    features = features_by_nic(said or "")
    return {
        name: {
            "mac": read_number_or_text(f"/sys/class/net/{name}/address"),
            "mtu": read_number_or_text(f"/sys/class/net/{name}/mtu"),
            "driver": driver(name, unavailable),
            "features": features.get(name),
        }
        for name in nic_names()
    }


def driver(name: str, unavailable: dict[str, str]) -> dict[str, str] | None:
    """Its name, version and abilities; None for an interface that has none."""
    try:
        return driver_info(name)
    except OSError as error:
        unavailable[f"driver of {name}"] = error.strerror or str(error)
        return None


def features_by_nic(text: str) -> dict[str, dict[str, str]]:
    """Read the output of `ethtool -k '*'`: a heading and `name: value` lines for each interface."""
    found: dict[str, dict[str, str]] = {}
    of_nic: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, value = line.partition(": ")
        if line.startswith("Features for ") and line.endswith(":"):
            of_nic = found.setdefault(line[len("Features for ") : -1], {})
        elif colon:
            of_nic[name.strip()] = value.strip()
    return found


def config_text(release: str) -> str | None:
    """The running kernel's build configuration, from where distributions keep it."""
    text = read_text(f"/boot/config-{release}")
    if text is None:
        try:
            text = gzip.decompress(Path("/proc/config.gz").read_bytes()).decode()
        except OSError:
            return None
    return text


def kernel_config(text: str | None) -> dict[str, int | str | None] | None:
    """The options that matter here: a number, `y`, `m`, or `n` when it is off (not in the file)."""
    if text is None:
        return None
    pairs = (line.partition("=") for line in text.splitlines() if line.startswith("CONFIG_"))
    values = {name.removeprefix("CONFIG_"): value for name, _, value in pairs}
    chosen = {name: values.get(name, "n") for name in CONFIG_OPTIONS}
    return {name: int(value) if value.isdigit() else value for name, value in chosen.items()}


def packages(unavailable: dict[str, str]) -> dict[str, str | None] | None:
    """Debian versions of what builds, loads and measures; null for one that is not installed."""
    query = "${Package} ${db:Status-Status} ${Version}\\n"
    text = output_of("dpkg-query", "-W", "-f", query, *PACKAGES, unavailable=unavailable)
    if text is None:
        return None
    rows = [line.split() for line in text.splitlines()]
    versions = {row[0]: row[2] for row in rows if row[1:2] == ["installed"]}
    return {name: versions.get(name) for name in PACKAGES}
