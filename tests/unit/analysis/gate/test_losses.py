# SPDX-License-Identifier: Apache-2.0
"""Packets that did not come out, or too late: whose doing it was."""

import pytest

from testbed.analysis.findings.finding import Verdict
from testbed.analysis.gate.matrix import matrix
from testbed.analysis.gate.order import displaced
from testbed.analysis.gate.rounds import Round, RoundLoss, loss_of, surely_arrived
from tests.unit.analysis.gate.test_judge import Through, findings, through, words
from tests.unit.factories import gate_arms as arms
from tests.unit.factories import gate_stack as stack

__all__ = ["through"]


def no_700(packet: bytes) -> bytes | None:
    """It drops one length, always."""
    return None if len(packet) == 728 and packet[9] == 17 else arms.correct(packet)


@pytest.mark.parametrize(
    ("link", "verdict"),
    [
        (stack.Link(counted=False), Verdict.SUSPECT),
        (stack.Link(counted=False, again=True), Verdict.INVALID),
        (stack.Link(counted=False, again=True, ended=False), Verdict.SUSPECT),
        (stack.Link(ended=False), Verdict.SUSPECT),
        (stack.Link(), Verdict.INVALID),
        (stack.Link(arp=9), Verdict.INVALID),
        (stack.Link(backlog=1), Verdict.SUSPECT),
        (stack.Link(capture=1), Verdict.SUSPECT),
    ],
)
def test_missing_is_a_fault_only_when_nothing_else_can_have_lost_it(
    through: Through, link: stack.Link, verdict: Verdict
) -> None:
    """Counters say it in one round; without them, four rounds do."""
    outcome = through(no_700, link=link)
    (finding,) = findings(outcome)
    assert finding.verdict is verdict
    if verdict is Verdict.INVALID:
        assert words(outcome) == {"length-random": "missing first at 700 bytes: 1 of 1,473"}
    else:
        assert words(outcome) == {"length-random": "not seen: 1 of 1,473"}
        assert outcome.same_work


MANY = frozenset(range(200, 500))


@pytest.mark.parametrize("again", [True, False])
@pytest.mark.parametrize("arp", [0, 50])
def test_a_lossy_link_blames_no_arm(through: Through, arp: int, again: bool) -> None:
    """Not when it loses a sixth of all for ever, either."""
    for link in (stack.Link(lost=MANY, again=again, arp=arp),
                 stack.Link(lost_once=MANY, again=again, arp=arp)):  # fmt: skip
        outcome = through(arms.correct, link=link)
        assert outcome.same_work and outcome.lost == 0 and (outcome.lost_on_link or 0) >= 300
        assert outcome.counted_behind is None  # nobody knows which frames the hook saw
        for finding in findings(outcome):
            assert finding.verdict is Verdict.SUSPECT


def test_what_an_arm_loses_is_found_on_a_lossy_link_and_when_it_comes_again(
    through: Through,
) -> None:
    """It drops some the first time only; every frame comes out in the end."""
    seen = set[bytes]()

    def once(packet: bytes) -> bytes | None:
        moved = arms.correct(packet)
        if moved is packet or len(packet) % 20 or packet in seen:
            return moved
        seen.add(packet)
        return None

    outcome = through(once, link=stack.Link(lost_once=MANY, again=True, arp=7))
    assert (outcome.mismatches, outcome.unseen) == (0, 0) and len(outcome.losses) > 1
    assert 0 < (outcome.lost or 0) <= len(seen)
    assert not outcome.same_work
    (finding,) = findings(outcome)
    assert finding.verdict is Verdict.INVALID
    assert finding.statement.startswith("lost behind the server's NIC: ")
    lost = next(e for e in finding.evidence if "behind" in e.quantity)
    assert lost.observed == outcome.lost
    row = matrix({"arm": outcome})[-3]
    assert row.label == "lost behind the server's NIC" and row.wrong == (True,)
    assert "in round 1" in row.cells[0]


@pytest.mark.parametrize(
    ("sent", "received", "frames", "on_link"),
    [
        (100, 100, 100, 0),
        (103, 103, 100, 0),  # ARP, counted at both ends
        (103, 98, 100, 5),
        (99, 100, 100, 0),  # a driver that counts the last frame later
        (99, 97, 100, 3),
        (None, 97, 100, None),
        (99, None, 100, None),
    ],
)
def test_what_the_link_lost_is_the_difference_of_both_ends(
    sent: int | None, received: int | None, frames: int, on_link: int | None
) -> None:
    one = Round(None, True, (), (), frames, sent, received, 0, 0)
    assert one.lost_on_link == on_link
    loss = loss_of(one, arms.sent().cases, [])
    assert loss.elsewhere == on_link
    assert loss.behind_nic == (0 if on_link is None else loss.due - on_link)


def test_lost_each_time_only_by_a_chance_that_is_none() -> None:
    case = arms.sent().cases[0]

    def surely(*elsewhere: int | None, missing: int = 500) -> bool:
        rounds = [Round(None, True, (), (), frames=2000)] * len(elsewhere)
        return surely_arrived(case, rounds, [RoundLoss(900, missing, lost) for lost in elsewhere])

    assert surely(0) and surely(300, 0) and surely(2, 2, 2)
    assert not surely(1) and not surely(300, 300, 300, 300) and not surely(2, 20)
    assert surely(20, 20, 20, 20) and not surely(20, 20, 20)
    assert not surely(1, 1, 1, 1, missing=1) and surely(1, 1, 0, 1, missing=1)
    assert not surely(None, 20) and not surely(None, None) and surely(None, None, None, None)


def test_loss_that_nobody_counted_is_suspect(through: Through) -> None:
    outcome = through(arms.correct, link=stack.Link(lost_once=MANY, again=True, counted=False))
    assert outcome.same_work and outcome.unseen == 0 and outcome.lost is None
    (finding,) = findings(outcome)
    assert finding.verdict is Verdict.SUSPECT and finding.statement.startswith("300 crafted")


@pytest.mark.parametrize(("nth", "late"), [(20, True), (1000, False)])
def test_packets_that_come_out_behind_later_ones(through: Through, nth: int, late: bool) -> None:
    """One interrupt that moved to another CPU is no deferring hook."""
    held: list[bytes] = []
    count = 0

    def deferring(packet: bytes) -> bytes | list[bytes] | None:
        nonlocal count
        moved = arms.correct(packet)
        count += 1
        if count % nth == 0 and moved is not packet:
            held.append(moved)
            return None
        return [moved, *(held.pop() for _ in held[:1])] if count % nth == 4 else moved

    outcome = through(deferring)
    assert (outcome.mismatches, outcome.lost) == (0, 0)
    assert (outcome.displaced > 50) == late and outcome.same_work == (not late)
    if late:
        assert f"{outcome.displaced} packets came out behind later ones" in (
            findings(outcome)[0].statement
        )


@pytest.mark.parametrize(
    ("places", "wrong"),
    [([], 0), ([1, 2, 2, 5], 0), ([2, 1], 1), ([1, 9, 2, 3, 4], 1), ([5, 4, 3, 2, 1], 4)],
)
def test_how_many_are_not_where_they_belong(places: list[int], wrong: int) -> None:
    assert displaced(places) == wrong
