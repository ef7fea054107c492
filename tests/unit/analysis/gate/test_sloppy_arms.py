# SPDX-License-Identifier: Apache-2.0
"""For each field that a hook reads or writes, an arm that is careless there: none passes the gate.

An arm that ignores one bit of a field stands for every mask that is too narrow.
"""

from collections.abc import Callable

import pytest

from testbed.analysis.gate.matrix import reasons
from testbed.packets.reference import ip_checksum_valid, redirected
from tests.unit.factories import gate_arms as arms
from tests.unit.factories import gate_stack as stack
from tests.unit.factories.gate_arms import (
    NETWORK,
    SERVER,
    SPACE,
    Arm,
    moved_on,
    number,
    with_ip_checksum,
)

Look = Callable[[bytes], int]
PORT = NETWORK.match_port
FIELDS: dict[str, tuple[int, Look, int]] = {
    "version": (4, lambda p: p[0] >> 4, 4),
    "ihl": (4, lambda p: p[0] & 15, 5),
    "protocol": (8, lambda p: p[9], 17),
    "address": (32, lambda p: int.from_bytes(p[16:20], "big"), int.from_bytes(SERVER, "big")),
    "port": (16, lambda p: number(p, 22), PORT),
    "fragment": (14, lambda p: number(p, 6) & 0x3FFF, 0),
}
"""A field that has to be equal: its width in bits, its place, and its right value."""
BOUNDS: dict[str, Callable[[bytes], bool]] = {
    "IP no longer than the frame": lambda p: number(p, 2) <= len(p),
    "UDP no shorter than its header": lambda p: number(p, 24) >= 8,
    "UDP no longer than IP": lambda p: number(p, 24) + 20 <= number(p, 2),
}
SEEN_BY_XDP_ALONE = ("version", "IP no longer than the frame")


def matching(ignored: dict[str, int] | None = None, without: str = "") -> Arm:
    """An arm that ignores these bits of these fields, and one of the bounds."""
    ignored = ignored or {}

    def arm(packet: bytes) -> bytes:
        if len(packet) < 28:
            return packet
        for name, (width, look, right) in FIELDS.items():
            kept = (1 << width) - 1 & ~ignored.get(name, 0)
            if (look(packet) ^ right) & kept:
                return packet
        held = all(holds(packet) for name, holds in BOUNDS.items() if name != without)
        return moved_on(packet) if held else packet

    return arm


def judged(arm: Arm, place: str = "xdp", **options: bool) -> tuple[str, ...]:
    """Return the gate's complaints about an arm."""
    outcome = stack.outcome(arm, place=place, **options)
    assert outcome.same_work == (not reasons(outcome))
    return reasons(outcome)


@pytest.mark.parametrize("place", ["xdp", "netfilter"])
def test_an_arm_that_looks_at_every_bit_passes(place: str) -> None:
    assert judged(matching(), place) == ()


BITS = [(name, 1 << bit) for name, (width, *_) in FIELDS.items() for bit in range(width)]
WHOLE = [(name, (1 << width) - 1) for name, (width, *_) in FIELDS.items()]
PARTS = [
    ("address", 0xFF), ("address", 0xFFFF0000), ("port", 0xFF), ("port", 0xFF00),
    ("fragment", 0x1FFF), ("fragment", 0x2000), ("fragment", 0x00FF), ("fragment", 0x1F00),
    ("ihl", 8), ("ihl", 10), ("protocol", 0xFE),
]  # fmt: skip


@pytest.mark.parametrize(("name", "bits"), [*BITS, *WHOLE, *PARTS])
def test_an_arm_that_ignores_some_bits_does_other_work(name: str, bits: int) -> None:
    assert judged(matching({name: bits})) != ()


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in SEEN_BY_XDP_ALONE])
def test_a_module_that_ignores_a_field_does_other_work(name: str) -> None:
    width, *_ = FIELDS[name]
    assert judged(matching({name: (1 << width) - 1}), "netfilter") != ()


@pytest.mark.parametrize("name", BOUNDS)
def test_an_arm_that_ignores_a_bound_does_other_work(name: str) -> None:
    assert judged(matching(without=name)) != ()


def test_a_program_that_does_not_look_at_the_ethertype() -> None:
    (said,) = judged(matching(), any_kind=True)
    assert "hits" in said


def after(change: Callable[[bytes], bytes]) -> Arm:
    """An arm that does something to what it has rewritten, whose IP checksum is then right."""

    def arm(packet: bytes) -> bytes:
        moved = arms.correct(packet)
        if moved is packet:
            return packet
        changed = change(moved)
        return with_ip_checksum(changed) if ip_checksum_valid(moved[:20]) else changed

    return arm


def put(place: int, value: bytes) -> Callable[[bytes], bytes]:
    return lambda p: p[:place] + value + p[place + len(value) :]


def masked(place: int, clear: int, fill: int = 0) -> Callable[[bytes], bytes]:
    return lambda p: p[:place] + bytes((p[place] & ~clear & 0xFF | fill,)) + p[place + 1 :]


KEPT = {
    "DSCP and ECN": 1, "identification, high": 4, "identification, low": 5, "flags": 6, "TTL": 8,
    "source address": 15, "source port, high": 20, "source port, low": 21, "UDP length": 25,
    "payload": 28,
}  # fmt: skip
VARY = ("DSCP and ECN", "identification, low", "TTL", "source port, low", "payload")
"""Fields that have every bit set in some packets, and cleared in others."""


@pytest.mark.parametrize("bits", [0x01, 0x80, 0xFF])
@pytest.mark.parametrize("name", KEPT)
def test_an_arm_that_sets_or_clears_what_it_must_leave_alone(name: str, bits: int) -> None:
    cleared, set_ = masked(KEPT[name], bits), masked(KEPT[name], 0, bits)
    assert judged(after(lambda p: set_(p) if set_(p) != p else cleared(p))) != ()
    if name in VARY:
        assert judged(after(cleared)) != ()
        assert judged(after(set_)) != ()


def in_trials(packet: bytes) -> bool:
    return number(packet, 20) in SPACE.source_ports


CHEATS: dict[str, Callable[[bytes], bool]] = {
    "a trial's length": lambda p: number(p, 24) == 8 + SPACE.payload_bytes,
    "another length": lambda p: number(p, 24) != 8 + SPACE.payload_bytes,
    "the ports of five trials": lambda p: 10000 <= number(p, 20) < 10005,
    "a port of trials": in_trials,
    "the first port": lambda p: number(p, 20) == 10000,
    "another port": lambda p: not in_trials(p),
    "no identification": lambda p: number(p, 4) == 0,
    "an identification": lambda p: number(p, 4) != 0,
    "DF": lambda p: bool(p[6] & 0x40),
    "no DF": lambda p: not p[6] & 0x40,
    "TTL 64": lambda p: p[8] == 64,
    "another TTL": lambda p: p[8] != 64,
    "DSCP 0": lambda p: p[1] == 0,
    "a trial's magic": lambda p: p[28:30] == b"PH",
    "no magic": lambda p: p[28:30] != b"PH",
    "data": lambda p: p[28:32] == b"PH\1\0",
    "control": lambda p: p[28:31] == b"PH\1" and p[31] != 0,
    "a late packet of a trial": lambda p: p[28:32] == b"PH\1\0" and p[44:52] > bytes(6) + b"\x08\0",
    "an early packet of a trial": lambda p: p[28:32] == b"PH\1\0" and p[44:52] < bytes(6) + b"\x08",
    "all of a trial": lambda p: (
        in_trials(p) and p[4:8] == b"\0\0\x40\0" and p[8] == 64 and p[1] == 0
        and p[28:32] == b"PH\1\0" and number(p, 24) == 8 + SPACE.payload_bytes
    ),
    "odd sequence numbers": lambda p: p[28:30] == b"PH" and bool(p[51] & 1),
    "odd lengths": lambda p: bool(len(p) & 1),
    "long ones": lambda p: len(p) > 1400,
    "short ones": lambda p: len(p) < 60,
}  # fmt: skip
"""By what an arm may tell the trials' packets from the gate's, if it can."""


@pytest.mark.parametrize("name", CHEATS)
def test_an_arm_that_skips_the_checksum_for_some(name: str) -> None:
    chosen = CHEATS[name]

    def arm(packet: bytes) -> bytes:
        return arms.without_checksum(packet) if chosen(packet) else arms.correct(packet)

    said = judged(arm)
    assert "UDP checksum switched off" in said[0]


def every(nth: int, what: Callable[[bytes], bytes | list[bytes] | None]) -> Arm:
    """An arm that does something else to every nth packet that it rewrites."""
    count = 0

    def arm(packet: bytes) -> bytes | list[bytes] | None:
        nonlocal count
        moved = arms.correct(packet)
        if moved is packet:
            return packet
        count += 1
        return what(moved) if count % nth == 0 else moved

    return arm


@pytest.mark.parametrize(
    ("arm", "words"),
    [
        (every(2, put(26, b"\0\0")), "UDP checksum switched off"),
        (every(20, lambda _: None), "lost behind the server's NIC"),
        (every(200, lambda _: None), "lost behind the server's NIC"),
        (every(20, lambda p: [p, p]), "came out 2 times"),
        (every(200, lambda p: [p, p]), "came out 2 times"),
        (every(300, lambda p: p[:-1] + bytes((p[-1] ^ 1,))), "wrong payload"),
    ],
)
def test_an_arm_that_treats_a_share_otherwise(arm: Arm, words: str) -> None:
    assert any(words in said for said in judged(arm, "netfilter"))


def without_address(packet: bytes) -> bytes:
    """The UDP checksum follows the port and not the address."""
    moved = redirected(
        packet, NETWORK.model_copy(update={"target_address": NETWORK.server_address})
    )
    return moved[26:28]


def no_zero_rule(moved: bytes) -> bytes:
    return put(26, b"\0\0")(moved) if moved[26:28] == b"\xff\xff" else moved


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (no_zero_rule, "UDP checksum switched off"),
        (lambda p: put(26, b"\xff\xff")(p) if p[26:28] == b"\0\0" else p, "UDP checksum added"),
        (lambda p: p[:-1] + b"\0" if len(p) % 2 else p, "wrong payload"),
        (put(22, PORT.to_bytes(2, "big")), "wrong port"),
        (put(4, b"\0\0"), "wrong IP header"),
        (put(8, b"\x40"), "wrong TTL"),
    ],
)
def test_an_arm_that_rewrites_wrongly(change: Callable[[bytes], bytes], words: str) -> None:
    assert any(words in said for said in judged(after(change)))


def test_an_arm_whose_udp_checksum_leaves_out_the_address() -> None:
    def arm(packet: bytes) -> bytes:
        moved = arms.correct(packet)
        kept = moved is packet or packet[26:28] == b"\0\0"
        return moved if kept else put(26, without_address(packet))(moved)

    assert any("wrong UDP checksum" in said for said in judged(arm))
