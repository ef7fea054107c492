# SPDX-License-Identifier: Apache-2.0
"""Did packets come out in the order in which they were sent? A hook that defers some changes it."""

from bisect import bisect_right
from collections.abc import Sequence

DISPLACED, SHARE = 8, 0.005
"""More than both are the hook's doing: an interrupt that moves to another CPU displaces a few."""


def displaced(places: Sequence[int]) -> int:
    """Return how many of these places in the order of sending are not where they belong.

    The fewest that would have to be taken out for the rest to be in order: all but the longest
    subsequence that does not fall (by patience sorting; Fredman, Discrete Mathematics 11, 1975).
    """
    tops: list[int] = []
    for place in places:
        pile = bisect_right(tops, place)
        tops[pile : pile + 1] = [place]
    return len(places) - len(tops)


def too_many(out_of_order: int, packets: int) -> bool:
    """Return whether so many of these packets cannot be chance."""
    return out_of_order > DISPLACED and out_of_order > SHARE * packets
