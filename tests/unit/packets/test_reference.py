# SPDX-License-Identifier: Apache-2.0
"""The reference against the C rewrite that every fair arm compiles, and against recomputation."""

import ctypes
import subprocess
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model.config import NetworkConfig
from testbed.packets.case import Case
from testbed.packets.reference import (
    expected,
    packet_of,
    redirected,
    routed,
    tag_bytes,
    updated,
)
from tests.conftest import need
from tests.unit.arms.test_rewrite import FLAGS, SHIM, Datagram, Rule, call, datagrams, rules
from tests.unit.factories.checksums import checksums_valid
from tests.unit.packets.test_cases import NETWORK, NETWORKS, crafted


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """rewrite.h as it is, as a shared object."""
    compiler = need("gcc", "gcc libc6-dev")
    built = tmp_path_factory.mktemp("reference") / "rewrite.so"
    argv = [compiler, *FLAGS, "-x", "c", "-", "-o", str(built)]
    subprocess.run(argv, input=SHIM, text=True, check=True)
    return ctypes.CDLL(str(built))


def rule_of(network: NetworkConfig) -> Rule:
    return Rule(
        match_address=IPv4Address(network.server_address),
        match_port=network.match_port,
        target_address=IPv4Address(network.target_address),
        target_port=network.target_port,
    )


def network_of(rule: Rule) -> NetworkConfig:
    """Where only the target counts, and may be any address."""
    return NETWORK.model_copy(
        update={"target_address": str(rule.target_address), "target_port": rule.target_port}
    )


def matched(shared: ctypes.CDLL, frame: bytes, rule: Rule) -> bool:
    """Whether an XDP program finds its headers: it sees the frame's end, and a tag of any kind."""
    seen = frame[14:]
    room = max(len(seen), 46)  # the NIC pads
    is_ip = frame[12:14] == b"\x08\0"
    return is_ip and bool(shared.matches(seen.ljust(room, b"\0"), room, rule.pack()))


@NETWORKS
def test_the_c_rewrite_gives_the_reference_for_every_case(
    shared: ctypes.CDLL, network: NetworkConfig
) -> None:
    rule = rule_of(network)
    for case in crafted(network):
        if case.fate == "rewritten":
            (frame,) = case.frames
            assert routed(call(shared.rewrite, packet_of(frame), rule)) == expected(case, network)


@NETWORKS
def test_the_c_code_matches_what_must_be_rewritten_and_nothing_else(
    shared: ctypes.CDLL, network: NetworkConfig
) -> None:
    rule = rule_of(network)
    for case in crafted(network):
        for frame in case.frames:
            assert matched(shared, frame, rule) == (case.countable and not tag_bytes(frame)), (
                case.title
            )
    for case in crafted(network, direct=True):
        if case.fate == "rewritten":
            assert not any(matched(shared, frame, rule) for frame in case.frames), case.title


@given(sent=datagrams, rule=rules)
@settings(max_examples=60, deadline=None)
def test_updated_equals_computed_anew(sent: Datagram, rule: Rule) -> None:
    assert redirected(sent.pack(), network_of(rule)) == rule.redirected(sent).pack()
    assert checksums_valid(sent.pack())
    assert not checksums_valid(sent.pack()[:-1] + bytes((sent.pack()[-1] ^ 1,)))


@given(sent=datagrams.filter(lambda sent: sent.ttl > 1))
@settings(max_examples=40, deadline=None)
def test_a_hop_takes_one_from_the_ttl(sent: Datagram) -> None:
    packet = routed(sent.pack())
    assert packet[8] == sent.ttl - 1 and checksums_valid(packet)
    assert packet[:8] + packet[9:10] + packet[12:] == (
        sent.pack()[:8] + sent.pack()[9:10] + sent.pack()[12:]
    )


@given(st.integers(0, 0xFFFF), st.binary(min_size=6, max_size=6), st.binary(min_size=6, max_size=6))
def test_update_is_its_own_inverse(check: int, old: bytes, new: bytes) -> None:
    there = updated(check, old, new)
    assert updated(there, new, old) % 0xFFFF == check % 0xFFFF


def test_the_example_of_rfc_1624() -> None:
    """Section 4: 0xDD2F, a field from 0x5555 to 0x3285."""
    assert updated(0xDD2F, b"\x55\x55", b"\x32\x85") == 0


def test_fragments_are_put_together_in_any_order() -> None:
    cases = {c.title: c for c in crafted() if c.group == "fragments" and len(c.frames) > 1}
    whole = {title: expected(case, NETWORK) or b"" for title, case in cases.items()}
    for title, packet in whole.items():
        assert packet[6:8] == b"\0\0" and checksums_valid(packet), title
    assert [len(case.frames) for case in cases.values()] == [2, 2, 3, 2, 2, 2, 3, 7]
    assert len(whole["the last one, from byte 8192 on, imitates UDP"]) == 20 + 8192 + 300


def test_an_imitation_is_what_a_hook_at_that_place_matches(shared: ctypes.CDLL) -> None:
    """But for the fragment's offset, or the header's length: nothing else tells it."""
    rule, found = rule_of(NETWORK), 0
    for case in crafted():
        if "imitate" in case.title or "alone" in case.title:
            for frame in case.frames:
                packet = bytearray(packet_of(frame))
                packet[0], packet[6:8] = 0x45, b"\0\0"
                found += bool(shared.matches(bytes(packet), len(packet), rule.pack()))
    assert found == sum("imitate" in c.title or "alone" in c.title for c in crafted())


def test_nothing_is_expected_of_what_no_stack_delivers() -> None:
    nowhere: list[Case] = [case for case in crafted() if case.fate == "nowhere"]
    assert len(nowhere) >= 5
    assert {expected(case, NETWORK) for case in nowhere} == {None}
