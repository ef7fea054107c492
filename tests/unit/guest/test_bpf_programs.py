# SPDX-License-Identifier: Apache-2.0
"""Every BPF program of a kernel, and that its runs are counted only while somebody asks for it."""

import ctypes
import os
import socket
import struct
import sys
import time
from collections.abc import Iterator

import pytest

from tests import PROJECT

sys.path.insert(0, str(PROJECT / "guest"))

import bpf_programs

BPF_PROG_LOAD, BPF_ENABLE_STATS, SOCKET_FILTER, SO_ATTACH_BPF = 5, 32, 1, 50
#: r0 = 65535; exit: a socket filter that keeps every packet.
CODE = struct.pack("=BBhi", 0xB7, 0, 0, 65535) + struct.pack("=BBhi", 0x95, 0, 0, 0)


@pytest.fixture
def program() -> Iterator[int]:
    """A program of the test's own, by its descriptor."""
    code, licence = ctypes.create_string_buffer(CODE), ctypes.create_string_buffer(b"GPL")
    words = struct.pack(
        "=IIQQIIQII16s", SOCKET_FILTER, 2, ctypes.addressof(code), ctypes.addressof(licence),
        0, 0, 0, 0, 0, b"testbed_one",
    )  # fmt: skip
    try:
        handle = bpf_programs._bpf(BPF_PROG_LOAD, words)[0]
    except OSError as error:
        pytest.skip(f"no BPF program can be loaded here: {error.strerror}")
    yield handle
    os.close(handle)


def mine() -> dict[str, object]:
    return next(one for one in bpf_programs.programs() if one["name"] == "testbed_one")


def test_a_program_is_found_and_its_runs_are_counted(program: int) -> None:
    found = mine()
    assert (found["type"], found["run_cnt"], found["run_time_ns"]) == ("socket_filter", 0, 0)
    assert len(str(found["tag"])) == 16
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        other.setsockopt(socket.SOL_SOCKET, SO_ATTACH_BPF, program)
        one.send(b"nobody counts")
        assert mine()["run_cnt"] == 0
        held = bpf_programs._bpf(BPF_ENABLE_STATS, struct.pack("=I", 0))[0]
        one.send(b"one")
        one.send(b"two")
        os.close(held)
        one.send(b"nobody counts")
    assert mine()["run_cnt"] == 2


def test_a_program_that_is_gone_is_not_listed(program: int) -> None:
    assert any(one["name"] == "testbed_one" for one in bpf_programs.programs())
    os.close(program)
    try:
        limit = time.monotonic() + 20  # a busy kernel lets go of it a little later
        while any(one["name"] == "testbed_one" for one in bpf_programs.programs()):
            assert time.monotonic() < limit
            time.sleep(0.01)
    finally:
        os.dup2(os.open(os.devnull, os.O_RDONLY), program)  # for the fixture to close
