# SPDX-License-Identifier: Apache-2.0
"""The counter in the QEMU at hand, on a machine whose every instruction is known: bare_guest.S."""

import contextlib
import socket
import subprocess
from collections import Counter as Tally
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.analysis.counting.blocks import Visit, parse_blocks, visits
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.counter import Counter
from testbed.lab.counting import commandline, plugin
from testbed.lab.counting.plugin import Plugin
from testbed.model.count_files import TABLE_FULL
from testbed.model.errors import MachineError
from tests import PROJECT
from tests.conftest import need

INSTRUCTIONS = 15
"""From the interrupt's entry to the next HLT, with nothing planted."""
UPPER_HALF = 1 << 63


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Plugin:
    """The counter, as `testbed count` builds it."""
    return plugin.build(Account(None, tmp_path_factory.mktemp("home"), 0, 0), PROJECT)


def guest(folder: Path, **planted: int) -> Path:
    """Assemble the machine's only program."""
    for tool in ("gcc", "ld", "objcopy"):
        need(tool, "gcc binutils")
    source, made = str(PROJECT / "tests/unit/counter/bare_guest.S"), folder / "guest"
    numbers = [f"-D{name}={value}" for name, value in planted.items()]
    steps = [
        ["gcc", "-c", "-m64", *numbers, "-o", f"{made}.o", source],
        ["ld", "-n", "-Ttext", "0x100000", "-Tdata", "0x200000", "-e", "_start", "-o",
         f"{made}.64", f"{made}.o"],
        ["objcopy", "-O", "elf32-i386", f"{made}.64", str(made)],
    ]  # fmt: skip
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    return made


@contextlib.contextmanager
def machine(program: Path, built: Plugin, **words: int) -> Iterator[Counter]:
    ours, theirs = socket.socketpair()
    more = "".join(f",{name}={value}" for name, value in words.items())
    argv = [commandline.qemu_path(), "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu",
            commandline.CPU, "-m", "64", "-nodefaults", "-display", "none", "-kernel",
            str(program), "-plugin", f"{built.file},reader={theirs.fileno()}{more}"]  # fmt: skip
    process = subprocess.Popen(argv, pass_fds=[theirs.fileno()], stderr=subprocess.DEVNULL)
    try:
        theirs.close()
        counter = Counter(ours)
        counter.begin(30)
        counter.on()
        yield counter
    finally:
        process.kill()
        process.wait()
        ours.close()


def stretch(counter: Counter) -> list[Visit]:
    """The third time that the timer wakes the CPU: everything is translated by then."""
    seen = 0
    for found in counter.stretches(30):
        blocks = parse_blocks(b"".join(counter.blocks.values()), "test")
        ran = list(visits(found.visits, blocks, "test"))
        if ran and all(visit.block.address >= UPPER_HALF for visit in ran):
            seen += 1
            if seen == 3:
                return ran
    raise AssertionError


def total(ran: list[Visit]) -> dict[str, int]:
    sums: Tally[str] = Tally()
    for visit in ran:
        sums.update(
            instructions=visit.instructions, copied=visit.copied, filled=visit.filled,
            device=visit.device, ports=visit.block.ports,
        )  # fmt: skip
    return dict(sums)


@pytest.mark.parametrize("nops", [0, 1, 10, 100])
def test_each_planted_instruction_counts_one(nops: int, built: Plugin, tmp_path: Path) -> None:
    with machine(guest(tmp_path, NOPS=nops), built) as counter:
        found = total(stretch(counter))
    assert found == {
        "instructions": INSTRUCTIONS + nops, "copied": 1, "filled": 1, "device": 1, "ports": 1,
    }  # fmt: skip


def test_a_copy_of_known_length_is_found_with_its_length(built: Plugin, tmp_path: Path) -> None:
    """Longer than QEMU 10 runs at once, so that a repeated block comes back there, too."""
    with machine(guest(tmp_path, COPY=70000, FILL=4096), built) as counter:
        found = total(stretch(counter))
    assert found == {
        "instructions": INSTRUCTIONS, "copied": 70000, "filled": 4096, "device": 1, "ports": 1,
    }  # fmt: skip


def test_the_same_interrupt_takes_the_same_path_every_time(built: Plugin, tmp_path: Path) -> None:
    with machine(guest(tmp_path), built) as counter:
        paths = {tuple(visit.block for visit in stretch(counter)) for _ in range(3)}
    assert len(paths) == 1


def test_more_blocks_than_the_table_holds_are_told(built: Plugin, tmp_path: Path) -> None:
    """Two blocks have a place, as `blocks=` says; the interrupt's are among those without one."""
    with machine(guest(tmp_path), built, blocks=2) as counter:
        found = [one for one, _ in zip(counter.stretches(30), range(4), strict=False)]
        assert all(one.flags & TABLE_FULL for one in found[1:])
        state = counter.off()
    assert (state.blocks, state.capacity, state.full) == (2, 2, True)


def test_a_table_of_a_size_that_it_cannot_have_is_refused(built: Plugin, tmp_path: Path) -> None:
    with (
        pytest.raises(MachineError, match="ended while it was counting"),
        machine(guest(tmp_path), built, blocks=1 << 20),
    ):
        pass
