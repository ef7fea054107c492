# SPDX-License-Identifier: Apache-2.0
"""An arm's output, as an error shows it: a compiler's first complaint, and its last."""

from itertools import groupby

MOST_LINES, LONGEST_LINE, MOST_ALIKE = 40, 300, 3


def shortened(words: str) -> str:
    """Return the first and the last lines of what an arm said, and how many are left out."""
    lines: list[str] = []
    for line, group in groupby(words.splitlines()):
        shown = line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"
        alike = sum(1 for _ in group)
        lines += [shown] * min(alike, MOST_ALIKE)
        if (more := alike - MOST_ALIKE) > 0:
            lines.append(f"… the same line {more:,} times more …")
    if (more := len(lines) - MOST_LINES) > 0:
        half = MOST_LINES // 2
        lines[half:-half] = [f"… {more:,} lines left out …"]
    return "\n".join(lines)
