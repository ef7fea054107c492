# SPDX-License-Identifier: Apache-2.0
"""Things that could touch packets, read from the server's state (before.json, after.json).

Plain names and counts out of the raw state; None always means that it was not recorded.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from testbed.analysis.reading.trial_records import ServerTrial
from testbed.model.nic import INTERFACE

XDP_MODES = ("generic", "native", "offload")
"""The words of `verify` and of a manifest for one program on the NIC."""
_ATTACHED: Mapping[object, str] = {1: "native", 2: "generic", 3: "offload", 4: "several"}
"""XDP_ATTACHED_* of <linux/if_link.h>, as `ip -j link` has them."""
SYSTEMDS = ("sd_devices", "sd_fw_ingress", "sd_fw_egress")
"""systemd's programs for the cgroups of services: they come and go with services."""
AT_INGRESS = "fffffff1"
"""Parent of the queueing disciplines `ingress` and `clsact`."""


class Attachment(NamedTuple):
    """`kind` is what a hook may be made of: "xdp program", "nft table", …"""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


State = Mapping[str, Any]


def attachments(state: State) -> frozenset[Attachment] | None:
    """Everything that is attached to the network in either namespace, and the kernel's threads."""
    if not isinstance(state.get("attached"), Mapping):
        return None
    return frozenset((*_programs(state), *_in_namespaces(state), *_threads(state)))


def _programs(state: State) -> Iterator[Attachment]:
    for program in _rows(state.get("programs")):
        kind, name = str(program.get("type")), str(program.get("name"))
        if not (kind.startswith("cgroup_") and name in SYSTEMDS):
            yield Attachment(f"{kind} program", f"{name} ({program.get('tag')})")


def _in_namespaces(state: State) -> Iterator[Attachment]:
    for space, found in state["attached"].items():
        if not isinstance(found, Mapping):
            continue
        where = "" if space == "root" else f" in the {space}"
        for qdisc in found.get("qdiscs") or ():
            if str(qdisc).endswith(f" {AT_INGRESS}"):
                yield Attachment("ingress qdisc", f"{str(qdisc).rpartition(' ')[0]}{where}")
        for table in found.get("nft_tables") or ():
            yield Attachment("nft table", f"{table}{where}")
        for table in found.get("iptables") or ():
            yield Attachment("iptables table", f"{table}{where}")


def _threads(state: State) -> Iterator[Attachment]:
    for name in state.get("kthreads") or ():
        yield Attachment("kernel thread", str(name))


def runs_of_programs(state: State) -> dict[str, int] | None:
    """How often each BPF program has run while BPF statistics were on, by id and name."""
    if not isinstance(state.get("programs"), list):
        return None
    return {
        f"{program.get('name')} ({program.get('id')})": runs
        for program in _rows(state["programs"])
        if isinstance(runs := program.get("run_cnt"), int)
    }


def ring_writes(state: State) -> dict[str, int] | None:
    """Records ever written to each trace ring, by its instance's name."""
    rings = state.get("trace_ring")
    if not isinstance(rings, Mapping):
        return None
    return {str(name): count for name, count in rings.items() if isinstance(count, int)}


def taps(state: State, server: ServerTrial | None) -> dict[str, int | None]:
    """Packet sockets that see every packet, by namespace, without the server's declared one.

    Empty where nobody knows which one that is: the server's own file is missing.
    """
    if server is None:
        return {}
    own = server.drawing.inode if server.drawing else None
    found = state.get("packet_taps")
    if not isinstance(found, Mapping):  # an older run counted them only
        keys = {"packet sockets": "packet_sockets",
                "namespace packet sockets": "namespace_packet_sockets"}  # fmt: skip
        counts = {name: state.get(key) for name, key in keys.items()}
        return {name: n if isinstance(n, int) else None for name, n in counts.items()}
    names = {"root": "packet sockets", "namespace": "namespace packet sockets"}
    return {
        name: sum(inode != own for inode in found[space])
        if isinstance(found.get(space), list)
        else None
        for space, name in names.items()
    }


class Xdp(NamedTuple):
    """A program on a link by the kernel's word; `program` is its id."""

    mode: str
    program: int | None


def xdp_of(state: State) -> dict[str, Xdp] | None:
    """The XDP programs on links of either namespace, by interface."""
    links = state.get("links")
    if not isinstance(links, Mapping) or not isinstance(links.get("root"), list):
        return None
    found = {}
    for space in links.values():
        for link in _rows(space):
            xdp = link.get("xdp")
            if isinstance(xdp, Mapping):
                program = xdp.get("prog")
                number = program.get("id") if isinstance(program, Mapping) else None
                mode = _ATTACHED.get(xdp.get("mode"), f"mode {xdp.get('mode')}")
                found[str(link.get("ifname"))] = Xdp(mode, number)
    return found


def xdp_on_nic(state: State) -> Xdp | None:
    """The program on the server's NIC; None also when there is none."""
    return (xdp_of(state) or {}).get(INTERFACE)


def _rows(value: object) -> list[Mapping[str, Any]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []
