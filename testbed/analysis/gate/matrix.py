# SPDX-License-Identifier: Apache-2.0
"""The gate's outcome in words: a row a group of cases, a column an arm."""

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.analysis.gate.outcomes import Came, CaseOutcome, GateOutcome, GroupOutcome
from testbed.packets.case import GROUPS

SAME = "same"
LOST = "lost behind the server's NIC"
DROPPED = "dropped by Linux, counted"
TAGGED, UNTAGGED = "vlan", "priority"
MOSTLY = 0.9
"""From this share of wrong lengths on, beyond the first wrong one, all of them are "from … on"."""


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """One line of the matrix; a cell an arm, "" where the arm has no such cases.

    `wrong` says which cells tell of something wrong, or not seen.
    """

    label: str
    cells: tuple[str, ...]
    wrong: tuple[bool, ...] = ()


def matrix(outcomes: Mapping[str, GateOutcome]) -> tuple[MatrixRow, ...]:
    """Return a row for each group of cases, one for losses, one for hits, one for what is dropped.

    The last says what a hook counted though Linux drops it behind some hooks: it depends on the
    hook's place, and is no fault.
    """
    arms = list(outcomes.values())
    by_arm = [{group.group: group for group in o.groups} for o in arms]
    names = dict.fromkeys([*GROUPS, *(name for groups in by_arm for name in groups)])
    rows = [
        MatrixRow(
            GROUPS.get(name, name),
            tuple(_cell(groups[name], o) if name in groups else ""
                  for groups, o in zip(by_arm, arms, strict=True)),
            tuple(name in groups and in_words(groups[name]) != SAME for groups in by_arm),
        )
        for name in names
        if any(name in groups for groups in by_arm)
    ]  # fmt: skip
    rows.append(MatrixRow(LOST, tuple(map(_lost, arms)), tuple(bool(o.loss_fault) for o in arms)))
    for label, counts in (
        ("came out, was not sent", [o.unsent for o in arms]),
        ("came out behind later ones", [o.displaced for o in arms]),
    ):
        if any(counts):
            cells = tuple(f"{count:,}" if count else "none" for count in counts)
            rows.append(MatrixRow(label, cells, tuple(count > 0 for count in counts)))
    rows.append(
        MatrixRow(
            "hits of the hook", tuple(map(_hits, arms)), tuple(bool(o.hits.fault) for o in arms)
        )
    )
    rows.append(MatrixRow(DROPPED, tuple(map(_dropped, arms)), (False,) * len(arms)))
    return tuple(rows)


def _cell(group: GroupOutcome, outcome: GateOutcome) -> str:
    """Return what became of a group; of tagged frames, what NIC and hook made of them."""
    words = in_words(group)
    if words != SAME or group.group not in (TAGGED, UNTAGGED) or not outcome.losses:
        return words
    if group.group == TAGGED:
        behind = outcome.counted_behind or ()
        counted = [case.title for case in group.cases if case.title in behind]
        return f"dropped; {', '.join(counted)}: counted before" if counted else "dropped"
    names = {
        Came.NAMESPACE: "forwarded" if outcome.direct else "rewritten",
        Came.SERVER: "unchanged",
        Came.NOWHERE: "nowhere",
    }
    return ", ".join(dict.fromkeys(names[case.came] for case in group.cases))


def _lost(outcome: GateOutcome) -> str:
    lost = outcome.lost
    if lost is None:
        return "not recorded"
    return "none" if lost == 0 else outcome.loss_fault.partition(": ")[2]


def _dropped(outcome: GateOutcome) -> str:
    if outcome.hits.counted is None:
        return "no hook" if outcome.direct else "not counted"
    if outcome.counted_behind is None:
        return "not known" if outcome.losses else "not recorded"
    return ", ".join(outcome.counted_behind) or "none"


def in_words(group: GroupOutcome) -> str:
    """Return what became of a group: "same", or what is wrong, from where on, and how many."""
    said = []
    wrong, total = group.mismatches, len(group.cases)
    if wrong:
        first = wrong[0]
        count = f"all {total:,}" if len(wrong) == total else f"{len(wrong):,} of {total:,}"
        if group.is_sweep and len(wrong) < total:
            said.append(f"{first.fault} {_from(first, group)}: {count}")
        elif total == 1 or len(wrong) == total:
            said.append(first.fault if total == 1 else f"{first.fault}: {count}")
        else:
            said.append(f"{first.fault} ({first.title}): {count}")
    if group.unseen:
        said.append(f"not seen: {group.unseen:,} of {total:,}")
    return "; ".join(said) or SAME


def _from(first: CaseOutcome, group: GroupOutcome) -> str:
    """Say the first wrong length; "on" when nearly all longer ones are wrong, too."""
    at = first.payload_bytes or 0
    beyond = [case for case in group.cases if (case.payload_bytes or 0) >= at]
    runs_on = len(group.mismatches) >= MOSTLY * len(beyond) and len(beyond) > 1
    return f"from {at} bytes on" if runs_on else f"first at {at} bytes"


def _hits(outcome: GateOutcome) -> str:
    hits = outcome.hits
    if hits.counted is None:
        return "no hook" if outcome.direct else "not counted"
    return hits.fault or f"{hits.counted:,} counted"


def reasons(outcome: GateOutcome) -> tuple[str, ...]:
    """Return a line for each group in which something is wrong or unknown, then the rest's."""
    lines = [
        f"{GROUPS.get(group.group, group.group)}: {words}"
        for group in outcome.groups
        if (words := in_words(group)) != SAME
    ]
    return (*lines, *outcome.faults)
