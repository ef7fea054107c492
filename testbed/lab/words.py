# SPDX-License-Identifier: Apache-2.0
"""What an arm said, as an error shows it: a compiler's first complaint, and its last."""

MOST_LINES, LONGEST_LINE = 40, 300


def shortened(words: str) -> str:
    """Return the first and the last lines of what an arm said, and how many are left out."""
    lines = [
        line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…"
        for line in words.splitlines()
    ]
    if (more := len(lines) - MOST_LINES) > 0:
        half = MOST_LINES // 2
        lines[half:-half] = [f"… {more:,} lines left out …"]
    return "\n".join(lines)
