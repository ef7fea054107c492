# SPDX-License-Identifier: Apache-2.0
"""A seed's draw: no two packets alike in any network, and none that tells gate from trial."""

import sys
from collections import Counter
from ipaddress import IPv4Address
from itertools import pairwise

import dpkt
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from testbed.model.config import BenchConfig, NetworkConfig
from testbed.packets import drawing
from testbed.packets.case import MUST_COME_OUT
from testbed.packets.cases import cases_for, end_markers
from testbed.packets.drawing import LONGEST, Draws, TrialSpace
from testbed.packets.recognition import Recognition
from testbed.packets.reference import expected, identification, packet_of
from testbed.packets.schedule import schedule
from tests import PROJECT
from tests.unit.packets.test_cases import SEED, SPACE, WIRE, crafted, draws, group

sys.path.insert(0, str(PROJECT / "guest"))

import protocol

addresses = st.integers(1, 2**32 - 2).map(lambda value: str(IPv4Address(value)))
ports = st.integers(1, 65535)


def network_of(server: str, host: int, match: int, inner: str, target: int) -> NetworkConfig:
    """A network whose client and target are some hosts beside server and gateway."""
    client = IPv4Address(int(IPv4Address(server)) & ~0xFF | host)
    there = IPv4Address(int(IPv4Address(inner)) & ~0xFF | host)
    return NetworkConfig(
        server_address=server, client_address=str(client), match_port=match,
        gateway_address=inner, target_address=str(there), target_port=target,
    )  # fmt: skip


@given(
    server=addresses, host=st.integers(1, 254), match=ports, inner=addresses, target=ports,
    seed=st.integers(0, 2**31), payload=st.integers(24, 1472), rate=st.integers(10, 20_000),
)  # fmt: skip
@settings(max_examples=10, deadline=None)
def test_no_two_packets_are_alike_in_any_network(
    server: str, host: int, match: int, inner: str, target: int, seed: int, payload: int, rate: int
) -> None:
    """Nor in 10.7.106.0/24, where two had one identification and `check` ended with ValueError."""
    try:
        network = network_of(server, host, match, inner, target)
    except ValidationError:
        assume(False)
        raise
    _unlike(network, seed, BenchConfig(payload_bytes=payload, rate_pps=rate))


@pytest.mark.parametrize("seed", range(3))
def test_a_network_in_which_two_identifications_were_the_same(seed: int) -> None:
    network = NetworkConfig(client_address="10.7.106.7", server_address="10.7.106.2")
    _unlike(network, seed, BenchConfig())


def _unlike(network: NetworkConfig, seed: int, bench: BenchConfig) -> None:
    made = Draws(seed, network, TrialSpace.of(bench))
    cases = cases_for(made, WIRE, direct=False)
    again = cases_for(Draws(seed, network, TrialSpace.of(bench)), WIRE, direct=True)
    known = Recognition.of(cases, network)
    for case, other in zip(cases, again, strict=True):
        wanted = expected(case, network)
        assert wanted == expected(other, network), case.title
        if case.fate in MUST_COME_OUT:
            assert wanted is not None and known.owner(wanted) == case.number, case.title
    numbers = [identification(packet_of(case.frames[0]) or case.frames[0][14:]) for case in cases]
    named = [number for number in numbers if number]
    assert len(set(named)) == len(named)
    whole = {identification(packet_of(c.frames[0])) for c in cases if len(set(c.frames)) > 1}
    alone = {identification(packet_of(c.frames[0])) for c in cases
             if c.group == "fragments" and len(c.frames) == 1}  # fmt: skip
    assert {number % 2 for number in whole} == {0} and {number % 2 for number in alone} == {1}
    marker, ends = end_markers(made, WIRE)
    for end in ends:
        assert packet_of(end)[28:] == marker and known.owner(packet_of(end)) is None


def test_a_trial_in_little_is_what_the_client_sends() -> None:
    """The words of `guest/protocol.py`, from the trials' ports, as Linux sends them."""
    assert drawing.HEADER.format == protocol.HEADER.format
    kinds = Counter[protocol.Kind]()
    numbers: dict[str, list[int]] = {}
    for case in group("as-in-trials"):
        packet = packet_of(case.frames[0])
        assert packet[:2] == b"\x45\0" and packet[6:9] == b"\x40\0\x40"
        trial = case.title.partition(",")[0] if case.title.startswith("trial") else "any"
        numbers.setdefault(trial, []).append(int.from_bytes(packet[4:6], "big"))
        assert int.from_bytes(packet[20:22], "big") in SPACE.source_ports
        message = protocol.unpack_message(packet[28:], len(packet) - 28)
        assert message is not None and message.trial == 1
        kinds[message.kind] += 1
        if case.title.startswith("trial") and message.kind is not protocol.Kind.DATA:
            assert len(packet) == 28 + protocol.HEADER_BYTES
        else:
            assert len(packet) == 28 + SPACE.payload_bytes
    assert 0 in numbers["any"] and set(numbers["any"]) != {0}
    for trial in ("trial 1", "trial 2"):  # they count up, as those of a client's socket
        first = numbers[trial][0]
        assert numbers[trial] == list(range(first, first + len(numbers[trial])))
    assert kinds[protocol.Kind.DATA] > 100
    assert set(kinds) == {protocol.Kind.DATA, protocol.Kind.START, protocol.Kind.END,
                          protocol.Kind.CLOSE}  # fmt: skip


def test_lengths_and_trials_have_each_property_of_the_other() -> None:
    """No length comes with one kind of packet alone: nearby, each property is there and is not."""
    swept = [packet_of(case.frames[0]) for case in group("length-random")]
    properties = {
        "trial's port": lambda p: int.from_bytes(p[20:22], "big") in SPACE.source_ports,
        "identification 0": lambda p: p[4:6] == b"\0\0",
        "DF": lambda p: bool(p[6] & 0x40),
        "TTL 64": lambda p: p[8] == 64,
        "DSCP 0": lambda p: p[1] == 0,
        "magic": lambda p: p[28:30] == b"PH",
        "data": lambda p: p[28:32] == b"PH\1\0",
    }
    for start in range(100, LONGEST - 100, 100):
        for name, has in properties.items():
            share = sum(map(has, swept[start : start + 100])) / 100
            assert 0.1 < share < 0.95, (start, name, share)


def test_the_end_markers_match_nothing() -> None:
    marker, ends = end_markers(draws(), WIRE)
    inner, local = (dpkt.ip.IP(packet_of(frame)) for frame in ends)
    assert inner.udp.data == local.udp.data == marker and len(marker) == protocol.HEADER_BYTES
    assert (inner.dst, inner.udp.dport) == (bytes((10, 0, 1, 2)), 8083)
    assert local.dst == bytes((192, 168, 64, 2)) and local.udp.dport not in (8080, 8083)


def test_another_seed_draws_other_packets_in_another_order() -> None:
    one, same, other = (
        schedule(crafted(seed=seed), draws(seed=seed)) for seed in (SEED, SEED, SEED + 1)
    )
    assert one == same
    assert len(crafted()) == len(crafted(seed=SEED + 1))
    assert not set(one.frames) & set(other.frames)
    titles = [{c.number: c.title for c in crafted(seed=seed)} for seed in (SEED, SEED + 1)]
    places = [sorted(s.places, key=s.places.__getitem__) for s in (one, other)]
    said = [
        [names[number] for number in order] for names, order in zip(titles, places, strict=True)
    ]
    assert said[0] != said[1]


def test_a_trial_and_the_fragments_of_a_packet_stay_together() -> None:
    sending = schedule(crafted(), draws())
    for case in crafted():
        places = sending.places[case.number]
        assert places == tuple(range(places[0], places[0] + len(case.frames)))
    for trial in ("trial 1,", "trial 2,"):
        numbers = [case.number for case in crafted() if case.title.startswith(trial)]
        places = tuple(sending.places[number][0] for number in numbers)
        assert places == tuple(range(places[0], places[0] + 43))


def test_gaps_are_a_trials_and_others() -> None:
    sending = schedule(crafted(), draws())
    gaps = [later - sooner for sooner, later in pairwise(sending.due_us)]
    as_in_a_trial = sum(90 <= gap <= 110 for gap in gaps) / len(gaps)
    assert 0.4 < as_in_a_trial < 0.7
    assert min(gaps) < 70 and 500 < sorted(gaps)[-20] < 800
    assert sending.due_us[-1] < 900_000


def test_a_trial_in_little_has_the_pauses_of_a_trial_and_one_comes_first() -> None:
    sending = schedule(crafted(), draws())
    pauses = {}
    for trial in ("trial 1,", "trial 2,"):
        places = [sending.places[case.number][0] for case in crafted()
                  if case.title.startswith(trial)]  # fmt: skip
        due = [0, *sending.due_us]
        pauses[trial] = [due[place + 1] - due[place] for place in places]
        assert places[0] > 0 or trial == "trial 1,"
    assert sending.places[1] == (0,)
    for before_start, answered, *data, before_end, before_close in pauses.values():
        assert 20_000 <= before_start <= 100_000
        assert 2_000 <= answered <= 40_000 and 2_000 <= before_close <= 40_000
        assert max(data) <= 701 and before_end <= 701
