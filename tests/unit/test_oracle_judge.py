# SPDX-License-Identifier: Apache-2.0
"""Arms with one fault each, and whether the judge names it; and what only the link did."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import oracle_arms as arms
import pytest
from test_oracle_cases import NETWORK, crafted

from testbed.analysis.findings.finding import Finding, Verdict
from testbed.analysis.findings.oracle import same_work
from testbed.analysis.oracle import outcomes_of
from testbed.analysis.oracle_judge import first_difference
from testbed.analysis.oracle_matrix import in_words, matrix, plain_text
from testbed.analysis.oracle_records import OracleOutcome
from testbed.packets.case import Case
from testbed.packets.reference import expected, routed, with_ip_checksum

Through = Callable[..., OracleOutcome]


@pytest.fixture
def through(tmp_path: Path) -> Through:
    """Put an arm through the gate and return its outcome."""

    def run(arm: arms.Arm, **options: Any) -> OracleOutcome:
        cases = crafted(direct=options.get("direct", False))
        arms.gate(tmp_path, "arm", cases, arm, **options)
        return outcomes_of(tmp_path, ["arm", "not-there"])["arm"]

    return run


def words(outcome: OracleOutcome) -> dict[str, str]:
    """What is wrong, by group."""
    return {g.group: said for g in outcome.groups if (said := in_words(g)) != "same"}


def lengths(cases: tuple[Case, ...] = crafted()) -> int:
    return sum(case.fate == "rewritten" for case in cases)


def findings(outcome: OracleOutcome | None, name: str = "arm") -> list[Finding]:
    run: Any = SimpleNamespace(
        arms=[SimpleNamespace(name=name)], oracle={} if outcome is None else {name: outcome}
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
    assert matrix({"none": outcome})[-1].cells == ("no hook",)


def test_a_checksum_over_the_beginning_only(through: Through) -> None:
    """Wrong from 514 bytes on; that a length beyond is right by chance changes nothing."""
    outcome = through(arms.bounded_checksum)
    said = words(outcome)
    sweep = next(group for group in outcome.groups if group.group == "length-random")
    count = len(sweep.mismatches)
    assert [case.payload_bytes for case in sweep.mismatches][:3] == [514, 515, 516]
    assert said["length-random"] == f"wrong UDP checksum from 514 bytes on: {count} of 1,473"
    assert count >= 950
    assert "length-zeros" not in said  # a zero tail hides it
    assert said["no-checksum"] == "UDP checksum added: all 5"
    assert said["checksum-wrong"].startswith("wrong UDP checksum made right")
    assert said["broken"] == "arrived in the namespace (wrong IP checksum): 1 of 4"
    (finding,) = findings(outcome)
    assert finding.verdict is Verdict.INVALID and finding.scope.arm == "arm"
    assert "from 514 bytes on" in finding.statement
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
    assert set(said) == {"length-random", "length-zeros", "checksum-zero", "checksum-wrong",
                         "header-fields", "padding"}  # fmt: skip


def test_the_address_ignored(through: Through) -> None:
    outcome = through(arms.any_address)
    assert words(outcome) == {"other-address": "wrong port (UDP, 0 bytes): 3 of 5"}
    wrong = [case for group in outcome.groups for case in group.mismatches]
    assert {case.field for case in wrong} == {"port"}
    assert wrong[0].detail == "0x4e201f93, expected 0x4e201f90"
    assert outcome.hits.counted == lengths() + 3 + 1  # and the one with a wrong IP checksum


def test_fragments_torn_apart(through: Through) -> None:
    outcome = through(arms.fragments_too)
    said = words(outcome)
    assert said["fragments"] == "arrived in the namespace: all 3"
    (first, *_) = (case for g in outcome.groups for case in g.mismatches if g.group == "fragments")
    assert first.field == "arrived though it must not"


def test_a_hook_that_is_not_there(through: Through) -> None:
    outcome = through(arms.nothing)
    assert words(outcome)["length-random"] == "not rewritten: all 1,473"
    assert outcome.mismatches == lengths() and outcome.hits.counted == 0


def test_a_wrong_ip_checksum(through: Through) -> None:
    outcome = through(arms.wrong_ip_checksum, checks=False)
    assert words(outcome)["length-random"] == "wrong IP checksum: all 1,473"


@pytest.mark.parametrize(
    ("rounds", "ended", "verdict"),
    [
        (1, True, Verdict.SUSPECT),
        (3, True, Verdict.SUSPECT),
        (4, False, Verdict.SUSPECT),
        (4, True, Verdict.INVALID),
    ],
)
def test_missing_is_a_fault_only_when_the_link_cannot_have_lost_it(
    through: Through, rounds: int, ended: bool, verdict: Verdict
) -> None:
    gone = frozenset({701})  # 700 bytes
    outcome = through(arms.correct, lost=gone, rounds=rounds, ended=ended)
    (finding,) = findings(outcome)
    assert finding.verdict is verdict
    if verdict is Verdict.INVALID:
        assert words(outcome) == {"length-random": "missing first at 700 bytes: 1 of 1,473"}
    else:
        assert words(outcome) == {"length-random": "not seen: 1 of 1,473"}
        assert outcome.same_work and "in " + str(rounds) in finding.statement


def test_hits_beyond_what_was_sent_or_below_what_arrived(through: Through, tmp_path: Path) -> None:
    sent = lengths()
    many = through(arms.correct, more_hits=5)
    assert many.hits.fault == f"counted {sent + 6:,} hits, {sent + 5:,} frames to match were sent"
    arms.gate(tmp_path, "few", crafted(), arms.correct, more_hits=-2)
    few = outcomes_of(tmp_path, ["few"])["few"]
    assert few.hits.fault == f"counted {sent - 1:,} hits, {sent:,} came out rewritten"
    assert not few.same_work and findings(few, "few")[0].verdict is Verdict.INVALID


def test_an_arm_that_was_not_examined() -> None:
    (finding,) = findings(None)
    assert (finding.verdict, finding.scope.arm) == (Verdict.SUSPECT, "arm")


WANTED = expected(crafted()[100], NETWORK) or b""


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


def test_the_matrix_fits_on_a_screen(tmp_path: Path) -> None:
    chosen: dict[str, arms.Arm] = {
        "none": arms.nothing,
        "netfilter": arms.correct,
        "xdp-bounded-csum": arms.bounded_checksum,
        "netfilter-logging": arms.any_address,
        "another-one": arms.without_checksum,
    }
    for name, arm in chosen.items():
        direct = name == "none"
        arms.gate(tmp_path, name, crafted(direct=direct), arm, direct=direct)
    outcomes = outcomes_of(tmp_path, list(chosen))
    three = plain_text(dict(list(outcomes.items())[:3]))
    assert max(map(len, three.splitlines())) <= 100
    assert "from 514 bytes on" in " ".join(three.split())
    assert max(map(len, plain_text(outcomes).splitlines())) <= 100
    assert plain_text({})
