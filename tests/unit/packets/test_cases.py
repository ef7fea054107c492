# SPDX-License-Identifier: Apache-2.0
"""The crafted frames: which there are, and that each is what its title says."""

from functools import cache

import dpkt
import pytest

from testbed.model.config import BenchConfig, NetworkConfig
from testbed.packets import capture
from testbed.packets.case import FATES, GROUPS, Case
from testbed.packets.cases import cases_for
from testbed.packets.craft import Wire
from testbed.packets.drawing import LONGEST, Draws, TrialSpace
from testbed.packets.reference import (
    expected,
    ip_checksum_valid,
    packet_of,
    tag_bytes,
    udp_checksum_valid,
)
from tests.unit.factories.checksums import checksums_valid

MACS = ("52:54:00:7b:ed:07", "52:54:00:7b:ed:02")
WIRE = Wire(*MACS)
NETWORK = NetworkConfig()
OTHER = NetworkConfig(
    client_address="172.16.5.9", server_address="172.16.5.1", match_port=65535,
    gateway_address="10.9.9.1", target_address="10.9.9.77", target_port=1,
)  # fmt: skip
NETWORKS = pytest.mark.parametrize("network", [NETWORK, OTHER], ids=["default", "other"])
SPACE = TrialSpace.of(BenchConfig())
SEED = 20261128


def draws(network: NetworkConfig = NETWORK, seed: int = SEED) -> Draws:
    return Draws(seed, network, SPACE)


@cache
def crafted(
    network: NetworkConfig = NETWORK, *, direct: bool = False, seed: int = SEED
) -> tuple[Case, ...]:
    return cases_for(draws(network, seed), WIRE, direct=direct)


def group(name: str, network: NetworkConfig = NETWORK) -> list[Case]:
    return [case for case in crafted(network) if case.group == name]


@NETWORKS
def test_there_is_a_case_of_every_kind(network: NetworkConfig) -> None:
    cases = crafted(network)
    assert [case.number for case in cases] == list(range(1, len(cases) + 1))
    assert {case.group for case in cases} == set(GROUPS)
    assert {case.fate for case in cases} == set(FATES)
    assert len({(case.group, case.title) for case in cases}) == len(cases)


@NETWORKS
def test_every_arm_must_give_the_same(network: NetworkConfig) -> None:
    """Frames for the arm without a hook differ, what has to come out does not."""
    hooked, direct = crafted(network), crafted(network, direct=True)
    for one, other in zip(hooked, direct, strict=True):
        assert (one.number, one.title, one.fate) == (other.number, other.title, other.fate)
        assert (one.frames != other.frames) == (one.fate in ("rewritten", "untagged"))
        assert expected(one, network) == expected(other, network)


def test_every_length_is_there_odd_and_even() -> None:
    assert [case.payload_bytes for case in group("length-random")] == list(range(LONGEST + 1))
    zeros = [case.payload_bytes or 0 for case in group("length-zeros")]
    assert zeros == sorted(set(zeros)) and {513, 514, 515, LONGEST} <= set(zeros)
    assert {length % 2 for length in zeros} == {0, 1}
    for case in group("length-zeros"):
        assert not packet_of(case.frames[0])[28 + 24 :].strip(b"\0")


def test_frames_fit_on_the_wire_and_come_from_the_client() -> None:
    for case in crafted():
        for frame in case.frames:
            parsed = dpkt.ethernet.Ethernet(frame)
            assert parsed.dst.hex(":") == MACS[1] and parsed.src.hex(":") == MACS[0]
            assert len(frame) - tag_bytes(frame) <= 1514


@NETWORKS
def test_what_a_stack_forwards_has_an_ip_checksum_that_holds(network: NetworkConfig) -> None:
    lies = ("checksum-wrong", "udp-length", "protocol", "fragments", "options")
    for case in crafted(network):
        if case.fate != "nowhere":
            assert all(ip_checksum_valid(packet_of(frame)) for frame in case.frames)
        wanted = expected(case, network)
        if wanted is not None and case.group not in lies:
            assert checksums_valid(wanted), case.title


@NETWORKS
def test_checksums_that_are_0(network: NetworkConfig) -> None:
    for case in group("no-checksum", network):
        assert packet_of(case.frames[0])[26:28] == b"\0\0"
        assert (expected(case, network) or b"")[26:28] == b"\0\0"
    found = {"before": 0, "after": 0, "ip": 0}
    for case in group("checksum-zero", network):
        sent, wanted = packet_of(case.frames[0]), expected(case, network) or b""
        found["before"] += sent[26:28] == b"\xff\xff"
        found["after"] += wanted[26:28] == b"\xff\xff"
        found["ip"] += wanted[10:12] == b"\0\0"
    assert found == {"before": 4, "after": 4, "ip": 1}


@NETWORKS
def test_a_wrong_checksum_is_wrong_before_and_after(network: NetworkConfig) -> None:
    for case in group("checksum-wrong", network):
        assert not udp_checksum_valid(packet_of(case.frames[0])), case.title
        assert not udp_checksum_valid(expected(case, network) or b""), case.title


def test_a_file_of_frames_is_small_and_always_the_same() -> None:
    frames = [frame for case in crafted() for frame in case.frames]
    due = list(range(0, 1000 * len(frames), 1000))
    content = capture.write(frames, capture.ETHERNET, due)
    assert content == capture.write(frames, capture.ETHERNET, due)
    assert capture.read(content, capture.ETHERNET) == tuple(frames)
    assert len(content) < 130_000
    assert sum(map(len, frames)) > 1_000_000


def test_a_file_that_is_cut_off_is_refused() -> None:
    packets = [b"\x45" * 30, b"\x46" * 40]
    content = capture.write(packets, capture.RAW_IP)
    plain = dpkt.pcap.LEFileHdr(linktype=capture.RAW_IP)
    body = bytes(plain) + bytes(dpkt.pcap.LEPktHdr(caplen=30, len=30)) + packets[0]
    assert capture.read(body, capture.RAW_IP) == (packets[0],)
    for damaged in (content[:-9], content[:1], b"", body[:10], body[:30], body[:-1], b"x" * 50):
        with pytest.raises(ValueError):
            capture.read(damaged, capture.RAW_IP)
    with pytest.raises(ValueError, match="no pcap file of link type 1"):
        capture.read(content, capture.ETHERNET)
