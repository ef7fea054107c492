# SPDX-License-Identifier: Apache-2.0
"""The rounds of the gate: what was sent, what came out, and whose the losses are.

The client's NIC counts what it sends, ARP included, and nothing else reaches the server's NIC. So
what the one sent and the other did not receive was lost on the link. That, and what the server's
backlog or the capture itself had no room for, may be frames that are missing; more than that was
lost behind the NIC, where the hook is. Frames lost elsewhere that are not missing (markers, ARP)
only make the arm's share smaller: a bad link blames nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.model.json_node import Node
from testbed.packets.case import MUST_COME_OUT, Case

ROUNDS_FOR_MISSING = 4
"""Rounds after which a packet that never came counts as dropped by the arm and not as lost.

Their end markers came through, and no counter says more."""
BY_CHANCE = 1e-6
"""A smaller chance of having been lost elsewhere each time is none: there are 2,000 cases."""


@dataclass(frozen=True, slots=True)
class Round:
    """One time of sending. `cases` are the numbers of those sent, None for all of them.

    `ended`: an end marker came out at both places, so that nothing was on its way any more.
    Differences of counters are None where they were not recorded.
    """

    cases: frozenset[int] | None
    ended: bool
    namespace: tuple[bytes, ...]
    root: tuple[bytes, ...]
    frames: int = 0
    """How many were sent, the end markers among them."""
    client_sent: int | None = None
    server_received: int | None = None
    backlog_drops: int | None = None
    capture_drops: int | None = None

    def sends(self, case: Case) -> bool:
        """Whether this case was sent."""
        return self.cases is None or case.number in self.cases

    @property
    def lost_on_link(self) -> int | None:
        """Frames that the client's NIC sent and the server's did not receive."""
        if self.client_sent is None or self.server_received is None:
            return None
        # Some drivers count a sent frame only when they send the next one.
        return max(0, max(self.client_sent, self.frames) - self.server_received)


@dataclass(frozen=True, slots=True)
class RoundLoss:
    """The losses of one round: nothing came out of `missing` packets among `due` that had to.

    `elsewhere`: frames lost before the server's NIC, or for want of room; None when not known.
    """

    due: int
    missing: int
    elsewhere: int | None

    @property
    def behind_nic(self) -> int:
        """Packets that reached the server's NIC for certain and were lost behind it, at least."""
        return 0 if self.elsewhere is None else max(0, self.missing - self.elsewhere)


def read_rounds(
    nodes: Sequence[Node], captured: Mapping[str, tuple[bytes, ...]]
) -> tuple[Round, ...]:
    """Read the rounds of gate.json, each with its part of the captures; raises ParseError."""
    found: list[Round] = []
    start = dict.fromkeys(captured, 0)
    for node in nodes:
        came = node.get("came")
        parts = {}
        for place, packets in captured.items():
            end = start[place] + came.integer(place)
            if not start[place] <= end <= len(packets):
                raise came.fault(f"{len(packets)} packets were captured", place)
            parts[place] = packets[start[place] : end]
            start[place] = end
        found.append(
            Round(
                cases=_optional(node.integers("cases"), frozenset),
                ended=node.get("ended").value is True,
                namespace=parts["namespace"],
                root=parts["root"],
                frames=node.integer("frames"),
                client_sent=_moved(node, "client_sent"),
                server_received=_moved(node, "server_received"),
                backlog_drops=_moved(node, "backlog_drops"),
                capture_drops=node.optional_integer("capture_drops"),
            )
        )
    return tuple(found)


def _optional(value: Sequence[int] | None, make: type[frozenset[int]]) -> frozenset[int] | None:
    return None if value is None else make(value)


def _moved(node: Node, key: str) -> int | None:
    """The difference of a counter before and after; raises ParseError where it went backwards."""
    pair = node.integers(key)
    if pair is None:
        return None
    if len(pair) != 2 or pair[1] < pair[0]:
        raise node.fault("expected a counter before and after", key)
    return pair[1] - pair[0]


def loss_of(one: Round, cases: Sequence[Case], seen: Sequence[int]) -> RoundLoss:
    """Return what one round lost, of all `cases`, when `seen` are the numbers of what came out."""
    due = [case.number for case in cases if case.fate in MUST_COME_OUT and one.sends(case)]
    elsewhere = (one.lost_on_link, one.backlog_drops, one.capture_drops)
    known = one.ended and None not in elsewhere
    return RoundLoss(
        due=len(due),
        missing=len(set(due) - set(seen)),
        elsewhere=sum(filter(None, elsewhere)) if known else None,
    )


def surely_arrived(case: Case, rounds: Sequence[Round], losses: Sequence[RoundLoss]) -> bool:
    """Whether a case of which nothing came out cannot have been lost elsewhere in every round.

    Never where no more is missing than was lost elsewhere: a NIC may drop one kind of frame each
    time. Else, in a round that lost a share of its frames elsewhere, that is the chance of each.
    """
    if all(loss.elsewhere is None for loss in losses):
        return len(rounds) >= ROUNDS_FOR_MISSING and all(one.ended for one in rounds)
    chance, behind = 1.0, False
    for one, loss in zip(rounds, losses, strict=True):
        if one.sends(case) and loss.elsewhere is not None:
            chance *= min(1.0, loss.elsewhere / max(1, one.frames))
            behind = behind or loss.behind_nic > 0
    return behind and chance < BY_CHANCE
