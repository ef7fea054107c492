# SPDX-License-Identifier: Apache-2.0
"""The page of two kernels. Same counts, same bytes; its place is the second run's derived/."""

from pathlib import Path
from typing import Any

from testbed.analysis.formats.templates import TEMPLATES, render
from testbed.analysis.kernels import words
from testbed.analysis.kernels.compared import Compared, TwoKernels
from testbed.analysis.receipt.answer import NOT_TIME
from testbed.analysis.receipt.view import signed

MOST_ROWS = 30


def page_name(found: TwoKernels) -> str:
    """Return the page's name within the second run's directory."""
    return f"derived/kernels-{found.first.run}.html"


def render_kernels(found: TwoKernels, templates: Path = TEMPLATES) -> str:
    """Return the page. Raises UsageError naming the line of a broken template."""
    facts = zip(found.first.facts, found.second.facts, strict=True)
    variables: dict[str, Any] = {
        "first": found.first,
        "second": found.second,
        "answers": words.answers(found),
        "not_time": NOT_TIME,
        "inlined": words.INLINED,
        "alike": words.ALIKE,
        "also": words.also(found),
        "left_out": found.left_out,
        "sizes": list(dict.fromkeys(f"{arm.one.payload:,}" for arm in found.arms)),
        "arms": [_arm(arm) for arm in found.arms],
        "added": [
            {"what": f"{row.arm} over {row.over}", "payload": f"{row.payload:,}",
             "first": signed(row.first), "second": signed(row.second),
             "extra": signed(row.second - row.first)}
            for row in found.added
        ],
        "facts": [(name, one, two) for (name, one), (_, two) in facts],
    }  # fmt: skip
    return render(templates, "kernels.html.j2", variables)


def _arm(arm: Compared) -> dict[str, Any]:
    left = arm.rows[MOST_ROWS:]
    pair = arm.pair
    return {
        "title": arm.one.title,
        "payload": f"{arm.one.payload:,}",
        "first": f"{pair.first.instructions:,}",
        "second": f"{pair.second.instructions:,}",
        "extra": signed(pair.extra),
        "rows": [
            {"name": row.name, "first": words.shown(row.first), "second": words.shown(row.second),
             "extra": signed(row.extra)}
            for row in arm.rows[:MOST_ROWS]
        ],
        "left": len(left),
        "left_extra": signed(sum(row.extra for row in left)),
    }  # fmt: skip
