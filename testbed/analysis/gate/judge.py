# SPDX-License-Identifier: Apache-2.0
"""Is what came out the same as the reference, and if not, what differs first?"""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

from testbed.analysis.gate.arrivals import Arrivals
from testbed.analysis.gate.outcomes import Came, CaseOutcome, Result
from testbed.model.config import NetworkConfig
from testbed.packets.case import MUST_COME_OUT, Case
from testbed.packets.reference import (
    UDP,
    expected,
    header_bytes,
    packet_of,
    udp_checksum_valid,
)


@dataclass(frozen=True, slots=True)
class Difference:
    """`field` is the name of what differs, `fault` says it in a few words."""

    field: str
    fault: str
    detail: str = ""


def judge(
    case: Case, rounds: Sequence[Arrivals], network: NetworkConfig, *, lost: bool, once: bool
) -> CaseOutcome:
    """Return what became of a case, of which that came out in each round.

    `lost` says that a case of which nothing came out may have been lost on the link. Every copy
    that came out must be right, and none may come out at another place; with `once`, no round may
    have two.
    """
    found = _difference(case, rounds, network, once=once)
    result = Result.SAME
    if found is not None:
        unknown = found.field == "missing" and lost
        result = Result.NOT_SEEN if unknown else Result.MISMATCH
    is_wrong = found is not None and result is Result.MISMATCH
    return CaseOutcome(
        number=case.number,
        group=case.group,
        title=case.title,
        fate=case.fate,
        payload_bytes=case.payload_bytes,
        result=result,
        field=found.field if found and is_wrong else "",
        fault=found.fault if found and is_wrong else "",
        detail=found.detail if found and is_wrong else "",
        came=_came(rounds),
    )


def _came(rounds: Sequence[Arrivals]) -> Came:
    if any(one.namespace for one in rounds):
        return Came.NAMESPACE
    return Came.SERVER if any(one.root for one in rounds) else Came.NOWHERE


def _difference(
    case: Case, rounds: Sequence[Arrivals], network: NetworkConfig, *, once: bool
) -> Difference | None:
    wanted = expected(case, network)
    inside = [packet for one in rounds for packet in one.namespace]
    outside = [packet for one in rounds for packet in one.root]
    right = {"namespace": wanted, "root": None}
    if case.fate in ("local", "elsewhere"):
        right = {"namespace": None, "root": wanted}
    if case.fate == "untagged":
        right["root"] = packet_of(case.frames[0])
    for packet in [*(inside if right["namespace"] is None else ()),
                   *(outside if right["root"] is None else ())]:  # fmt: skip
        return _astray(case, packet, inside=packet in inside)
    for packets, form in ((inside, right["namespace"]), (outside, right["root"])):
        for packet in packets:
            if form is not None and packet != form:
                return first_difference(form, packet)
    most = max((len(one.namespace) + len(one.root) for one in rounds), default=0)
    if once and most > 1:
        return Difference("copies", f"came out {most} times", "it was sent once")
    if inside or outside or case.fate not in MUST_COME_OUT:
        return None
    return Difference("missing", "missing", "nothing came out anywhere")


def _astray(case: Case, packet: bytes, *, inside: bool) -> Difference:
    where = "in the namespace" if inside else "at the server itself"
    told = f"{where}, to {IPv4Address(packet[16:20])}:{_port(packet)}"
    if case.fate == "rewritten":
        return Difference("address", "not rewritten", told)
    return Difference("arrived though it must not", f"arrived {where}", told)


def _port(packet: bytes) -> int:
    start = header_bytes(packet)
    return int.from_bytes(packet[start + 2 : start + 4], "big")


def first_difference(wanted: bytes, got: bytes) -> Difference:
    """Return the first difference, causes before what follows from them."""
    if len(got) < 20:
        return Difference("length", "wrong length", f"{len(got)} bytes, no IP header")
    start = header_bytes(wanted)
    checks = (
        ("address", "wrong address", slice(12, 20)),
        ("port", "wrong port", slice(start, start + 4)),
        ("ttl", "wrong TTL", slice(8, 9)),
        ("header", "wrong IP header", slice(0, 2)),
        ("header", "wrong IP header", slice(4, 8)),
        ("header", "wrong IP header", slice(9, 10)),
        ("header", "wrong IP options", slice(20, start)),
    )
    for field, fault, place in checks:
        if wanted[place] != got[place]:
            return Difference(field, fault, _values(wanted[place], got[place]))
    if len(wanted) != len(got) or wanted[2:4] != got[2:4]:
        said = int.from_bytes(got[2:4], "big")
        detail = f"{len(got)} bytes (the header says {said}), expected {len(wanted)}"
        return Difference("length", "wrong length", detail)
    whole_udp = wanted[9] == UDP and len(wanted) >= start + 8
    check = slice(start + 6, start + 8) if whole_udp else slice(0)
    if wanted[start : check.start or start] + wanted[check.stop or start :] != (
        got[start : check.start or start] + got[check.stop or start :]
    ):
        return Difference("payload", "wrong payload", _first_byte(wanted, got, start, check))
    if wanted[check] != got[check]:
        return _udp_checksum(wanted, got, check)
    return Difference("ip checksum", "wrong IP checksum", _values(wanted[10:12], got[10:12]))


def _first_byte(wanted: bytes, got: bytes, start: int, check: slice) -> str:
    places = (
        place
        for place in range(start, len(wanted))
        if wanted[place] != got[place] and not (check.start or 0) <= place < (check.stop or 0)
    )
    return f"first at byte {next(places) - start} behind the IP header"


def _udp_checksum(wanted: bytes, got: bytes, check: slice) -> Difference:
    if got[check] == b"\0\0":
        fault = "UDP checksum switched off"
    elif wanted[check] == b"\0\0":
        fault = "UDP checksum added"
    elif udp_checksum_valid(got) and not udp_checksum_valid(wanted):
        fault = "wrong UDP checksum made right"
    else:
        fault = "wrong UDP checksum"
    return Difference("udp checksum", fault, _values(wanted[check], got[check]))


def _values(wanted: bytes, got: bytes) -> str:
    return f"0x{got.hex() or '-'}, expected 0x{wanted.hex() or '-'}"
