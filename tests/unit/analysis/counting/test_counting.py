# SPDX-License-Identifier: Apache-2.0
"""Exact counts from a record: contexts, the packet's life, typical counts, causes."""

from pathlib import Path

import pytest

from testbed.analysis.counting.blocks import parse_blocks, visits
from testbed.analysis.counting.contexts import Step, Walk
from testbed.analysis.counting.life import cut
from testbed.analysis.counting.summary import Summary
from testbed.model import symbols
from tests.unit.factories.counting_factory import (
    CALL,
    IRET,
    JUMP,
    REP,
    RETURN,
    Kernel,
    counted,
    packet,
    tick,
)

OWN = {"interrupt_to_socket": 10 + 5 + 4 + 20 + 30 + 8, "receive_and_free": 4 + 4 + 1 + 12 + 6,
       "program": 7}  # fmt: skip


def walked(kernel: Kernel, path: bytes) -> list[Step]:
    blocks = parse_blocks(b"".join(kernel.blocks().values()), "test")
    return Walk(symbols.parse(kernel.symbols()), "e1000_intr").through(visits(path, blocks, "test"))


def contexts(steps: list[Step]) -> dict[str, int]:
    found: dict[str, int] = {}
    for step in steps:
        found[step.context.name] = found.get(step.context.name, 0) + step.instructions
    return found


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


def test_every_block_has_the_context_that_it_was_entered_for(kernel: Kernel) -> None:
    assert contexts(walked(kernel, packet(kernel))) == {
        "NIC interrupt": 2 + 3 + 5 + 5 + 4 + 4 + 1,
        "NAPI and softirq": 6 + 14,
        "backlog": 30 + 8 + 4,
        "scheduler": 50 + 11 + 13 + 17 + 3,
        "idle": 9,
        "receive call": 12 + 6 + 40 + 5,
        "program": 7,
    }


def test_a_tick_within_the_receive_call_is_no_part_of_it(kernel: Kernel) -> None:
    plain = contexts(walked(kernel, packet(kernel)))
    hit = contexts(walked(kernel, packet(kernel, within=tick(kernel))))
    assert hit.pop("timer tick") == 201
    assert hit == plain


def test_another_devices_interrupt_is_not_the_nics(kernel: Kernel) -> None:
    other = [
        kernel.visit("irq_entries_start", 2, offset=64),
        kernel.visit("common_interrupt", 30, offset=512),
        kernel.visit("native_irq_return_iret", 1, IRET),
    ]
    found = contexts(walked(kernel, packet(kernel, within=other)))
    assert found["other"] == 33
    assert cut(walked(kernel, b"".join(other))) is None


def test_an_interrupt_of_the_nic_without_a_packet_is_no_packet(kernel: Kernel) -> None:
    """The driver's watchdog makes one every two seconds."""
    watchdog = [
        kernel.visit("irq_entries_start", 2),
        kernel.visit("e1000_intr", 5, RETURN),
        kernel.visit("native_irq_return_iret", 1, IRET),
    ]
    assert cut(walked(kernel, b"".join(watchdog))) is None
    found = cut(walked(kernel, b"".join([*watchdog, packet(kernel)])))
    assert found is not None
    assert found.start == 3


def test_a_call_that_never_returns_as_a_call_does_no_harm(kernel: Kernel) -> None:
    """A retpoline calls to push an address, and leaves by a return to somewhere else."""
    thunk = [kernel.visit("__x86_indirect_thunk_array", 3, CALL)]
    found = contexts(walked(kernel, packet(kernel, within=thunk)))
    assert found["receive call"] == 12 + 6 + 40 + 5 + 3


def test_a_string_instruction_that_a_tick_stops_counts_once(kernel: Kernel, tmp_path: Path) -> None:
    whole = kernel.visit("memset", 3, REP, offset=64, filled=40)
    rest = kernel.visit("memset", 1, REP, offset=64 + 8, filled=24)
    found = Summary.of(
        counted(tmp_path, kernel, [packet(kernel, within=[whole, *tick(kernel), rest])])
    )
    assert found.part("receive_and_free")["typical"] == OWN["receive_and_free"] + 3
    assert found.typical.taken().filled == 64 + 40 + 24
    assert found.closes


def test_the_parts_of_a_life_add_up_to_all_that_was_recorded(
    kernel: Kernel, tmp_path: Path
) -> None:
    found = Summary.of(counted(tmp_path, kernel, [packet(kernel, extra=tick(kernel))]))
    assert {name: found.part(name)["typical"] for name in OWN} == OWN
    assert found.typical.own == sum(OWN.values())
    assert found.part("wake_up")["typical"] == 50 + 9 + 11 + 13 + 17 + 3
    assert found.typical.by_part["outside"] == 40 + 5 + 201
    assert found.typical.recorded == sum(found.typical.by_part.values())


def test_a_cut_block_counts_what_ran(kernel: Kernel, tmp_path: Path) -> None:
    block = kernel.visit("memset", 9, JUMP, offset=64, device=1, ran=4)
    found = Summary.of(counted(tmp_path, kernel, [packet(kernel, within=[block])]))
    assert found.typical.own == sum(OWN.values()) + 4
    assert found.typical.taken().device == 1


def test_a_dropped_packet_names_who_gave_it_up(kernel: Kernel, tmp_path: Path) -> None:
    found = Summary.of(counted(tmp_path, kernel, [packet(kernel, hook=12, delivered=False)]))
    assert found.delivered == 0
    assert found.freed_by == {"redirect_udp [redirect_nf]": 1}
    assert found.typical.own == 2 + 3 + 5 + 5 + 4 + 20 + 12 + 9 + 4 + 1


def test_the_typical_count_is_the_most_frequent_and_each_other_has_its_cause(
    kernel: Kernel, tmp_path: Path
) -> None:
    plain, refill = packet(kernel), packet(kernel, page=600)
    found = Summary.of(counted(tmp_path, kernel, [*[plain] * 4, refill] * 5))
    usual = sum(OWN.values())
    assert found.typical.own == usual
    assert found.typical_share == 0.8
    assert found.mean_instructions == usual + 601 / 5
    first, second = found.variants
    assert (first.count, first.packets, first.difference, first.every) == (usual, 20, 0, None)
    assert (second.packets, second.difference, second.every) == (5, 601, 5)
    assert second.cause == "a new page for the receive ring"
    assert second.functions == {"page_frag_alloc_align": 600, "net_rx_action": 1}


def test_a_cause_that_is_not_known_is_told_by_its_functions(kernel: Kernel, tmp_path: Path) -> None:
    paths = [packet(kernel), packet(kernel), packet(kernel, hook=30)]
    found = Summary.of(counted(tmp_path, kernel, paths))
    assert found.variants[1].cause == "redirect_udp [redirect_nf] +30"


def test_of_two_equally_frequent_counts_the_lower_is_typical(
    kernel: Kernel, tmp_path: Path
) -> None:
    paths = [packet(kernel, hook=30), packet(kernel)]
    assert Summary.of(counted(tmp_path, kernel, paths)).typical.own == sum(OWN.values())


def test_a_function_far_from_every_symbol_has_no_name(kernel: Kernel, tmp_path: Path) -> None:
    only = "".join(
        line + "\n" for line in kernel.symbols().splitlines() if "nf_hook_slow" not in line
    )
    lost = [kernel.visit("asm_exc_page_fault", 100, JUMP, offset=1 << 20)]
    found = Summary.of(counted(tmp_path, kernel, [packet(kernel, within=lost)], symbols=only))
    assert found.named_share == pytest.approx(1 - 100 / (sum(OWN.values()) + 103 + 100))
