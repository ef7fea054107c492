# SPDX-License-Identifier: Apache-2.0
"""The packet ledger of a trial: how many data packets passed each hop, and where some were lost.

Between two hops that are known lies a step. A hop whose counter is missing is bridged: its step
goes from the hop before to the hop after. So whatever is known, the losses of all steps together
are the packets offered less the sequence numbers that arrived.
"""

from dataclasses import dataclass
from itertools import pairwise

from testbed.analysis.measures.drop_counters import Cause, causes_of
from testbed.analysis.measures.hops import ORDER, SERVER_RX, Hop, hops_of
from testbed.analysis.reading.records import Arm, Run, Trial

OUTSIDE_TOLERANCE = 0.001
"""Up to the server's NIC: the client, the link and the host are the testbed's, not the arm's."""
INSIDE_TOLERANCE = 0.0005
"""Within the server, where a loss is the arm's or the receiver's doing: half of one packet in
1,000, so that such an arm cannot hide at the rim of the tolerance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """From one known hop to the next. `lost` is negative where packets were gained.

    `causes` are counters that moved and explain a loss here; none for a step that lost nothing.
    """

    start: str
    end: str
    before: int
    lost: int
    causes: tuple[Cause, ...] = ()

    @property
    def share(self) -> float:
        """Of the packets that came to the step; of one, where none came and some went on."""
        return self.lost / max(self.before, 1)

    @property
    def inside(self) -> bool:
        """In the server, after its NIC."""
        return ORDER.index(self.start) >= ORDER.index(SERVER_RX)

    @property
    def tolerance(self) -> float:
        return INSIDE_TOLERANCE if self.inside else OUTSIDE_TOLERANCE

    @property
    def holds(self) -> bool:
        return -INSIDE_TOLERANCE <= self.share <= self.tolerance

    @property
    def sentence(self) -> str:
        """What happened, with both hops' names and the counter; empty when nothing did."""
        if self.lost == 0:
            return ""
        if self.lost < 0:
            return (
                f"{-self.lost:,} packets more at “{self.end}” than at “{self.start}”: "
                "duplicated in between, or not the trial’s"
            )
        count = f"{self.lost:,} of {self.before:,} packets"
        return f"{count} lost between “{self.start}” and “{self.end}”: {self.reason}"

    @property
    def reason(self) -> str:
        """The counters that explain a loss, or that none does; empty without a loss."""
        if self.lost <= 0:
            return ""
        if not self.causes:
            silent = ": a rule or program dropped them silently" if self.inside else ""
            return f"no counter explains it{silent}"
        listed = ", ".join(f"{cause.counter} ({cause.count:,})" for cause in self.causes)
        rest = self.lost - sum(cause.count for cause in self.causes)
        return f"{listed}; no counter explains the other {rest:,}" if rest > 0 else listed


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """Hops in the packets' order, and the steps between those that are known."""

    hops: tuple[Hop, ...]
    steps: tuple[Step, ...]

    @property
    def unknown(self) -> tuple[Hop, ...]:
        return tuple(hop for hop in self.hops if hop.packets is None)

    def closes(self) -> bool:
        """Every hop is known, and no step lost or gained more than its tolerance."""
        return not self.unknown and all(step.holds for step in self.steps)

    def worst(self) -> Step | None:
        """The step with the largest loss or gain beside its tolerance; None when all agree."""
        uneven = [step for step in self.steps if step.lost]
        return max(uneven, key=lambda step: abs(step.share) / step.tolerance, default=None)

    def step_to(self, name: str) -> Step | None:
        """The step that ends at a hop; None for the first hop and for one that is not known."""
        return next((step for step in self.steps if step.end == name), None)


def ledger_of(trial: Trial, arm: Arm) -> Ledger | None:
    """None without a record of client and server; the arm says which hops there are."""
    hops = hops_of(trial, arm)
    if not hops:
        return None
    pairs = _known_pairs(hops)
    steps = [_step(a, b, causes_of(trial, a[0], b[0])) for a, b in pairs]
    return Ledger(hops=hops, steps=tuple(steps))


def arm_ledger(run: Run, arm: Arm) -> Ledger | None:
    """All trials of an arm together; a hop that one trial does not know is not known."""
    found = [ledger_of(trial, arm) for trial in run.trials_of(arm.name)]
    books = [book for book in found if book is not None]
    if not books:
        return None
    hops = tuple(_sum(same) for same in zip(*(book.hops for book in books), strict=True))
    steps = [_step(a, b, _causes(books, a[0], b[0])) for a, b in _known_pairs(hops)]
    return Ledger(hops=hops, steps=tuple(steps))


def _known_pairs(hops: tuple[Hop, ...]) -> list[tuple[tuple[str, int], tuple[str, int]]]:
    known = [(hop.name, hop.packets) for hop in hops if hop.packets is not None]
    return list(pairwise(known))


def _step(start: tuple[str, int], end: tuple[str, int], causes: tuple[Cause, ...]) -> Step:
    lost = start[1] - end[1]
    return Step(
        start=start[0],
        end=end[0],
        before=start[1],
        lost=lost,
        causes=causes if lost > 0 else (),
    )


def _sum(same: tuple[Hop, ...]) -> Hop:
    first = same[0]
    known = [hop for hop in same if hop.packets is not None]
    whole = len(known) == len(same)
    return Hop(
        name=first.name,
        packets=sum(hop.packets or 0 for hop in known) if whole else None,
        counter=first.counter,
        raw=sum(hop.raw or 0 for hop in known) if whole else None,
        other=sum(hop.other or 0 for hop in known) if whole else None,
    )


def _causes(books: list[Ledger], start: str, end: str) -> tuple[Cause, ...]:
    """What explains the losses of the trials' steps within a stretch, added up."""
    first, last = ORDER.index(start), ORDER.index(end)
    counts: dict[str, int] = {}
    for book in books:
        for step in book.steps:
            if first <= ORDER.index(step.start) and ORDER.index(step.end) <= last:
                for cause in step.causes:
                    counts[cause.counter] = counts.get(cause.counter, 0) + cause.count
    return tuple(Cause(counter=name, count=count) for name, count in counts.items())
