# SPDX-License-Identifier: Apache-2.0
"""The doctor's lines as text. Pure."""

import re
import textwrap
from collections import Counter
from collections.abc import Sequence

from testbed.lab.doctor.diagnosis import LEVELS, Diagnosis

COLOURS = {"ok": "32", "note": "36", "warning": "33", "problem": "31"}
LEVEL_WIDTH = 8
NARROWEST = 60
GLUE = "\u00a0"
"""Stands for a blank in a command while lines are broken, so that commands stay whole."""


def lines(diagnoses: Sequence[Diagnosis], width: int | None, *, colour: bool) -> list[str]:
    """Return the table; `width` None leaves every line whole, for a pipe."""
    names = max((len(one.name) for one in diagnoses), default=0)
    table = []
    for one in diagnoses:
        level = f"{one.level:<{LEVEL_WIDTH}}"
        if colour:
            level = f"\x1b[{COLOURS[one.level]}m{level}\x1b[0m"
        indent = LEVEL_WIDTH + 1 + names + 2
        first, *more = _broken(one.found, width, indent)
        table.append(f"{level} {one.name:<{names}}  {first}".rstrip())
        table += [" " * indent + line for line in more]
        if one.fix:
            indent = LEVEL_WIDTH + 1
            first, *more = _broken(f"→ {one.fix}", width, indent)
            table.append(" " * indent + first)
            table += [" " * (indent + 2) + line for line in more]
    return table


def _broken(text: str, width: int | None, indent: int) -> list[str]:
    if width is None:
        return [text]
    whole = re.sub(r"`[^`]*`", lambda found: found[0].replace(" ", GLUE), text)
    room = max(width, NARROWEST) - indent - 2
    broken = textwrap.wrap(whole, room, break_long_words=False, break_on_hyphens=False)
    return [line.replace(GLUE, " ") for line in broken] or [""]


def summary(diagnoses: Sequence[Diagnosis]) -> str:
    """Return how many of each level there are, the worst first."""
    counts = Counter(one.level for one in diagnoses)
    said = [
        f"{counts[level]} {level}{'s' if counts[level] > 1 and level != 'ok' else ''}"
        for level in reversed(LEVELS)
        if counts[level]
    ]
    return ", ".join(said)
