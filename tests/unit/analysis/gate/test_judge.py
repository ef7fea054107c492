# SPDX-License-Identifier: Apache-2.0
"""Arms with one fault each, and whether the judge names it; and what only the link did."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.analysis.findings.finding import Finding, Verdict
from testbed.analysis.findings.gate import same_work
from testbed.analysis.gate.files import outcomes_of
from testbed.analysis.gate.judge import first_difference
from testbed.analysis.gate.matrix import in_words, matrix
from testbed.analysis.gate.outcomes import GateOutcome
from testbed.packets.reference import expected, routed, with_ip_checksum
from tests.unit.factories import gate_arms as arms
from tests.unit.factories import gate_stack as stack
from tests.unit.packets.test_cases import NETWORK

Through = Callable[..., GateOutcome]


@pytest.fixture
def through(tmp_path: Path) -> Through:
    """Put an arm through the gate and return its outcome."""

    def run(arm: arms.Arm, **options: Any) -> GateOutcome:
        shutil.rmtree(tmp_path / "gate", ignore_errors=True)
        stack.gate(tmp_path, "arm", arm, **options)
        return outcomes_of(tmp_path, ["arm", "not-there"])["arm"]

    return run


def words(outcome: GateOutcome) -> dict[str, str]:
    """Return the faults by group."""
    return {g.group: said for g in outcome.groups if (said := in_words(g)) != "same"}


def lengths() -> int:
    return sum(case.fate in ("rewritten", "untagged") for case in arms.sent().cases)


def count(group: str, fate: str = "") -> int:
    return sum(c.group == group and fate in ("", c.fate) for c in arms.sent().cases)


def number(title: str) -> int:
    return next(case.number for case in arms.sent().cases if case.title == title)


def findings(outcome: GateOutcome | None, name: str = "arm") -> list[Finding]:
    run: Any = SimpleNamespace(
        arms=[SimpleNamespace(name=name)], gate={} if outcome is None else {name: outcome}
    )
    return same_work(run)


def test_a_correct_arm_does_the_same_work(through: Through) -> None:
    outcome = through(arms.correct)
    assert outcome.same_work and outcome.unseen == 0 and words(outcome) == {}
    assert outcome.hits.fault == "" and outcome.hits.at_least == lengths()
    assert findings(outcome) == []


def test_the_arm_without_a_hook_does_the_same_work(through: Through) -> None:
    outcome = through(arms.nothing, direct=True)
    assert outcome.same_work and outcome.direct and words(outcome) == {}
    assert outcome.hits.counted is None
    rows = {row.label: row.cells for row in matrix({"none": outcome})}
    assert rows["hits of the hook"] == rows["dropped by Linux, counted"] == ("no hook",)
    assert rows["frame with a tag of VLAN 0"] == ("forwarded",)
    assert rows["lost behind the server's NIC"] == ("none",)


@pytest.mark.parametrize(
    ("place", "strips", "untagged", "dropped"),
    [
        ("xdp", True, "rewritten", "wrong IP checksum, VLAN 5"),
        ("xdp", False, "unchanged", "wrong IP checksum"),
        ("netfilter", True, "rewritten", "none"),
        ("netfilter", False, "rewritten", "none"),
    ],
)
def test_where_a_hook_is_decides_which_frames_it_sees(
    through: Through, place: str, strips: bool, untagged: str, dropped: str
) -> None:
    """That is no fault, and the matrix says it."""
    outcome = through(arms.correct, place=place, strips=strips)
    assert outcome.same_work and findings(outcome) == []
    rows = {row.label: (row.cells, row.wrong) for row in matrix({"arm": outcome})}
    assert rows["frame with a tag of VLAN 0"] == ((untagged,), (False,))
    assert rows["dropped by Linux, counted"] == ((dropped,), (False,))
    seen = "dropped; VLAN 5: counted before" if "VLAN 5" in dropped else "dropped"
    assert rows["frame with a VLAN tag"] == ((seen,), (False,))


def test_a_checksum_over_the_beginning_only(through: Through) -> None:
    """Wrong from 514 bytes on; that a length beyond is right by chance changes nothing."""
    outcome = through(arms.bounded_checksum)
    said = words(outcome)
    sweep = next(group for group in outcome.groups if group.group == "length-random")
    wrong = len(sweep.mismatches)
    assert [case.payload_bytes for case in sweep.mismatches][:3] == [514, 515, 516]
    assert said["length-random"] == f"wrong UDP checksum from 514 bytes on: {wrong} of 1,473"
    assert wrong >= 950
    assert "length-zeros" not in said  # a zero tail hides it
    assert said["no-checksum"] == "UDP checksum added: all 6"
    assert said["checksum-wrong"].startswith("wrong UDP checksum made right")
    total = count("broken")
    assert said["broken"] == f"arrived in the namespace (wrong IP checksum): 1 of {total}"
    (finding,) = findings(outcome)
    assert finding.verdict is Verdict.INVALID and finding.scope.arm == "arm"
    shortest = next(e for e in finding.evidence if "length-random" in e.quantity)
    assert (shortest.observed, shortest.unit) == (514, "bytes")


def test_right_by_chance_in_the_middle(through: Through) -> None:
    def by_chance(packet: bytes) -> bytes:
        right = arms.correct(packet)
        wrong = len(packet) - 28 >= 514 and len(packet) - 28 not in (700, 701, 1300)
        return arms.bounded_checksum(packet) if wrong else right

    said = words(through(by_chance))
    assert said["length-random"] == "wrong UDP checksum from 514 bytes on: 956 of 1,473"


def test_one_wrong_length_is_not_from_there_on(through: Through) -> None:
    def at_700(packet: bytes) -> bytes:
        moved = arms.correct(packet)
        return arms.without_checksum(packet) if len(packet) == 728 else moved

    said = words(through(at_700))
    assert said == {"length-random": "UDP checksum switched off first at 700 bytes: 1 of 1,473"}


def test_checksums_switched_off(through: Through) -> None:
    said = words(through(arms.without_checksum))
    assert said["length-random"] == "UDP checksum switched off: all 1,473"
    assert set(said) == {"as-in-trials", "length-random", "length-zeros", "checksum-zero",
                         "checksum-wrong", "header-fields", "padding", "priority"}  # fmt: skip


def test_the_address_ignored(through: Through) -> None:
    outcome = through(arms.any_address)
    near = count("other-address", "elsewhere")
    said = words(outcome)
    assert said == {
        "other-address": f"wrong port (UDP, 0 bytes): {near + 3} of {count('other-address')}"
    }
    wrong = [case for group in outcome.groups for case in group.mismatches]
    assert {case.field for case in wrong} == {"port", "arrived though it must not"}
    assert wrong[0].detail.endswith("1f93, expected 0x" + wrong[0].detail[-8:-4] + "1f90")
    assert (outcome.hits.counted or 0) > outcome.hits.at_most


def test_fragments_torn_apart(through: Through) -> None:
    outcome = through(arms.fragments_too)
    said = words(outcome)
    assert said["fragments"].startswith("arrived in the namespace")
    (first, *_) = (case for g in outcome.groups for case in g.mismatches if g.group == "fragments")
    assert first.field == "arrived though it must not"


def test_a_hook_that_is_not_there(through: Through) -> None:
    outcome = through(arms.nothing)
    assert words(outcome)["length-random"] == "not rewritten: all 1,473"
    assert outcome.mismatches == lengths() - count("priority")
    assert outcome.hits.counted == 0


def test_a_wrong_ip_checksum(through: Through) -> None:
    outcome = through(arms.wrong_ip_checksum, checks=False)
    assert words(outcome)["length-random"] == "wrong IP checksum: all 1,473"


def test_what_was_not_sent_must_not_come_out(through: Through) -> None:
    def inventing(packet: bytes) -> bytes | list[bytes]:
        moved = arms.correct(packet)
        invented = with_ip_checksum(moved[:4] + bytes(4) + moved[8:20] + bytes(len(moved) - 20))
        return [moved, invented] if len(packet) == 1428 and moved is not packet else moved

    outcome = through(inventing)
    assert outcome.unsent > 0 and not outcome.same_work
    assert f"{outcome.unsent} packets came out that were not sent" in findings(outcome)[0].statement


def test_hits_beyond_what_was_sent_or_below_what_arrived(through: Through, tmp_path: Path) -> None:
    sent = lengths()
    many = through(arms.correct, more_hits=5)
    assert many.hits.fault == f"counted {sent + 8:,} hits, {sent + 7:,} frames to match were sent"
    stack.gate(tmp_path, "few", arms.correct, more_hits=-4)
    few = outcomes_of(tmp_path, ["few"])["few"]
    assert few.hits.fault == f"counted {sent - 1:,} hits, {sent:,} came out rewritten"
    assert not few.same_work and findings(few, "few")[0].verdict is Verdict.INVALID


def test_an_arm_that_was_not_examined() -> None:
    (finding,) = findings(None)
    assert (finding.verdict, finding.scope.arm) == (Verdict.SUSPECT, "arm")


WANTED = expected(next(c for c in arms.sent().cases if c.title == "TTL 128"), NETWORK) or b""


@pytest.mark.parametrize(
    ("got", "field", "fault"),
    [
        (WANTED[:16] + b"\x0a\0\0\x09" + WANTED[20:], "address", "wrong address"),
        (WANTED[:22] + b"\0\x50" + WANTED[24:], "port", "wrong port"),
        (routed(WANTED), "ttl", "wrong TTL"),
        (with_ip_checksum(WANTED[:1] + b"\x04" + WANTED[2:]), "header", "wrong IP header"),
        (WANTED[:-1], "length", "wrong length"),
        (WANTED + b"x", "length", "wrong length"),
        (WANTED[:-1] + bytes((WANTED[-1] ^ 1,)), "payload", "wrong payload"),
        (WANTED[:26] + b"\0\0" + WANTED[28:], "udp checksum", "UDP checksum switched off"),
        (WANTED[:26] + b"\x11\x11" + WANTED[28:], "udp checksum", "wrong UDP checksum"),
        (WANTED[:10] + b"\x11\x11" + WANTED[12:], "ip checksum", "wrong IP checksum"),
        (b"\x45", "length", "wrong length"),
    ],
)
def test_the_first_difference_has_a_name(got: bytes, field: str, fault: str) -> None:
    found = first_difference(WANTED, got)
    assert (found.field, found.fault) == (field, fault)
    assert found.detail
