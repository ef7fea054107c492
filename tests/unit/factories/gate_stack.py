# SPDX-License-Identifier: Apache-2.0
"""A network stack's treatment of a frame, with an arm in it, and a gate of such a server.

`gate` leaves a run directory as the gate on real machines does; `outcome` judges without one.
"""

import gzip
import json
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from testbed.analysis.gate.files import Record, load, outcome_of
from testbed.analysis.gate.outcomes import GateOutcome
from testbed.lab.gate.frames import FrameSet
from testbed.packets import capture, reference
from testbed.packets.case import MUST_COME_OUT, Case
from testbed.packets.cases import CAPTURED
from testbed.packets.reference import (
    header_bytes,
    identification,
    reassembled,
)
from tests.unit.factories.gate_arms import (
    NETWORK,
    SEED,
    SERVER,
    TARGET,
    Arm,
    correct,
    number,
    sent,
)

# The same packets come again and again.
ip_checksum_valid, routed = cache(reference.ip_checksum_valid), cache(reference.routed)
IPV4, VLAN = b"\x08\x00", b"\x81\x00"
PROVIDER = b"\x88\xa8"


@dataclass
class Stack:
    """The server's treatment of a frame, with an arm at one of two places.

    `place` is "xdp", which sees what the NIC hands over, or "netfilter", which sees what
    `ip_rcv_core()` lets through. `strips`: the NIC takes a VLAN tag off before XDP, as e1000 does.
    """

    arm: Arm
    checks: bool = True  # a hook behind ip_rcv() can forward what it has damaged
    place: str = "xdp"
    strips: bool = True
    any_kind: bool = False  # the arm does not look at the EtherType
    hits: int = 0
    namespace: list[bytes] = field(default_factory=list)
    root: list[bytes] = field(default_factory=list)
    pieces: dict[int, list[bytes]] = field(default_factory=dict)

    def receive(self, frame: bytes) -> None:
        """Take a frame, as from the NIC."""
        kind, packet, vlans = frame[12:14], frame[14:], list[int]()
        while kind in (VLAN, PROVIDER):
            if not vlans and kind == VLAN and self.strips:
                seen_kind, seen = packet[2:4], packet[4:]
            elif not vlans:
                seen_kind, seen = kind, packet
            vlans.append(number(packet, 0) & 0xFFF)
            kind, packet = packet[2:4], packet[4:]
        if not vlans:
            seen_kind, seen = kind, packet
        seen, packets = seen.ljust(46, b"\0"), [packet.ljust(46, b"\0")]
        if self.place == "xdp" and (seen_kind == IPV4 or self.any_kind):
            packets = self._through(seen)
        if kind != IPV4 or any(vlans):
            return
        for one in packets:
            self._ip_receive(one)

    def _through(self, seen: bytes) -> list[bytes]:
        came = self.arm(seen)
        self.hits += came != seen
        if came is None:
            return []
        return came if isinstance(came, list) else [came]

    def _ip_receive(self, packet: bytes) -> None:
        if packet[0] >> 4 != 4 or packet[0] & 15 < 5:
            return
        if not header_bytes(packet) <= number(packet, 2) <= len(packet):
            return
        packet = packet[: number(packet, 2)]
        if self.checks and not ip_checksum_valid(packet):
            return
        for one in self._through(packet) if self.place == "netfilter" else [packet]:
            self._route(one)

    def _route(self, packet: bytes) -> None:
        if packet[16:20] == TARGET:
            if packet[8] <= 1:
                return
            way_on = routed(packet)
            self.namespace.append(way_on if self.checks else way_on[:10] + packet[10:12]
                                  + way_on[12:])  # fmt: skip
        elif packet[16:20] == SERVER and packet[9] in CAPTURED:
            self._local(packet)

    def _local(self, packet: bytes) -> None:
        if number(packet, 6) & 0x3FFF == 0:
            self.root.append(packet)
            return
        pieces = self.pieces.setdefault(identification(packet), [])
        pieces.append(packet)
        lengths = {(number(p, 6) & 0x1FFF) * 8: len(p) - 20 for p in pieces}
        last = next((p for p in pieces if not number(p, 6) & 0x2000), None)
        end = 0
        while lengths.get(end):
            end += lengths[end]
        if last is not None and end == (number(last, 6) & 0x1FFF) * 8 + len(last) - 20:
            self.root.append(reassembled(pieces))


@dataclass(frozen=True)
class Link:
    """The faults beside the arm. `lost` cases never reach the server's NIC, in any round.

    `again`: rounds in which what is missing is sent again. `arp`: frames that both NICs count and
    the gate did not send. Without `counted` no counter was recorded.
    """

    lost: frozenset[int] = frozenset()
    lost_once: frozenset[int] = frozenset()
    again: bool = False
    ended: bool = True
    arp: int = 0
    backlog: int = 0
    capture: int = 0
    counted: bool = True


GOOD = Link()


def gate(
    path: Path, name: str, arm: Arm, *, direct: bool = False, link: Link = GOOD,
    frames: FrameSet | None = None, more_hits: int = 0, **stack: Any,
) -> Stack:  # fmt: skip
    """Send all cases through an arm and leave the files."""
    made = frames or sent(direct=direct)
    server = Stack(arm, **stack)
    wanted, rounds = list(made.cases), list[dict[str, Any]]()
    while wanted and len(rounds) < (4 if link.again else 1):
        wanted = _round(server, made, wanted, link, rounds)
    folder = path / "gate" / name
    folder.mkdir(parents=True)
    (folder / "sent.pcap.gz").write_bytes(_plain(made.content))
    for place in ("namespace", "root"):
        content = b"".join(_pcap(getattr(server, place), capture.RAW_IP))
        (folder / f"{place}.pcap.gz").write_bytes(content)
    record: dict[str, Any] = {
        "schema": 2, "arm": name, "direct": direct, "network": NETWORK.model_dump(mode="json"),
        "seed": SEED, "marker": made.marker.hex(),
        "hits_before": None if direct else [5, 0],
        "hits_after": None if direct else [5 + server.hits + more_hits, 0], "verify": {},
        "rounds": rounds, "took_s": 4.5,
        "cases": [
            {key: getattr(case, key) for key in
             ("number", "group", "title", "fate", "payload_bytes", "countable")}
            | {"frames": made.sending.places[case.number]}
            for case in made.cases
        ],
    }  # fmt: skip
    (folder / "gate.json").write_text(json.dumps(record))
    return server


def outcome(arm: Arm, **stack: Any) -> GateOutcome:
    """Send all cases through an arm and judge what came out, without the way through files.

    The files of one arm are written and read; those of another differ in what came out, and hits.
    """
    record = _loaded()
    made, server = sent(), Stack(arm, **stack)
    for frame in made.sending.frames:
        server.receive(frame)
    (one,) = record.rounds
    came = replace(one, namespace=tuple(server.namespace), root=tuple(server.root))
    return outcome_of(replace(record, rounds=(came,), hits=server.hits))


@cache
def _loaded() -> Record:
    with TemporaryDirectory() as folder:
        gate(Path(folder), "arm", correct)
        return load(Path(folder), "arm")


@cache
def _plain(content: bytes) -> bytes:
    return gzip.decompress(content)


def _pcap(packets: Sequence[bytes], link_type: int) -> Iterator[bytes]:
    """A pcap file that is not compressed, which took most of a gate's time here."""
    yield struct.pack("<IHHiIII", capture.MAGIC, 2, 4, 0, 0, 65535, link_type)
    for packet in packets:
        yield struct.pack("<IIII", 0, 0, len(packet), len(packet)) + packet


def _round(
    server: Stack, made: FrameSet, cases: Sequence[Case], link: Link, rounds: list[dict[str, Any]]
) -> list[Case]:
    """Send some cases; return what is to be sent again."""
    before = {place: len(getattr(server, place)) for place in ("namespace", "root")}
    gone = link.lost if rounds else link.lost | link.lost_once
    owner = {place: case for case in cases for place in made.sending.places[case.number]}
    arrived = [place for place in sorted(owner) if owner[place].number not in gone]
    for place in arrived:
        server.receive(made.sending.frames[place])
    came = {place: len(getattr(server, place)) - count for place, count in before.items()}
    counted = link.counted
    rounds.append({
        "cases": None if not rounds else [case.number for case in cases],
        "frames": len(owner) + 40, "came": came, "ended": link.ended,
        "client_sent": [7, 7 + len(owner) + 40 + link.arp] if counted else None,
        "server_received": [9, 9 + len(arrived) + 40 + link.arp] if counted else None,
        "backlog_drops": [3, 3 + link.backlog] if counted else None,
        "capture_drops": link.capture if counted else None,
    })  # fmt: skip
    if not link.again:
        return []
    seen = {made.recognition.owner(packet) for place in before
            for packet in getattr(server, place)}  # fmt: skip
    missing = {c.number for c in made.cases if c.fate in MUST_COME_OUT and c.number not in seen}
    again = missing and {c.number for c in made.cases if c.fate == "nowhere"} | missing
    return [case for case in made.cases if again and case.number in again]
