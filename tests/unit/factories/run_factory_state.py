# SPDX-License-Identifier: Apache-2.0
"""A synthetic server's memory, BPF programs and attachments, as its kernel tells them."""

from typing import Any


def meminfo(unreclaimable_kb: int) -> str:
    rows = {"MemTotal": 980_000, "MemFree": 664_828, "Buffers": 7_420, "Cached": 206_524,
            "AnonPages": 25_412, "Slab": 18_144 + unreclaimable_kb, "SReclaimable": 18_144,
            "SUnreclaim": unreclaimable_kb, "KernelStack": 884, "PageTables": 564,
            "VmallocUsed": 11_572, "Percpu": 368}  # fmt: skip
    kilobytes = "".join(f"{name + ':':<16}{value:>8} kB\n" for name, value in rows.items())
    return f"{kilobytes}HugePages_Total:       0\n"


def programs(mode: str) -> list[dict[str, Any]]:
    """systemd's own, and the XDP program while it is attached."""
    counts = {"run_cnt": 0, "run_time_ns": 0}
    found = [{"id": 3, "type": "cgroup_device", "name": "sd_devices", "tag": "3650d9673c54ce30"}]
    if mode in ("native", "generic"):
        xdp = {"id": 21, "type": "xdp", "name": "redirect_udp", "tag": "2642b02478aa7d42"}
        found.append(xdp)
    return [program | counts for program in found]


def attached(*names: str) -> dict[str, Any]:
    return {
        "qdiscs": [f"{name} fq_codel ffffffff" for name in names],
        "nft_tables": [],
        "iptables": [],
        "features": dict.fromkeys(names, "0000000000014b89"),
    }
