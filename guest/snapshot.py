#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Print what this machine's kernel has counted, what it is, or what it has logged, as JSON.

    snapshot.py --namespace sslab-ns --interface lab0     counters and states, one object
    snapshot.py --facts                                   what the machine is, one object
    snapshot.py --kernel-log --after 1234                 log records after number 1234, a line each

Nothing is changed and nothing logged by looking. Kernel texts are kept raw. A value that cannot be
read is null, never 0, and `unavailable` says why. Run as root in a guest.
"""

import argparse
import json
import sys
import time
from typing import Any

from kernel_log import last_sequence, records_after
from network import Namespace, ethtool_counters, gro, links, packet_taps, protocol_counters
from nic_settings import interrupts, settings
from procfs import cpu_counters, read_number_or_text, read_text, uptime_s
from watching import TRACEFS, attached, watching

SYSCTLS = (
    "kernel/bpf_stats_enabled",
    "kernel/nmi_watchdog",
    "kernel/printk",
    "kernel/sched_rt_runtime_us",
    "kernel/timer_migration",
    "net/core/bpf_jit_enable",
    "net/core/bpf_jit_harden",
    "net/core/busy_poll",
    "net/core/busy_read",
    "net/core/default_qdisc",
    "net/core/dev_weight",
    "net/core/gro_normal_batch",
    "net/core/netdev_budget",
    "net/core/netdev_budget_usecs",
    "net/core/netdev_max_backlog",
    "net/core/netdev_tstamp_prequeue",
    "net/core/rps_sock_flow_entries",
    "net/core/skb_defer_max",
    "net/ipv4/conf/all/log_martians",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/lab0/rp_filter",
    "net/ipv4/ip_early_demux",
    "net/ipv4/ip_forward",
    "net/ipv4/udp_early_demux",
)


def snapshot(namespace: str | None, interfaces: list[str]) -> dict[str, Any]:
    """Counters and states now: the CPUs' first, then the network's, then what changes slowly."""
    unavailable: dict[str, str] = {}
    counters = cpu_counters()
    loaded = modules()
    started_ns = counters.pop("monotonic_ns")[0]
    record: dict[str, Any] = {
        "schema": 1,
        "monotonic_ns": started_ns,
        **counters,
        "softnet_stat": read_text("/proc/net/softnet_stat"),
        "snmp": {"root": protocol_counters("snmp"), "namespace": None},
        "netstat": {"root": protocol_counters("netstat"), "namespace": None},
        "ethtool": {name: ethtool_counters(name, unavailable) for name in interfaces},
        "links": {"root": links(unavailable), "namespace": None},
        "gro": gro(interfaces, unavailable),
        "kmsg_sequence": last_sequence(unavailable),
        "uptime_s": uptime_s(),
        "sysctls": {name: read_number_or_text(f"/proc/sys/{name}") for name in SYSCTLS},
        "modules": loaded,
        "tracer": read_number_or_text(f"{TRACEFS}/current_tracer"),
        "trace_events": read_number_or_text(f"{TRACEFS}/events/enable"),
        "packet_taps": {"root": packet_taps(), "namespace": None},
        "settings": {name: settings(name) for name in interfaces},
        "nic_interrupts": {name: interrupts(name) for name in interfaces},
        "meminfo": read_text("/proc/meminfo"),
        **watching(unavailable),
        "attached": {"root": attached(loaded, unavailable), "namespace": None},
        "unavailable": unavailable,
    }
    if namespace is not None:  # last, because there is no way back from it
        try:
            Namespace(namespace).enter()
        except OSError as error:
            unavailable["namespace"] = f"{namespace}: {error.strerror or error}"
        else:
            record["snmp"]["namespace"] = protocol_counters("snmp")
            record["netstat"]["namespace"] = protocol_counters("netstat")
            record["links"]["namespace"] = links(unavailable)
            record["packet_taps"]["namespace"] = packet_taps()
            record["attached"]["namespace"] = attached(loaded, unavailable)
    record["took_ms"] = (time.monotonic_ns() - started_ns) / 1e6
    return record


def modules() -> list[str] | None:
    """Names of the loaded kernel modules, sorted."""
    text = read_text("/proc/modules")
    return None if text is None else sorted(line.split()[0] for line in text.splitlines())


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--facts", action="store_true", help="what this machine is")
    what.add_argument("--kernel-log", action="store_true", help="the kernel's log, as JSON lines")
    parser.add_argument("--after", type=int, default=-1, metavar="SEQ", help="log records after it")
    parser.add_argument("--namespace", metavar="NAME", help="read the network counters there too")
    parser.add_argument(
        "--interface", action="append", default=[], metavar="NAME", help="its NIC counters; repeat"
    )
    options = parser.parse_args(arguments)
    if options.kernel_log:
        try:
            for record in records_after(options.after):
                print(json.dumps(record, ensure_ascii=False))
        except OSError as error:
            print(f"snapshot.py: cannot read the kernel log: {error}", file=sys.stderr)
            return 1
        return 0
    if options.facts:
        from facts import facts  # not for every snapshot: importing takes time in a guest

        record = facts()
    else:
        record = snapshot(options.namespace, options.interface)
    print(json.dumps(record, separators=(",", ":"), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
