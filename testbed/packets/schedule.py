# SPDX-License-Identifier: Apache-2.0
"""The order in which crafted frames are sent, and when: drawn, so that neither tells anything.

Half of the gaps are a trial's, as far as that is not too slow; the others are of any length. Frames
sent as a trial in little have the pauses of a trial, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby

from testbed.packets.case import Case
from testbed.packets.drawing import DATA, END, START, Draws, kind_of
from testbed.packets.reference import packet_of

SHORTEST_US, LONGEST_US = 50, 700
"""Two emulated cores carry 10,000 frames a second for a while; the receiver holds some 90."""
QUIET_US = (20_000, 100_000)
"""Before a trial's START nothing comes."""
ANSWER_US = (2_000, 40_000)
"""So long the client waits for an answer to START and END before it goes on."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """Frames in the order of sending, when each is due, and whose they are."""

    frames: tuple[bytes, ...]
    due_us: tuple[int, ...]
    places: dict[int, tuple[int, ...]]
    """By the case's number: where its frames stand."""


def schedule(cases: Sequence[Case], draws: Draws) -> Schedule:
    """Shuffle the cases; what a trial sends in one piece, and fragments, stay in order.

    A trial comes first: it does, too, behind a hook that was just loaded.
    """
    units = [list(unit) for _, unit in groupby(cases, key=_unit)]
    draws.chance.shuffle(units)
    units.sort(key=lambda unit: _unit(unit[0]) != FIRST)
    order = [(case, frame) for unit in units for case in unit for frame in case.frames]
    places: dict[int, list[int]] = {}
    for place, (case, _) in enumerate(order):
        places.setdefault(case.number, []).append(place)
    gaps = (round(gap) for gap in _gaps([case for case, _ in order], draws))
    return Schedule(
        tuple(frame for _, frame in order),
        tuple(accumulate(gaps)),
        {number: tuple(found) for number, found in places.items()},
    )


FIRST = "trial 1"


def _unit(case: Case) -> str | int:
    """Return what neighbours to be kept together have in common: the trial, or nothing."""
    trial, comma, _ = case.title.partition(",")
    return trial if case.group == "as-in-trials" and comma else case.number


def _gaps(order: Sequence[Case], draws: Draws) -> Iterator[float]:
    """Return how long after the one before each frame is due, in µs."""
    space, draw = draws.space, draws.chance.uniform
    mean = min(1e6 / space.rate_pps, LONGEST_US)
    answered = False
    for case in order:
        kind = kind_of(packet_of(case.frames[0])[28:]) if isinstance(_unit(case), str) else DATA
        if answered:
            yield draw(*ANSWER_US)
        elif kind == START:
            yield draw(*QUIET_US)
        elif draws.likely(0.5):
            yield mean * draw(1 - space.jitter, 1 + space.jitter)
        else:
            yield SHORTEST_US * (LONGEST_US / SHORTEST_US) ** draws.chance.random()
        answered = kind in (START, END)
