# SPDX-License-Identifier: Apache-2.0
"""A trial's documents without what the analysis does not read.

Lines and members are left out, nothing is changed; only a machine's threads that are no virtual
CPU are put together, since the analysis knows nothing but their sum.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from testbed.analysis.findings.memory import NO_PAGES_OF_KERNEL, OBJECT_ROWS

SNAP = ("monotonic_ns", "stat_monotonic_ns", "utc_ns")
SNMP, NETSTAT = ("Ip:", "Udp:"), ("IpExt:",)
DEV_WORDS = ("|", "lab0:", "sslab-")
IRQ_WORDS = ("CPU", "lab0", "-input.", "-output.")
"""Words of the rows of /proc/interrupts that are kept: the heading, and the link's NIC.

A row that is left out never counted a packet: virtio's `config`."""
SOFTIRQ_WORDS = ("CPU", "NET_RX:")
DEVICE_WORDS = ("miss", "drop", "no_buffer", "packets")
STATE = (
    "sysctls", "modules", "tracer", "trace_events", "packet_sockets", "namespace_packet_sockets",
    "gro", "packet_taps", "settings", "nic_interrupts", "trace_ring", "programs", "kprobes",
    "traced_functions", "kthreads", "attached",
)  # fmt: skip
MEMINFO = tuple(f"{row}:" for row in (*OBJECT_ROWS, *NO_PAGES_OF_KERNEL, "MemTotal"))
LINK = ("ifname", "flags", "mtu", "qdisc", "xdp", "parentdev")


def thinned(name: str, document: dict[str, Any]) -> dict[str, Any]:
    """The document of a trial's file `name` (without its ending)."""
    if name in ("before", "after"):
        return _network(document)
    if name == "client":
        return document | {"trials": [_client(trial) for trial in document["trials"]]}
    if name == "server":
        window = document.get("idle_window") or {}
        return document | {
            "trials": [_server(trial) for trial in document["trials"]],
            "idle_window": {edge: _snap(snap) for edge, snap in window.items()} or None,
        }
    if name == "trial" and document.get("meminfo"):
        texts = document["meminfo"].items()
        return document | {"meminfo": {moment: _lines(text, MEMINFO) for moment, text in texts}}
    if name == "host":
        readings = {moment: _reading(read) for moment, read in document["readings"].items()}
        return document | {"readings": readings}
    return document


def _network(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: document[key] for key in ("schema", "monotonic_ns", "utc_ns", "kmsg_sequence")}
    devices = (document.get("ethtool") or {}).items()
    links = (document.get("links") or {}).items()
    return {
        **kept,
        "snmp": {space: _lines(text, SNMP[1:]) for space, text in document["snmp"].items()},
        "netstat": {},
        "ethtool": {name: counters and _device(counters) for name, counters in devices},
        "links": {space: found and [_link(link) for link in found] for space, found in links},
        **{key: document[key] for key in STATE if key in document},
        **({"meminfo": _lines(document["meminfo"], MEMINFO)} if "meminfo" in document else {}),
    }


def _device(counters: Mapping[str, int]) -> dict[str, int]:
    return {
        name: count
        for name, count in counters.items()
        if any(word in name for word in DEVICE_WORDS)
    }


def _link(link: Mapping[str, Any]) -> dict[str, Any]:
    return {key: link[key] for key in LINK if key in link}


def _client(trial: dict[str, Any]) -> dict[str, Any]:
    counters = trial.get("counters") or {}
    kept = {
        edge: {"dev": _rows(texts["dev"], DEV_WORDS), "snmp": _lines(texts["snmp"], SNMP)}
        for edge, texts in counters.items()
    }
    return trial | ({"counters": kept} if kept else {})


def _server(trial: dict[str, Any]) -> dict[str, Any]:
    edges = {edge: trial[edge] and _snap(trial[edge], more=True) for edge in ("before", "after")}
    network = trial.get("network") or {}
    return trial | edges | {"network": {edge: _stacks(at) for edge, at in network.items()}}


def _stacks(stacks: Mapping[str, Any]) -> dict[str, Any]:
    spaces = ("root", "namespace")
    return {"softnet_stat": stacks["softnet_stat"], **{space: _stack(stacks[space])
                                                       for space in spaces}}  # fmt: skip


def _stack(texts: Mapping[str, str | None]) -> dict[str, str | None]:
    return {
        "snmp": _lines(texts["snmp"], SNMP),
        "netstat": _lines(texts["netstat"], NETSTAT),
        "dev": _rows(texts["dev"], DEV_WORDS),
    }


def _snap(snap: Mapping[str, Any], *, more: bool = False) -> dict[str, Any]:
    kept = {key: snap[key] for key in SNAP if key in snap}
    kept["stat"] = _lines(snap["stat"], ("cpu",))
    if more:
        kept["softirqs"] = _rows(snap.get("softirqs"), SOFTIRQ_WORDS)
        kept["interrupts"] = _rows(snap.get("interrupts"), IRQ_WORDS)
    return kept


def _reading(reading: dict[str, Any]) -> dict[str, Any]:
    threads = {role: found and _threads(found) for role, found in reading["threads"].items()}
    return reading | {"threads": threads}


def _threads(threads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    cpus = [thread for thread in threads if thread["name"].startswith("CPU ")]
    others = [thread for thread in threads if thread not in cpus]
    sums = {key: sum(thread[key] for thread in others) for key in ("run_ns", "wait_ns")}
    return [*cpus, {"name": "all others", **sums}]


def _lines(text: str | None, starts: tuple[str, ...]) -> str | None:
    return None if text is None else "".join(x for x in _split(text) if x.startswith(starts))


def _rows(text: str | None, words: Iterable[str]) -> str | None:
    if text is None:
        return None
    return "".join(line for line in _split(text) if any(word in line for word in words))


def _split(text: str) -> list[str]:
    return text.splitlines(keepends=True)
