# SPDX-License-Identifier: Apache-2.0
"""The counter's C against a pretended QEMU: what becomes of blocks, iterations and accesses."""

import ctypes
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.counting.blocks import Visit, parse_blocks, visits
from testbed.edge.hypervisor.counter import Counter, Stretch
from testbed.model.count_files import TABLE_FULL, VISIT
from testbed.model.errors import MachineError, NoAnswer
from tests import PROJECT
from tests.conftest import need

KERNEL = 0xFFFF_FFFF_8100_0000
TASKS = Path("/proc/self/task")
NOP, MOVE, STOSB = b"\x90", b"\x48\x89\x07", b"\xaa"
REP_MOVSB, REP_STOSQ = b"\xf3\xa4", b"\xf3\x48\xab"
CALL, IRETQ, IN, CMOV = b"\xe8\0\0\0\0", b"\x48\xcf", b"\xec", b"\x0f\x45\xc1"


class Info(ctypes.Structure):
    """QEMU's own words about itself, as far as the counter reads them."""

    _fields_ = [
        ("target_name", ctypes.c_char_p), ("min", ctypes.c_int), ("cur", ctypes.c_int),
        ("system_emulation", ctypes.c_bool), ("smp", ctypes.c_int), ("max", ctypes.c_int),
    ]  # fmt: skip


class Machine:
    """A pretended QEMU with the counter loaded."""

    def __init__(self, library: Path, interface: int = 1, cpus: int = 1) -> None:
        self.c = ctypes.CDLL(str(library))
        self.c.fake_translate.restype = ctypes.c_void_p
        ours, self.theirs = socket.socketpair()
        self.counter = Counter(ours)
        arguments = (ctypes.c_char_p * 1)(f"reader={self.theirs.fileno()}".encode())
        info = Info(b"x86_64", 0, interface, True, cpus, cpus)
        identity, before = ctypes.c_uint64(1), set(TASKS.iterdir())
        self.status = self.c.qemu_plugin_install(identity, ctypes.byref(info), 1, arguments)
        self.listener = set(TASKS.iterdir()) - before

    def close(self) -> None:
        """End the counter's listener, before another test's socket gets the number of ours."""
        self.counter.link.close()
        while self.listener.intersection(TASKS.iterdir()):
            time.sleep(0.001)
        self.theirs.close()

    def block(self, address: int, *instructions: bytes) -> Any:
        sizes = bytes(len(one) for one in instructions)
        data = b"".join(one.ljust(16, b"\0") for one in instructions)
        count = ctypes.c_size_t(len(instructions))
        return ctypes.c_void_p(self.c.fake_translate(ctypes.c_uint64(address), count, sizes, data))

    def run(self, block: Any, times: int = 1) -> None:
        for _ in range(times):
            self.c.fake_run(block)

    def access(
        self, block: Any, index: int, address: int, size: int = 8, *,
        store: bool = False, device: bool = False,
    ) -> None:  # fmt: skip
        self.c.fake_access(
            block, ctypes.c_size_t(index), ctypes.c_uint64(address), size, store, device
        )

    def stretch(self) -> tuple[Stretch, list[Visit]]:
        """End the stretch and return it with its visits."""
        self.c.fake_idle()
        found = next(self.counter.stretches(5))
        blocks = parse_blocks(b"".join(self.counter.blocks.values()), "test")
        return found, list(visits(found.visits, blocks, "test"))

    def begin(self) -> None:
        assert self.counter.on().on
        self.c.fake_resume()


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """The counter with the pretended QEMU, by plugin interface."""
    need("gcc", "gcc libc6-dev")
    folder = tmp_path_factory.mktemp("counter")
    return {interface: compiled(folder, interface) for interface in (1, 4)}


def compiled(folder: Path, interface: int) -> Path:
    library = folder / f"counter-{interface}.so"
    sources = [PROJECT / "counter/counter.c", PROJECT / "tests/unit/counter/fake_qemu.c"]
    argv = ["gcc", "-O1", "-Wall", "-Wextra", "-Wvla", "-Wno-unused-parameter", "-Werror", "-fPIC",
            "-shared", "-pthread", f"-DPLUGIN_VERSION={interface}", "-DBLOCKS=64",
            f"-I{PROJECT / 'counter'}", "-o", str(library), *map(str, sources)]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return library


def own(library: Path, folder: Path) -> Path:
    """A copy: the same file would be loaded once, with the state of the test before."""
    return Path(shutil.copy(library, folder / library.name))


@pytest.fixture(params=[1, 4], ids=["QEMU 7.2's interface", "QEMU 10.0's"])
def machine(
    tmp_path: Path, built: dict[int, Path], request: pytest.FixtureRequest
) -> Iterator[Machine]:
    made = Machine(own(built[request.param], tmp_path), request.param)
    made.counter.begin(5)
    assert made.counter.interface == request.param
    made.begin()
    yield made
    made.close()


def test_each_block_that_runs_is_told_with_its_instructions(machine: Machine) -> None:
    first, second = machine.block(KERNEL, NOP, MOVE, CALL), machine.block(KERNEL + 64, IRETQ)
    machine.run(first)
    machine.run(second)
    machine.run(first)
    _, ran = machine.stretch()
    assert [one.instructions for one in ran] == [3, 1, 3]
    assert [one.block.address for one in ran] == [KERNEL, KERNEL + 64, KERNEL]
    assert [one.block.calls for one in ran] == [True, False, True]
    assert [one.block.irets for one in ran] == [False, True, False]
    assert ran[0].block.after == KERNEL + 9


def test_a_repeated_string_instruction_counts_once_and_its_bytes_are_told(
    machine: Machine,
) -> None:
    """QEMU 7.2: the block runs the first iteration, a block of one instruction the others."""
    whole = machine.block(KERNEL, NOP, NOP, REP_MOVSB)
    again = machine.block(KERNEL + 2, REP_MOVSB)
    machine.run(whole)
    for number, block in enumerate([whole, *[again] * 9]):
        if number:
            machine.run(again)
        index = 2 if block is whole else 0
        machine.access(block, index, KERNEL + 4096 + number, 1)
        machine.access(block, index, KERNEL + 8192 + number, 1, store=True)
    machine.run(machine.block(KERNEL + 4, NOP))
    _, ran = machine.stretch()
    assert [one.instructions for one in ran] == [3, 1]
    assert (ran[0].copied, ran[0].filled, ran[0].loads, ran[0].stores) == (10, 0, 0, 0)


def test_what_stos_fills_is_told_apart_from_copies(machine: Machine) -> None:
    fill = machine.block(KERNEL, REP_STOSQ)
    machine.run(fill, times=3)
    for number in range(3):
        machine.access(fill, 0, KERNEL + 4096 + 8 * number, store=True)
    _, ran = machine.stretch()
    assert [one.instructions for one in ran] == [1]
    assert (ran[0].copied, ran[0].filled) == (0, 24)


def test_a_loop_over_one_plain_instruction_is_not_folded(machine: Machine) -> None:
    plain = machine.block(KERNEL, STOSB)
    machine.run(plain, times=4)
    assert len(machine.stretch()[1]) == 4


def test_loads_stores_devices_and_lines_are_counted_for_the_block_that_makes_them(
    machine: Machine,
) -> None:
    block = machine.block(KERNEL, MOVE, MOVE)
    machine.run(block)
    machine.access(block, 0, 0xFFFF_8880_0000_0000)
    machine.access(block, 1, 0xFFFF_8880_0000_0008, store=True)
    machine.run(block)
    machine.access(block, 0, 0xFFFF_8880_0000_0010)
    machine.access(block, 1, 0xFFFF_8880_0000_0040, 4, store=True, device=True)
    found, ran = machine.stretch()
    assert [(one.loads, one.stores, one.device) for one in ran] == [(1, 1, 0), (1, 1, 1)]
    assert list(found.lines[::2]) == [1, 1], "lines of 64 bytes, each once a stretch"


def test_port_instructions_are_told_by_their_opcodes(machine: Machine) -> None:
    machine.run(machine.block(KERNEL, NOP, IN))
    machine.run(machine.block(KERNEL + 64, CMOV))
    _, ran = machine.stretch()
    assert [one.block.ports for one in ran] == [1, 0]


def test_a_block_that_a_device_access_ends_counts_what_ran(machine: Machine) -> None:
    """QEMU from 8.2 on: one instruction runs alone, without its block's callback."""
    whole, alone = machine.block(KERNEL, NOP, MOVE, NOP, NOP), machine.block(KERNEL + 1, MOVE)
    rest = machine.block(KERNEL + 4, NOP, NOP)
    machine.run(whole)
    machine.access(alone, 0, 0xFFFF_C900_0000_0000, 4, device=True)
    machine.run(rest)
    _, ran = machine.stretch()
    assert [one.instructions for one in ran] == [2, 2]
    assert ran[0].device == 1


def test_an_instruction_that_crosses_a_page_counts_once(machine: Machine) -> None:
    """QEMU 7.2 lists it in the block before, cut at the page's end, and runs it in the next."""
    cut = machine.block(KERNEL + 4093, NOP, NOP, MOVE[:1])
    machine.run(cut)
    machine.run(machine.block(KERNEL + 4095, MOVE))
    machine.run(machine.block(KERNEL + 4098, NOP))
    machine.run(cut)
    machine.run(machine.block(KERNEL + 8192, NOP))
    _, ran = machine.stretch()
    assert [one.instructions for one in ran] == [2, 1, 1, 3, 1]


def test_programs_are_known_by_their_length_alone(machine: Machine) -> None:
    machine.run(machine.block(0x5555_0000, NOP, NOP))
    machine.run(machine.block(0x7777_0000, NOP, NOP))
    found, ran = machine.stretch()
    assert [one.block.user for one in ran] == [True, True]
    assert len({number for (number, *_) in VISIT.iter_unpack(found.visits)}) == 1


def test_nothing_is_told_while_it_is_off(machine: Machine) -> None:
    machine.run(machine.block(KERNEL, NOP))
    assert not machine.counter.off().on
    machine.c.fake_idle()
    machine.c.fake_resume()
    machine.run(machine.block(KERNEL, NOP))
    machine.c.fake_idle()
    with pytest.raises(NoAnswer):
        next(machine.counter.stretches(0.2))


def test_a_full_table_is_said(machine: Machine) -> None:
    state = machine.counter.off()
    for number in range(state.capacity - state.blocks + 1):
        machine.block(KERNEL + 16 * number, NOP)
    assert machine.counter.on().full
    machine.c.fake_resume()
    machine.run(machine.block(KERNEL - 4096, NOP))
    machine.c.fake_idle()
    assert next(machine.counter.stretches(5)).flags & TABLE_FULL


def test_two_cpus_are_refused(
    tmp_path: Path, built: dict[int, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    made = Machine(own(built[1], tmp_path), cpus=2)
    assert made.status == 1
    assert "one x86_64 CPU" in capfd.readouterr().err


def test_a_counter_that_ends_is_no_counter_that_is_late(machine: Machine) -> None:
    machine.theirs.shutdown(socket.SHUT_RDWR)
    with pytest.raises(MachineError):
        next(machine.counter.stretches(5))
