# SPDX-License-Identifier: Apache-2.0
"""What the same-work gate found out about one arm, as frozen records."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import groupby

from testbed.analysis.gate.rounds import RoundLoss


class Result(Enum):
    """NOT_SEEN: the frame may have been lost on the link; nothing is known."""

    SAME = "same"
    MISMATCH = "mismatch"
    NOT_SEEN = "not seen"


class Came(Enum):
    """Where a case came out."""

    NAMESPACE = "in the namespace"
    SERVER = "at the server"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseOutcome:
    """One crafted frame and what became of it.

    `field` names what differs first ("udp checksum", "missing", …), `fault` says it in a few
    words, `detail` with the values; all are empty unless the result is MISMATCH.
    """

    number: int
    group: str
    title: str
    fate: str
    payload_bytes: int | None
    result: Result
    field: str = ""
    fault: str = ""
    detail: str = ""
    came: Came = Came.NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class HitsOutcome:
    """What the hook counted, between what came out rewritten and all that it may have matched.

    `counted` is None without a counter. A hook may, but need not, see what no stack delivers.
    """

    counted: int | None
    at_least: int
    at_most: int

    @property
    def fault(self) -> str:
        """What is wrong, in a few words; empty when nothing is, or nothing was counted."""
        if self.counted is None or self.at_least <= self.counted <= self.at_most:
            return ""
        if self.counted < self.at_least:
            return f"counted {self.counted:,} hits, {self.at_least:,} came out rewritten"
        return f"counted {self.counted:,} hits, {self.at_most:,} frames to match were sent"


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupOutcome:
    """All cases of one group."""

    group: str
    cases: tuple[CaseOutcome, ...]

    @property
    def mismatches(self) -> tuple[CaseOutcome, ...]:
        """The cases that came out wrong; of a sweep the shortest payload first."""
        found = [case for case in self.cases if case.result is Result.MISMATCH]
        return tuple(sorted(found, key=lambda case: case.payload_bytes or 0))

    @property
    def unseen(self) -> int:
        """How many cases were never seen."""
        return sum(case.result is Result.NOT_SEEN for case in self.cases)

    @property
    def is_sweep(self) -> bool:
        """Whether its cases differ in the length of the payload."""
        return all(case.payload_bytes is not None for case in self.cases)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateOutcome:
    """One arm's outcome. `direct`: the frames went to the target, no hook was to match.

    `losses` are empty, and `lost_on_link` None, where nothing was counted. `unsent` packets came
    out that are nobody's, `displaced` ones behind later ones. `counted_behind` names what the hook
    counted and Linux drops behind it; None when that cannot be told.
    """

    arm: str
    direct: bool
    rounds: int
    took_s: float
    cases: tuple[CaseOutcome, ...]
    hits: HitsOutcome
    seed: int | None = None
    losses: tuple[RoundLoss, ...] = ()
    lost_on_link: int | None = None
    unsent: int = 0
    displaced: int = 0
    counted_behind: tuple[str, ...] | None = None

    @property
    def groups(self) -> tuple[GroupOutcome, ...]:
        """The cases by group, in the order in which they were crafted."""
        return tuple(self._groups())

    def _groups(self) -> Iterator[GroupOutcome]:
        order = {group: number for number, group in enumerate(dict.fromkeys(self._names()))}
        cases = sorted(self.cases, key=lambda case: order[case.group])
        for group, members in groupby(cases, key=lambda case: case.group):
            yield GroupOutcome(group=group, cases=tuple(members))

    def _names(self) -> Iterator[str]:
        return (case.group for case in self.cases)

    @property
    def mismatches(self) -> int:
        """How many cases came out wrong."""
        return sum(case.result is Result.MISMATCH for case in self.cases)

    @property
    def unseen(self) -> int:
        """How many cases were never seen."""
        return sum(case.result is Result.NOT_SEEN for case in self.cases)

    @property
    def lost(self) -> int | None:
        """Packets that reached the server's NIC and were lost behind it; None: not counted.

        Each time of sending counts: a packet that came out when it was sent again was lost before.
        """
        if not self.losses or all(one.elsewhere is None for one in self.losses):
            return None
        return sum(one.behind_nic for one in self.losses)

    @property
    def unexplained(self) -> int:
        """Packets that did not come out in a round whose counters are not known."""
        return sum(one.missing for one in self.losses if one.elsewhere is None)

    @property
    def loss_fault(self) -> str:
        """What was lost behind the server's NIC, in a few words; empty when nothing was."""
        rounds = [
            f"{one.behind_nic:,} of {one.due:,} packets in round {number}"
            for number, one in enumerate(self.losses, start=1)
            if one.behind_nic
        ]
        return f"lost behind the server's NIC: {', '.join(rounds)}" if rounds else ""

    @property
    def unsent_fault(self) -> str:
        """What came out that was not sent, in a few words; empty when nothing did."""
        return f"{self.unsent:,} packets came out that were not sent" if self.unsent else ""

    @property
    def order_fault(self) -> str:
        """How many packets came out too late, in a few words; empty when chance explains them."""
        return f"{self.displaced:,} packets came out behind later ones" if self.displaced else ""

    @property
    def faults(self) -> tuple[str, ...]:
        """What is wrong beside the cases."""
        faults = (self.loss_fault, self.unsent_fault, self.order_fault, self.hits.fault)
        return tuple(filter(None, faults))

    @property
    def same_work(self) -> bool:
        """Whether nothing came out wrong or was lost; what was not seen is not wrong."""
        return self.mismatches == 0 and not self.faults
