# SPDX-License-Identifier: Apache-2.0
"""Counts over payload sizes: a + b·bytes within one regime of the driver, and the steps below it.

On e1000 a frame below 60 bytes is padded, and up to 210 bytes of payload the driver copies the
frame into a small buffer (copybreak, 256). From 211 to 1,472 bytes every packet takes one way.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from testbed.analysis.counting.summary import Summary

REGIME = (211, 1472)
STEPS = (
    (17, "below 18 bytes the frame is padded to 60 bytes"),
    (68, "up to 68 bytes the checksum is verified before the socket, also with generic XDP"),
    (210, "up to 210 bytes the driver copies the frame into a small buffer (copybreak)"),
)
"""Up to which payload, and what is different there."""


def fit(summaries: Sequence[Summary]) -> dict[str, Any]:
    """Return the line through the typical counts of one arm within the regime, with its residual.

    `per_byte` and `functions` are None with fewer than two payloads there. `functions` has those
    whose instructions grow with the bytes, with their instructions a byte; `steps` the payloads
    below the regime, with what is different there.
    """
    inside = [one for one in summaries if REGIME[0] <= one.counted.payload_bytes <= REGIME[1]]
    below = [one for one in summaries if one.counted.payload_bytes < REGIME[0]]
    steps = [
        {"payload_bytes": one.counted.payload_bytes, "typical_instructions": one.typical.own,
         "why": _why(one.counted.payload_bytes)}
        for one in below
    ]  # fmt: skip
    if len(inside) < 2:
        return {"regime": list(REGIME), "instructions": None, "per_byte": None, "residual": None,
                "functions": None, "steps": steps}  # fmt: skip
    sizes = [one.counted.payload_bytes for one in inside]
    counts = [one.typical.own for one in inside]
    fixed, per_byte = line(sizes, counts)
    rest = max(
        abs(count - fixed - per_byte * size) for size, count in zip(sizes, counts, strict=True)
    )
    return {
        "regime": list(REGIME),
        "instructions": fixed,
        "per_byte": per_byte,
        "residual": rest,
        "functions": _scaling(inside),
        "steps": steps,
    }


def line(sizes: Sequence[int], counts: Sequence[float]) -> tuple[float, float]:
    """Return a and b of the least-squares line a + b·size; at least two sizes differ."""
    mean_size = sum(sizes) / len(sizes)
    mean_count = sum(counts) / len(counts)
    spread = sum((size - mean_size) ** 2 for size in sizes)
    joint = sum(
        (size - mean_size) * (count - mean_count) for size, count in zip(sizes, counts, strict=True)
    )
    per_byte = joint / spread
    return mean_count - per_byte * mean_size, per_byte


def _scaling(inside: Sequence[Summary]) -> dict[str, float]:
    """Return {function: instructions a byte} of those that differ between the largest and least."""
    ordered = sorted(inside, key=lambda one: one.counted.payload_bytes)
    least, most = ordered[0], ordered[-1]
    more = Counter(most.typical.functions())
    more.subtract(least.typical.functions())
    span = most.counted.payload_bytes - least.counted.payload_bytes
    rows = {name: count / span for name, count in more.items() if count}
    return dict(sorted(rows.items(), key=lambda row: -abs(row[1])))


def _why(payload: int) -> str:
    return next(words for limit, words in STEPS if payload <= limit)
