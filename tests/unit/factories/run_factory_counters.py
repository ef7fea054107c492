# SPDX-License-Identifier: Apache-2.0
"""The kernel's counter texts of a synthetic trial: what moved is written the way Linux prints it.

The counters of all hops follow from one `Passage`, so that they agree with one another.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.unit.factories.run_factory_sample import INODE
from tests.unit.factories.run_factory_state import attached, meminfo, programs

COLUMNS = {
    "Ip": "Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams "
    "InUnknownProtos InDiscards InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout "
    "ReasmReqds ReasmOKs ReasmFails FragOKs FragFails FragCreates",
    "Tcp": "InSegs OutSegs RetransSegs InErrs OutRsts InCsumErrors",
    "Udp": "InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors "
    "IgnoredMulti MemErrors",
    "TcpExt": "SyncookiesSent TCPBacklogDrop PFMemallocDrop IPReversePathFilter",
    "IpExt": "InNoRoutes InTruncatedPkts InMcastPkts OutMcastPkts InBcastPkts OutBcastPkts "
    "InOctets OutOctets InMcastOctets OutMcastOctets InBcastOctets OutBcastOctets InCsumErrors "
    "InNoECTPkts InECT1Pkts InECT0Pkts InCEPkts ReasmOverlaps",
}
MOVING = {"IpInReceives", "IpForwDatagrams", "IpInDelivers", "IpOutRequests", "TcpInSegs",
          "UdpInDatagrams", "UdpOutDatagrams", "IpExtInOctets", "IpExtInNoECTPkts"}  # fmt: skip
FIXED = {"IpForwarding": 1, "IpDefaultTTL": 64}
DEV_HEAD = (
    "Inter-|   Receive                                                |  Transmit\n"
    " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop "
    "fifo colls carrier compressed\n"
)
MODULES = ["e1000", "ip_tables", "veth", "virtio", "virtio_net", "x_tables"]
SYSCTLS = {
    "kernel/bpf_stats_enabled": 0,
    "kernel/printk": "4 4 1 7",
    "net/core/bpf_jit_enable": 1,
    "net/core/netdev_budget": 300,
    "net/core/netdev_max_backlog": 16384,
    "net/ipv4/conf/all/rp_filter": 0,
    "net/ipv4/ip_forward": 1,
}
PAYLOAD_BYTES, CONTROL_BYTES = 1000, 24
IP_BYTES, FRAME_BYTES = 28, 42
"""Headers of a UDP packet: IP and UDP, and with Ethernet's."""
PACKETS_PER_INTERRUPT = 3.4


@dataclass(frozen=True, kw_only=True)
class Passage:
    """How far a trial's data packets came, hop by hop, and what went with them.

    `toward` and `back` are control datagrams: one END towards the server and one START_ACK back
    between the edges of the traffic, all of them between the snapshots around a trial.
    """

    at_link: int = 0
    inside: int = 0
    unique: int = 0
    csum_errors: int = 0
    rcvbuf_errors: int = 0
    toward: int = 0
    back: int = 0

    @property
    def received(self) -> int:
        return self.at_link + self.toward


class Line(NamedTuple):
    """An interface in /proc/net/dev: packets of data, and control datagrams, in and out."""

    data_in: int = 0
    control_in: int = 0
    data_out: int = 0
    control_out: int = 0
    dropped_out: int = 0

    @property
    def columns(self) -> str:
        received = [self.data_in + self.control_in, *[0] * 6]
        sent = [self.data_out + self.control_out, 0, self.dropped_out, *[0] * 4]
        octets_in = octets(self.data_in, self.control_in, FRAME_BYTES)
        octets_out = octets(self.data_out, self.control_out, FRAME_BYTES)
        return " ".join(map(str, [octets_in, *received, octets_out, *sent]))


def octets(data: int, control: int, headers: int) -> int:
    return data * (PAYLOAD_BYTES + headers) + control * (CONTROL_BYTES + headers)


def protocols(moved: Mapping[str, int], *prefixes: str) -> str:
    """snmp or netstat: for each prefix a line of names and one of values."""
    text = ""
    for prefix in prefixes:
        names = COLUMNS[prefix].split()
        values = (
            FIXED.get(prefix + name, 1000 * (prefix + name in MOVING)) + moved.get(prefix + name, 0)
            for name in names
        )
        text += f"{prefix}: {' '.join(names)}\n{prefix}: {' '.join(map(str, values))}\n"
    return text


def net_dev(**lines: Line) -> str:
    """/proc/net/dev by interface ("_" for "-")."""
    rows = (f"{name.replace('_', '-'):>6}: {line.columns}\n" for name, line in lines.items())
    return DEV_HEAD + "".join(rows)


def root_stack(p: Passage) -> dict[str, str]:
    control = p.toward + p.back
    moved = {
        "IpInReceives": p.at_link + control,
        "IpForwDatagrams": p.at_link + control,
        "IpOutRequests": p.at_link + control,
        "IpExtInOctets": octets(p.at_link, control, IP_BYTES),
        "IpExtInNoECTPkts": p.at_link + control,
    }
    dev = net_dev(
        lo=Line(),
        mgmt0=Line(control_in=1758, control_out=1445),
        lab0=Line(840 + p.at_link, p.toward, control_out=20 + p.back),
        sslab_host=Line(0, 32 + p.back, 840 + p.inside, p.toward, p.at_link - p.inside),
    )
    return _texts(moved, dev)


def namespace_stack(p: Passage) -> dict[str, str]:
    into = p.inside + p.toward
    moved = {
        "IpInReceives": into,
        "IpInDelivers": into,
        "IpOutRequests": p.back,
        "UdpInDatagrams": p.unique + p.toward,
        "UdpOutDatagrams": p.back,
        "UdpInErrors": p.csum_errors + p.rcvbuf_errors,
        "UdpRcvbufErrors": p.rcvbuf_errors,
        "UdpInCsumErrors": p.csum_errors,
        "IpExtInOctets": octets(p.inside, p.toward, IP_BYTES),
        "IpExtInNoECTPkts": into,
    }
    sslab_app = Line(840 + p.inside, p.toward, control_out=33 + p.back)
    return _texts(moved, net_dev(lo=Line(), sslab_app=sslab_app))


def _texts(moved: Mapping[str, int], dev: str) -> dict[str, str]:
    return {
        "snmp": protocols(moved, "Ip", "Tcp", "Udp"),
        "netstat": protocols(moved, "TcpExt", "IpExt"),
        "dev": dev,
    }


def softnet_stat(cpu_count: int, p: Passage) -> str:
    rows = [f"{1000 + p.received:08x} {0:08x} {12:08x}" + f" {0:08x}" * 10]
    rows += [f"{100:08x}" + f" {0:08x}" * 12] * (cpu_count - 1)
    return "".join(row + "\n" for row in rows)


def network_at(cpu_count: int, p: Passage) -> dict[str, Any]:
    """What server.json has of the stack at one edge of the traffic."""
    return {
        "root": root_stack(p),
        "namespace": namespace_stack(p),
        "softnet_stat": softnet_stat(cpu_count, p),
    }


def client_counters(monotonic_ns: int, data: int, control: int, answers: int) -> dict[str, Any]:
    moved = {
        "IpInReceives": answers,
        "IpInDelivers": answers,
        "IpOutRequests": data + control,
        "UdpInDatagrams": answers,
        "UdpOutDatagrams": data + control,
    }
    ticks = monotonic_ns // 10_000_000
    return {
        "monotonic_ns": [monotonic_ns - 20_000_000, monotonic_ns],
        "stat": f"cpu  {ticks // 2} 0 100 {ticks // 2} 0 0 9 0 0 0\n"
        f"cpu0 {ticks // 2} 0 100 {ticks // 2} 0 0 9 0 0 0\n",
        "dev": net_dev(
            lo=Line(),
            mgmt0=Line(control_in=99, control_out=88),
            lab0=Line(control_in=20 + answers, data_out=840 + data, control_out=control),
        ),
        "snmp": protocols(moved, "Ip", "Tcp", "Udp"),
    }


def snapshot(
    monotonic_ns: int, utc_ns: int, cpu_count: int, p: Passage, more: Mapping[str, Any]
) -> dict[str, Any]:
    """before.json or after.json; `more`: `mode`, `modules`, `kmsg_sequence`."""
    root, inside = root_stack(p), namespace_stack(p)
    lab0 = {"rx_packets": 840 + p.received, "tx_packets": 20 + p.back, "rx_errors": 0,
            "tx_errors": 0, "rx_no_buffer_count": 0, "rx_missed_errors": 0, "rx_crc_errors": 0,
            "tx_dropped": 0, "alloc_rx_buff_failed": 0}  # fmt: skip
    return {
        "schema": 1,
        "monotonic_ns": monotonic_ns,
        "stat_monotonic_ns": [monotonic_ns, monotonic_ns + 1_500_000],
        "utc_ns": utc_ns,
        "stat": "cpu 1 0 1 100 0 0 0 0 0 0\ncpu0 1 0 1 100 0 0 0 0 0 0\n",
        "softnet_stat": softnet_stat(cpu_count, p),
        "snmp": {"root": root["snmp"], "namespace": inside["snmp"]},
        "netstat": {"root": root["netstat"], "namespace": inside["netstat"]},
        "ethtool": {"lab0": lab0, "sslab-host": {"peer_ifindex": 2, "rx_queue_0_drops": 0}},
        "links": links(str(more["mode"]), p),
        "kmsg_sequence": more["kmsg_sequence"],
        "uptime_s": round(monotonic_ns / 1e9, 2),
        "sysctls": SYSCTLS,
        "modules": sorted({*MODULES, *more["modules"]}),
        "tracer": "nop",
        "trace_events": 0,
        "packet_taps": {"root": [], "namespace": [INODE]},
        "nic_interrupts": {"lab0": [11], "sslab-host": None},
        "settings": {"lab0": {"ring": [4096, 0, 0, 4096, 4096, 0, 0, 256], "coalescing": None}},
        "meminfo": meminfo(13_200),
        "trace_ring": {"": 0},
        "programs": programs(str(more["mode"])),
        "kprobes": [],
        "traced_functions": [],
        "kthreads": ["kauditd", "kcompactd0", "ksoftirqd/0", "kthreadd"],
        "attached": {"root": attached("lab0", "sslab-host"), "namespace": attached("sslab-app")},
        "unavailable": {},
        "took_ms": 240.0,
    }


def links(mode: str, p: Passage) -> dict[str, Any]:
    """`ip -j -s -d link` of both namespaces; an XDP program is on lab0 in those two modes."""
    number = {"native": 1, "generic": 2}.get(mode)
    xdp = {"xdp": {"mode": number, "prog": {"id": 21, "name": "redirect_udp"}}} if number else {}
    return {
        "root": [
            _link("lo", "noqueue", 32),
            _link("mgmt0", "fq_codel", 1758),
            _link("lab0", "fq_codel", 840 + p.received) | xdp,
            _link("sslab-host", "noqueue", 32 + p.back),
        ],
        "namespace": [_link("lo", "noqueue", 0), _link("sslab-app", "noqueue", 840 + p.received)],
    }


def _link(name: str, qdisc: str, received: int) -> dict[str, Any]:
    return {
        "ifindex": 1,
        "ifname": name,
        "flags": ["UP", "LOWER_UP"],
        "mtu": 1500,
        "qdisc": qdisc,
        "operstate": "UP",
        "stats64": {"rx": {"packets": received, "errors": 0, "dropped": 0}},
    }
