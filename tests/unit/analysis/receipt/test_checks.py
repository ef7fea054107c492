# SPDX-License-Identifier: Apache-2.0
"""The checks of a count: each holds for recorded packets, and a fault trips each."""

import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.analysis.counting.packets import Packet
from testbed.analysis.counting.raw import Counted
from testbed.analysis.counting.summary import Summary
from testbed.analysis.findings.finding import Finding, Verdict
from testbed.analysis.receipt.checks import COUNT_CHECKS, check_count
from testbed.analysis.receipt.count_run import CountRun
from testbed.analysis.receipt.hook_checks import LANDMARK
from testbed.analysis.receipt.judged import judge_count
from testbed.model.symbols import Symbols
from tests import PROJECT
from tests.unit.factories.count_runs import (
    IDENTITY,
    count_run,
    summary,
    with_facts,
    with_packets,
    with_record,
)

S, I = Verdict.SUSPECT, Verdict.INVALID  # noqa: E741


def bad(run: CountRun) -> dict[str, Finding]:
    """What is not VALID, by the check's code: the gravest."""
    found = sorted(check_count(run), key=lambda one: one.verdict.severity)
    return {one.code: one for one in found if one.verdict is not Verdict.VALID}


def flagged(flag: int) -> Callable[[Counted], Counted]:
    """One packet whose record has a flag of the counter."""

    def change(counted: Counted) -> Counted:
        first, *rest = counted.stretches
        return replace(counted, stretches=(replace(first, flags=flag), *rest))

    return change


def unnamed(counted: Counted) -> Counted:
    """A BPF program that the kernel's list does not name: nothing is near its addresses."""
    pairs = list(zip(counted.symbols.addresses, counted.symbols.names, strict=True))
    kept = [pair for pair in pairs if "[bpf]" not in pair[1]]
    return replace(counted, symbols=Symbols(*map(tuple, zip(*kept, strict=True))))


def elsewhere(counted: Counted) -> Counted:
    """The same kernel, booted again: KASLR has put it into another place."""
    moved = [
        address + (name == LANDMARK) * 4
        for address, name in zip(counted.symbols.addresses, counted.symbols.names, strict=True)
    ]
    return replace(counted, symbols=Symbols(tuple(moved), counted.symbols.names))


def lost(at: int, packet: Packet) -> Packet:
    """Every packet of an arm that drops: no socket, and who gave it up."""
    life = replace(packet.path.life, socket=None, delivered=False, freed_by="do_xdp_generic")
    return replace(packet, path=replace(packet.path, life=life))


def first(change: Callable[[int, Packet], Packet]) -> Callable[[int, Packet], Packet]:
    return lambda at, packet: packet if at else change(at, packet)


def faulty(at: int, packet: Packet) -> Packet:
    return replace(packet, path=replace(packet.path, faults=True))


def unread(at: int, packet: Packet) -> Packet:
    """The datagram was queued, and the program never seen."""
    life = replace(packet.path.life, delivered=False)
    return replace(packet, path=replace(packet.path, life=life))


def leaking(at: int, packet: Packet) -> Packet:
    """More was recorded than the parts have."""
    return replace(packet, path=replace(packet.path, recorded=packet.path.recorded + 1))


def scattered(count: int) -> Callable[[int, Packet], Packet]:
    """Packets with so many different counts beside the typical one."""

    def change(at: int, packet: Packet) -> Packet:
        own = packet.path.own + (at if at < count else 0)
        return replace(packet, path=replace(packet.path, own=own))

    return change


def often(arm: str, times: int) -> Summary:
    """An arm with its packets again and again, for shares."""
    one = summary(arm)
    return Summary(one.counted, one.packets * times)


def without(name: str) -> dict[str, object]:
    return {key: value for key, value in IDENTITY.items() if key != name}


NF = "netfilter"
GONE = {"before": {"mode": "module"}, "after": None, "problem": "x\nredirect_nf is not loaded"}
OTHER = {"before": {"mode": "module"}, "after": {"mode": "rule"}, "problem": None}
FULL = {"blocks": 131071, "capacity": 131071, "full": True}
FAULTS: list[tuple[str, Verdict, str, Callable[[], CountRun]]] = [
    ("complete", I, "no packet of 1,000 bytes",
     lambda: count_run(Summary(summary(NF).counted, ()))),
    ("complete", I, "did not finish",
     lambda: count_run(complete=False, reasons=("did not finish",))),
    ("edited", I, "count/count.json is not the file",
     lambda: count_run(edited=("count/count.json",))),
    ("sums", I, "do not add up", lambda: count_run(with_packets(NF, leaking))),
    ("names", I, "have no name", lambda: count_run(with_record("xdp", unnamed))),
    ("hits", I, "counted 3 packets of 4",
     lambda: count_run(with_facts(NF, hits={"before": [1], "after": [4]}))),
    ("hits", S, "not recorded: the hook's counter",
     lambda: count_run(with_facts(NF, hits={"before": None, "after": None}))),
    ("attached", I, "gone at the end: redirect_nf is not loaded",
     lambda: count_run(with_facts(NF, verify=GONE))),
    ("attached", I, "“module” before and as “rule” after",
     lambda: count_run(with_facts(NF, verify=OTHER))),
    ("attached", S, "not recorded", lambda: count_run(with_facts(NF, verify={}))),
    ("delivery", I, "4 of 4 packets never reached the socket: given up by do_xdp_generic",
     lambda: count_run(with_packets(NF, lost))),
    ("delivery", S, "1 of 4 packets' lives was not seen",
     lambda: count_run(with_packets(NF, first(unread)))),
    ("typical", S, "only 25% of the packets", lambda: count_run(with_packets(NF, scattered(3)))),
    ("table", I, "more blocks ran", lambda: count_run(with_record(NF, flagged(1)))),
    ("table", I, "more blocks ran", lambda: count_run(with_facts(NF, table=FULL))),
    ("table", I, "more blocks than the counter records",
     lambda: count_run(with_record(NF, flagged(2)))),
    ("table", S, "more cache lines", lambda: count_run(with_record(NF, flagged(4)))),
    ("faults", I, "4 packets had a processor exception",
     lambda: count_run(with_packets(NF, faulty))),
    ("identity", S, "not recorded: identity of the machine (boot_id)",
     lambda: count_run(identity=without("boot_id"))),
    ("identity", I, "another machine than the others: boot_id",
     lambda: count_run(with_record("xdp", elsewhere))),
    ("identity", I, "another machine than the others: qemu",
     lambda: count_run(with_facts(NF, identity={**IDENTITY, "qemu": "10.0.2"}))),
    ("gate", S, "was not run", lambda: count_run(gate=None)),
    ("gate", I, "other work than the reference",
     lambda: count_run(gate={"none": True, NF: False, "xdp": True})),
    ("gate", S, "not recorded: the gate's outcome",
     lambda: count_run(gate={"none": True, "xdp": True})),
]  # fmt: skip


def test_recorded_packets_hold() -> None:
    assert bad(count_run()) == {}


@pytest.mark.parametrize(
    ("code", "verdict", "words", "run"), FAULTS, ids=[f"{row[0]}-{row[2]}" for row in FAULTS]
)
def test_a_fault_trips_its_check(
    code: str, verdict: Verdict, words: str, run: Callable[[], CountRun]
) -> None:
    found = bad(run())
    assert found[code].verdict is verdict
    assert words in found[code].statement
    assert found[code].advice


def test_every_check_has_a_fault() -> None:
    assert {row[0] for row in FAULTS} == {check.code for check in COUNT_CHECKS}


def test_one_packet_with_a_fault_is_no_reason_to_refuse() -> None:
    many = often(NF, 30)
    paths = [faulty(0, many.packets[0]), *many.packets[1:]]
    found = bad(count_run(Summary(many.counted, tuple(paths))))
    assert found["faults"].verdict is S


def test_one_dropped_packet_is_told_and_the_rest_compared() -> None:
    many = often(NF, 30)
    run = count_run(Summary(many.counted, (lost(0, many.packets[0]), *many.packets[1:])))
    assert bad(run)["delivery"].verdict is S
    assert judge_count(run).opening.answers


def test_an_end_that_was_not_seen_once_in_many_packets_is_no_finding() -> None:
    many = often(NF, 30)
    run = count_run(Summary(many.counted, (unread(0, many.packets[0]), *many.packets[1:])))
    assert "delivery" not in bad(run)


def test_hardly_any_packet_with_the_typical_count_is_invalid() -> None:
    many = often(NF, 3)
    scattering = scattered(11)
    packets = tuple(scattering(at, packet) for at, packet in enumerate(many.packets))
    assert bad(count_run(Summary(many.counted, packets)))["typical"].verdict is I


def test_an_invalid_arm_is_left_out_of_every_sentence() -> None:
    judged = judge_count(count_run(with_packets("xdp", lost)))
    assert judged.opening.status == "INVALID"
    assert judged.opening.headline.startswith("Compared without XDP program, generic mode")
    (answer,) = judged.opening.answers
    assert "XDP" not in answer and "the Netfilter module adds 347" in answer
    assert [one.arm for one, _ in judged.pairs] == ["netfilter"]


@pytest.mark.parametrize("run", [FAULTS[1][3], FAULTS[2][3]], ids=["incomplete", "edited"])
def test_nothing_is_compared_where_the_count_itself_is_invalid(
    run: Callable[[], CountRun],
) -> None:
    judged = judge_count(run())
    assert judged.opening.status in ("INVALID", "INCOMPLETE")
    assert judged.opening.answers == ()
    assert judged.pairs == ()


def test_the_documents_table_is_the_checks() -> None:
    text = (PROJECT / "docs/counting.md").read_text()
    rows = re.findall(r"^\| `([a-z]+)` \| (.+) \| (.+) \| (.+) \|$", text, re.MULTILINE)
    assert [row for row in rows if row[0] in {check.code for check in COUNT_CHECKS}] == [
        (check.code, f"{check.what} {check.why}", check.threshold, check.source)
        for check in COUNT_CHECKS
    ]
