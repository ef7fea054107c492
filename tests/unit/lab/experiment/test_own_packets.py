# SPDX-License-Identifier: Apache-2.0
"""A trial's own packets: made again as the client sent them, and kept small."""

import gzip
import json
import sys
from dataclasses import replace

import pytest

from testbed.lab.experiment.own_packets import thinned
from testbed.model.config import NetworkConfig
from testbed.packets import sampled
from testbed.packets.capture import RAW_IP, write
from testbed.packets.reference import redirected, routed, with_ip_checksum
from testbed.packets.traffic import CLOSE, DATA, END, HEAD_BYTES, START, Sent, arriving, reference
from tests import PROJECT
from tests.unit.factories.checksums import checksums_valid
from tests.unit.factories.run_factory_sample import WAY

sys.path.insert(0, str(PROJECT / "guest"))

import pacing
import protocol

SENT = Sent(
    trial=3, token=0x0123456789ABCDEF, source_port=10_002, seed=77, payload_bytes=1000,
    planned=14_000, offered=13_990,
)  # fmt: skip


def test_the_payload_is_the_clients() -> None:
    """Held against the program that sends it, for sizes at the limits of its pool too."""
    for size in (24, 25, 1000, 1472, 1 << 14):
        sent = replace(SENT, payload_bytes=size)
        message = protocol.Message(protocol.Kind.DATA, sent.trial, sent.token, 0)
        slots = pacing.datagrams(message, size, sent.seed)
        for sequence in (0, 1, 63, 64, 65, 13_999):
            slot = slots[sequence % len(slots)]
            protocol.SEQUENCE.pack_into(slot, protocol.SEQUENCE_OFFSET, sequence)
            packet = arriving(sent, DATA, sequence, WAY, 0)
            assert packet[28:] == bytes(slot), (size, sequence)


def test_control_datagrams_are_the_clients() -> None:
    message = protocol.Message(protocol.Kind.START, SENT.trial, SENT.token, SENT.planned)
    for kind, number in ((START, SENT.planned), (END, SENT.offered), (CLOSE, 0)):
        packed = message._replace(kind=protocol.Kind(kind), sequence=number).pack()
        assert arriving(SENT, kind, number, WAY, 0)[28:] == packed


def test_what_arrives_is_what_the_reference_rewrite_gives() -> None:
    """One packet two ways: crafted as it arrives, and crafted as it is sent, then rewritten."""
    network = NetworkConfig()
    way = replace(WAY, client_address=network.server_address, target_port=network.match_port)
    there = replace(way, client_address=network.client_address,
                    target_address=network.server_address)  # fmt: skip
    sent = arriving(SENT, DATA, 5, there, 0)
    sent = with_ip_checksum(sent[:8] + bytes((64,)) + sent[9:])
    assert routed(redirected(sent, network)) == arriving(SENT, DATA, 5, WAY, 0)
    assert checksums_valid(arriving(SENT, DATA, 5, WAY, 0))


def test_a_packet_is_known_by_its_own_header() -> None:
    packet = arriving(SENT, DATA, 13_999, WAY, 9)
    other = replace(SENT, token=1)
    assert reference(packet[:HEAD_BYTES], (other, SENT), WAY) == packet
    assert reference(packet[: HEAD_BYTES - 1], (SENT,), WAY) is None
    assert reference(packet[:HEAD_BYTES], (other,), WAY) is None
    assert reference(packet[:28] + b"XX" + packet[30:HEAD_BYTES], (SENT,), WAY) is None
    for kind, number in ((DATA, 14_000), (START, 1), (END, 14_000), (CLOSE, 2), (9, 0)):
        strange = arriving(SENT, kind, number, WAY, 0)
        assert reference(strange[:HEAD_BYTES], (SENT,), WAY) is None


def cut(*packets: bytes) -> tuple[sampled.Sampled, ...]:
    return sampled.cut(write(packets, RAW_IP), (SENT,), WAY)


def test_only_what_differs_is_kept_whole() -> None:
    right, wrong = arriving(SENT, DATA, 1, WAY, 0), arriving(SENT, DATA, 2, WAY, 0)
    wrong = wrong[:26] + b"\0\0" + wrong[28:]
    one, other = cut(right, wrong)
    assert (one.kept, one.length, one.is_whole) == (right[:HEAD_BYTES], 1028, False)
    assert (other.kept, other.is_whole) == (wrong, True)
    assert one.equals(right) and not one.equals(wrong)
    kept = sampled.from_files(
        sampled.to_pcap((one, other)), json.loads(sampled.to_json((one, other)))["sha256"]
    )
    assert kept == (one, other)


def test_a_sample_stays_small() -> None:
    right = [arriving(SENT, DATA, number, WAY, 0) for number in range(150)]
    wrong = [packet[:26] + b"\0\0" + packet[28:] for packet in right]
    for packets, limit in ((right, 14_000), (wrong, 32_000)):
        kept = cut(*packets)
        size = len(sampled.to_pcap(kept)) + len(sampled.to_json(kept))
        assert size < limit
        assert sum(one.is_whole for one in kept) in (0, sampled.MOST_WHOLE)


@pytest.mark.parametrize(
    ("pcap", "digests", "said"),
    [
        (b"\x1f\x8b", [], "cut off or damaged"),
        (gzip.compress(b"", mtime=0), [], "cut off or damaged"),
        (sampled.to_pcap(()), ["ab"], "0 packets, but sample.json has 1 digests"),
    ],
)
def test_a_damaged_sample_is_refused(pcap: bytes, digests: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        sampled.from_files(pcap, digests)


# --- on its way into the run ----------------------------------------------------------------------


def test_the_trial_loop_keeps_it_small() -> None:
    packet = arriving(SENT, DATA, 1, WAY, 0)
    trial = {"trial": 3, "token": "0123456789abcdef", "source_port": 10_002, "seed": 77,
             "payload_bytes": 1000, "planned": 14_000, "offered": 13_990}  # fmt: skip
    files = {
        "client.json": json.dumps({"trials": [trial]}).encode(),
        "sample.pcap": gzip.decompress(write([packet], RAW_IP)),
    }
    kept = thinned(files, NetworkConfig())
    assert kept.keys() == {"client.json", "sample.pcap.gz", "sample.json"}
    digests = json.loads(kept["sample.json"])["sha256"]
    (one,) = sampled.from_files(kept["sample.pcap.gz"], digests)
    assert one.equals(packet) and not one.is_whole
    # Nobody knows what was sent: what arrived is kept whole.
    unknown = thinned({**files, "client.json": b'{"trials": [{}]}'}, NetworkConfig())
    (one,) = sampled.from_files(unknown["sample.pcap.gz"], digests)
    assert one.kept == packet
    assert thinned({"client.json": b""}, NetworkConfig()) == {"client.json": b""}
    broken = {**files, "sample.pcap": b"not a capture"}
    assert thinned(broken, NetworkConfig()) == broken
