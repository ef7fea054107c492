# SPDX-License-Identifier: Apache-2.0
"""A whole count: what is wrong with it, its table, its JSON, and the line over payload sizes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.counting import raw, result, table
from testbed.analysis.counting.payloads import fit, line
from testbed.analysis.counting.summary import Summary
from testbed.analysis.receipt.count_run import load_count
from testbed.analysis.receipt.judged import JudgedCount, judge_count
from testbed.model import symbols
from testbed.model.errors import ParseError
from tests.unit.analysis.counting.test_counting import OWN
from tests.unit.factories.counting_factory import (
    IRET,
    JUMP,
    Kernel,
    counted,
    cut_off,
    packet,
    write_arm,
    write_run,
)


@pytest.fixture
def kernel() -> Kernel:
    return Kernel()


Fault = Callable[[Path, Kernel], None]


def judged(run: Path) -> JudgedCount:
    """A count that was ended in good order, judged."""
    return judge_count(replace(load_count(run), complete=True, reasons=()))


def _rewritten(**changes: object) -> Fault:
    def break_it(folder: Path, kernel: Kernel) -> None:
        write_arm(folder, kernel, [packet(kernel)], **changes)

    return break_it


def _cut_short(folder: Path, kernel: Kernel) -> None:
    """Other work filled the record before the program had the datagram."""
    cut = cut_off(packet(kernel), 10)
    paths = [packet(kernel), cut, cut]
    write_arm(folder, kernel, paths, flags=2, hits=HOOK)


HOOK = {"before": [0], "after": [306]}
FAULTS: dict[str, tuple[Fault, str]] = {
    "hits": (_rewritten(hits={"before": [0], "after": [305]}), "counted 305 packets of 306"),
    "gone": (
        _rewritten(verify={"before": {}, "after": None, "problem": "it is not there"}),
        "the hook was gone at the end: it is not there",
    ),
    "table": (
        _rewritten(table={"blocks": 131071, "capacity": 131071, "full": True}),
        "more blocks ran than",
    ),
    "block without a place": (_rewritten(flags=1), "more blocks ran than"),
    "cut": (_cut_short, "too long beside 2 of 3 packets"),
    "names": (_rewritten(symbols="0000000000000000 t _text\n"), "no packet of 1,000 bytes"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_count_that_is_not_whole_says_so(name: str, kernel: Kernel, tmp_path: Path) -> None:
    run = write_run(tmp_path, ["none"], [1000])
    write_arm(run / "count/none-1000", kernel, [packet(kernel)], hits=HOOK)
    assert judged(run).problems == []
    fault, words = FAULTS[name]
    fault(run / "count/none-1000", kernel)
    (problem,) = judged(run).problems
    assert words in problem


def test_unnamed_code_is_a_problem(kernel: Kernel, tmp_path: Path) -> None:
    run = write_run(tmp_path, ["none"], [1000])
    lost = [kernel.visit("asm_exc_page_fault", 100, JUMP, offset=1 << 20)]
    write_arm(run / "count/none-1000", kernel, [packet(kernel, within=lost)])
    (problem,) = judged(run).problems
    assert "of the instructions have no name" in problem


def test_a_fault_in_the_typical_packet_is_a_problem(kernel: Kernel, tmp_path: Path) -> None:
    run = write_run(tmp_path, ["none"], [1000])
    fault = [
        kernel.visit("asm_exc_page_fault", 100, JUMP),
        kernel.visit("native_irq_return_iret", 1, IRET),
    ]
    write_arm(run / "count/none-1000", kernel, [packet(kernel, within=fault)])
    (problem,) = judged(run).problems
    assert "processor exception" in problem


def test_the_table_tells_the_difference_to_no_hook(kernel: Kernel, tmp_path: Path) -> None:
    gate = {"none": True, "netfilter": False}
    run = write_run(tmp_path, ["none", "netfilter"], [1000], gate=gate)
    write_arm(run / "count/none-1000", kernel, [packet(kernel)] * 3)
    write_arm(run / "count/netfilter-1000", kernel, [packet(kernel, hook=125)] * 3, arm="netfilter")
    text = table.text(result.of(run))
    assert "+125" in text
    assert "The arms do not do the same work" in text
    assert "Instructions are not time" in text


def test_json_has_every_arm_with_its_counts(kernel: Kernel, tmp_path: Path) -> None:
    run = write_run(tmp_path, ["none"], [500, 1000])
    for size, bytes_ in ((500, 100), (1000, 200)):
        path = packet(kernel, hook=bytes_)
        write_arm(run / f"count/none-{size}", kernel, [path] * 3, payload=size)
    document = json.loads(judged(run).as_json())
    first = document["arms"][0]
    assert first["typical_instructions"] == first["mean_instructions"] == sum(OWN.values()) + 100
    assert first["bytes_copied"] == 1000
    assert first["bytes_zeroed"] == 64
    assert sum(first["contexts"].values()) == first["typical_instructions"] + 103
    assert (
        sum(row["instructions"] for row in first["functions"] if row["part"] != "wake_up")
        == first["typical_instructions"]
    )
    fitted = document["by_payload"]["none"]
    assert fitted["per_byte"] == pytest.approx(100 / 500)
    assert fitted["functions"] == {"redirect_udp [redirect_nf]": pytest.approx(100 / 500)}
    assert fitted["residual"] == pytest.approx(0)


def test_payloads_below_the_regime_are_steps_of_their_own(kernel: Kernel, tmp_path: Path) -> None:
    sizes = (10, 60, 200, 1000)
    summaries = [
        Summary.of(counted(tmp_path / str(size), kernel, [packet(kernel)], payload=size))
        for size in sizes
    ]
    found = fit(summaries)
    assert found["per_byte"] is None
    assert ["padded" in step["why"] for step in found["steps"]] == [True, False, False]
    assert "copybreak" in found["steps"][2]["why"]


def test_a_line_through_points() -> None:
    assert line([100, 200, 300], [11, 21, 31]) == (pytest.approx(1), pytest.approx(0.1))


@pytest.mark.parametrize("name", ["facts.json", "paths.bin.xz", "blocks.bin.xz", "symbols.txt.xz"])
def test_a_damaged_record_names_its_folder(name: str, kernel: Kernel, tmp_path: Path) -> None:
    write_arm(tmp_path, kernel, [packet(kernel)])
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ParseError, match=str(tmp_path)):
        raw.read(tmp_path)


def test_a_run_without_a_count_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParseError, match="no count"):
        result.of(tmp_path)


def test_symbols_near_the_blocks_are_all_that_is_kept(kernel: Kernel) -> None:
    listing = kernel.symbols()
    start = kernel.address("udp_rcv")
    assert symbols.near(listing, [start + 8]) == f"{start:016x} t udp_rcv\n"
    assert symbols.parse(symbols.near(listing, [start])).find(start + 4) == ("udp_rcv", start)


def test_hidden_addresses_give_no_symbols() -> None:
    assert symbols.parse("0000000000000000 t e1000_intr\t[e1000]\n").addresses == ()
