# SPDX-License-Identifier: Apache-2.0
"""The rewriting shared by the kernel module and the XDP program, against full recomputation.

`rewrite.h` is compiled as it is into a shared object; packets are bytes from the IP header on.
"""

import ctypes
import struct
import subprocess
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import PROJECT
from tests.conftest import need

INCLUDE = PROJECT / "guest" / "arms" / "include"
FLAGS = (
    *("-std=gnu11", "-O2", "-shared", "-fPIC", f"-I{INCLUDE}"),
    *("-Wall", "-Wextra", "-Werror"),
    *("-fsanitize=undefined", "-fsanitize-undefined-trap-on-error"),
)
CLIENT = IPv4Address("192.168.64.7")
SERVER = IPv4Address("192.168.64.2")
TARGET = IPv4Address("10.0.1.2")
SHIM = """
#include "rewrite.h"
int matches(const struct redirect_headers *h, __u32 room, const struct redirect_rule *rule)
{ return redirect_matches(h, room, rule); }
void rewrite(struct redirect_headers *h, const struct redirect_rule *rule)
{ redirect_packet(h, rule); }
void rewrite_partial(struct redirect_headers *h, const struct redirect_rule *rule)
{ redirect_packet_partial(h, rule); }
__u16 update(__u16 check, __u16 from, __u16 to)
{ return checksum_update(check, checksum_change16(from, to)); }
"""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    compiler = need("gcc", "gcc libc6-dev")
    built = tmp_path_factory.mktemp("rewrite") / "rewrite.so"
    subprocess.run(
        [compiler, *FLAGS, "-x", "c", "-", "-o", str(built)],
        input=SHIM,
        text=True,
        check=True,
    )
    library = ctypes.CDLL(str(built))
    library.update.restype = ctypes.c_uint16
    return library


def ones_complement_sum(data: bytes) -> int:
    """RFC 1071, section 1: plain and slow, the oracle of this file."""
    padded = data + bytes(len(data) % 2)
    total: int = 0
    for (word,) in struct.iter_unpack("!H", padded):
        total += word
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Datagram:
    """A UDP datagram; a length of None means the true one, a checksum of None the right one."""

    source: IPv4Address = CLIENT
    destination: IPv4Address = SERVER
    source_port: int = 10000
    port: int = 8080
    payload: bytes = b"payload"
    identification: int = 1
    ttl: int = 64
    first_byte: int = 0x45
    protocol: int = 17
    fragment: int = 0
    ip_bytes: int | None = None
    udp_bytes: int | None = None
    udp_checksum: int | None = None

    def pseudo_header(self) -> bytes:
        length = 8 + len(self.payload)
        return self.source.packed + self.destination.packed + struct.pack("!HH", 17, length)

    def full_udp_checksum(self) -> int:
        length = 8 + len(self.payload)
        header = struct.pack("!HHHH", self.source_port, self.port, length, 0)
        total = ones_complement_sum(self.pseudo_header() + header + self.payload)
        return ~total & 0xFFFF or 0xFFFF

    def pack(self) -> bytes:
        """The packet from the IP header on."""
        true_udp_bytes = 8 + len(self.payload)
        udp_bytes = true_udp_bytes if self.udp_bytes is None else self.udp_bytes
        ip_bytes = 20 + true_udp_bytes if self.ip_bytes is None else self.ip_bytes
        checksum = self.full_udp_checksum() if self.udp_checksum is None else self.udp_checksum
        start = struct.pack(
            "!BBHHH", self.first_byte, 0, ip_bytes, self.identification, self.fragment
        )
        end = struct.pack("!BBH", self.ttl, self.protocol, 0)
        header = start + end + self.source.packed + self.destination.packed
        ip_checksum = struct.pack("!H", ~ones_complement_sum(header) & 0xFFFF)
        udp = struct.pack("!HHHH", self.source_port, self.port, udp_bytes, checksum)
        return header[:10] + ip_checksum + header[12:] + udp + self.payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    match_address: IPv4Address = SERVER
    match_port: int = 8080
    target_address: IPv4Address = TARGET
    target_port: int = 8083

    def pack(self) -> bytes:
        ports = struct.pack("!HH", self.match_port, self.target_port)
        return self.match_address.packed + self.target_address.packed + ports

    def redirected(self, sent: Datagram) -> Datagram:
        return replace(sent, destination=self.target_address, port=self.target_port)


def call(function: "ctypes._NamedFuncPointer", packet: bytes, rule: Rule) -> bytes:
    buffer = ctypes.create_string_buffer(packet, len(packet))
    function(buffer, rule.pack())
    return buffer.raw


def matches(shared: ctypes.CDLL, packet: bytes, rule: Rule) -> bool:
    return bool(shared.matches(packet, len(packet), rule.pack()))


addresses = st.integers(1, 2**32 - 1).map(IPv4Address)
ports = st.integers(1, 65535)
datagrams = st.builds(
    Datagram,
    source=addresses,
    destination=addresses,
    source_port=ports,
    port=ports,
    payload=st.binary(max_size=1472),
    identification=st.integers(0, 65535),
    ttl=st.integers(1, 255),
)
rules = st.builds(
    Rule,
    match_address=addresses,
    match_port=ports,
    target_address=addresses,
    target_port=ports,
)


@given(sent=datagrams, rule=rules)
@settings(max_examples=500, deadline=None)
def test_incremental_equals_full_recomputation(
    shared: ctypes.CDLL, sent: Datagram, rule: Rule
) -> None:
    assert call(shared.rewrite, sent.pack(), rule) == rule.redirected(sent).pack()


@given(sent=datagrams, rule=rules)
@settings(max_examples=200, deadline=None)
def test_no_udp_checksum_stays_no_checksum(shared: ctypes.CDLL, sent: Datagram, rule: Rule) -> None:
    unchecked = replace(sent, udp_checksum=0)
    assert call(shared.rewrite, unchecked.pack(), rule) == rule.redirected(unchecked).pack()


def with_zero_sum(datagram: Datagram) -> Datagram:
    """The same with two more bytes of payload that make its UDP checksum come out as 0."""
    even = datagram.payload + bytes(len(datagram.payload) % 2)
    filler = replace(datagram, payload=even + b"\0\0").full_udp_checksum()
    return replace(datagram, payload=even + struct.pack("!H", filler))


@given(sent=datagrams, rule=rules)
@settings(max_examples=200, deadline=None)
def test_udp_checksum_that_computes_to_zero_is_sent_as_ffff(
    shared: ctypes.CDLL, sent: Datagram, rule: Rule
) -> None:
    arriving = with_zero_sum(rule.redirected(sent))
    assert arriving.full_udp_checksum() == 0xFFFF
    sent = replace(arriving, destination=sent.destination, port=sent.port)
    assert call(shared.rewrite, sent.pack(), rule) == arriving.pack()


@given(sent=datagrams, rule=rules)
@settings(max_examples=200, deadline=None)
def test_rewriting_from_a_checksum_of_ffff(shared: ctypes.CDLL, sent: Datagram, rule: Rule) -> None:
    sent = with_zero_sum(sent)
    assert call(shared.rewrite, sent.pack(), rule) == rule.redirected(sent).pack()


@given(sent=datagrams, rule=rules)
@settings(max_examples=200, deadline=None)
def test_ip_checksum_that_computes_to_zero_stays_zero(
    shared: ctypes.CDLL, sent: Datagram, rule: Rule
) -> None:
    arriving = rule.redirected(replace(sent, identification=0))
    identification = int.from_bytes(arriving.pack()[10:12], "big")
    sent = replace(sent, identification=identification)
    rewritten = call(shared.rewrite, sent.pack(), rule)
    assert rewritten[10:12] == b"\0\0"
    assert rewritten == rule.redirected(sent).pack()


@given(sent=datagrams, rule=rules, damage=st.integers(1, 0xFFFE))
@settings(max_examples=200, deadline=None)
def test_a_damaged_packet_stays_damaged(
    shared: ctypes.CDLL, sent: Datagram, rule: Rule, damage: int
) -> None:
    wrong = (sent.full_udp_checksum() + damage - 1) % 0xFFFF + 1
    rewritten = call(shared.rewrite, replace(sent, udp_checksum=wrong).pack(), rule)
    assert rewritten[26:28] != rule.redirected(sent).pack()[26:28]
    assert rewritten[26:28] != b"\0\0"


@given(sent=datagrams, rule=rules)
@settings(max_examples=200, deadline=None)
def test_partial_checksum_is_right_once_finished(
    shared: ctypes.CDLL, sent: Datagram, rule: Rule
) -> None:
    """CHECKSUM_PARTIAL: the field holds the pseudo-header's sum; finishing sums UDP over it."""
    pseudo_sum = ones_complement_sum(sent.pseudo_header())
    partial = replace(sent, udp_checksum=pseudo_sum)
    rewritten = call(shared.rewrite_partial, partial.pack(), rule)
    finished = ~ones_complement_sum(rewritten[20:]) & 0xFFFF or 0xFFFF
    whole = rewritten[:26] + struct.pack("!H", finished) + rewritten[28:]
    assert whole == rule.redirected(sent).pack()


def test_the_example_of_rfc_1624(shared: ctypes.CDLL) -> None:
    """Section 4: the equation of RFC 1141 gives 0xffff here, a full recomputation 0."""
    assert shared.update(0xDD2F, 0x5555, 0x3285) == 0x0000


@given(sent=datagrams)
@settings(max_examples=100, deadline=None)
def test_matches_whole_datagrams_to_address_and_port(shared: ctypes.CDLL, sent: Datagram) -> None:
    rule = Rule(match_address=sent.destination, match_port=sent.port)
    assert matches(shared, sent.pack(), rule)
    assert not matches(shared, sent.pack(), replace(rule, match_port=sent.port ^ 1))
    other = IPv4Address(int(sent.destination) ^ 1)
    assert not matches(shared, sent.pack(), replace(rule, match_address=other))


@pytest.mark.parametrize(
    "untouched",
    [
        pytest.param(Datagram(first_byte=0x46), id="IP options"),
        pytest.param(Datagram(first_byte=0x44), id="header too short"),
        pytest.param(Datagram(first_byte=0x65), id="not IPv4"),
        pytest.param(Datagram(protocol=6), id="TCP"),
        pytest.param(Datagram(protocol=136), id="UDP-Lite"),
        pytest.param(Datagram(fragment=0x2000), id="first fragment"),
        pytest.param(Datagram(fragment=0x2001), id="middle fragment"),
        pytest.param(Datagram(fragment=0x1FFF), id="last fragment"),
        pytest.param(Datagram(udp_bytes=7), id="UDP shorter than its header"),
        pytest.param(Datagram(udp_bytes=16), id="UDP longer than IP"),
        pytest.param(Datagram(udp_bytes=65535), id="UDP far longer than IP"),
        pytest.param(Datagram(ip_bytes=27), id="IP too short for UDP"),
        pytest.param(Datagram(ip_bytes=36), id="truncated"),
    ],
)
def test_leaves_everything_else_alone(shared: ctypes.CDLL, untouched: Datagram) -> None:
    assert not matches(shared, untouched.pack(), Rule())


@pytest.mark.parametrize(
    "touched",
    [
        pytest.param(Datagram(payload=b""), id="no payload"),
        pytest.param(Datagram(fragment=0x4000), id="don't fragment"),
        pytest.param(Datagram(udp_bytes=10), id="UDP shorter than IP"),
        pytest.param(Datagram(ip_bytes=35, payload=b"payload" + bytes(20)), id="link padding"),
    ],
)
def test_matches_the_unusual_but_valid(shared: ctypes.CDLL, touched: Datagram) -> None:
    short = replace(touched, udp_bytes=15) if touched.ip_bytes else touched
    assert matches(shared, short.pack(), Rule())
