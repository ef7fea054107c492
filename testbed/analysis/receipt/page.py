# SPDX-License-Identifier: Apache-2.0
"""Renders a count into its page, its pictures and derived/count.json. Same count, same bytes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from testbed.analysis.counting.stages import STAGES
from testbed.analysis.formats.templates import TEMPLATES, template
from testbed.analysis.plots.count import Bar, draw_count
from testbed.analysis.plots.style import Drawing
from testbed.analysis.receipt.identity import qemu, release
from testbed.analysis.receipt.judged import JudgedCount
from testbed.analysis.receipt.receipt import Receipt
from testbed.analysis.receipt.view import signed, view_of

Pictures = list[tuple[Drawing, Drawing]]
"""Wide and narrow, one pair for each payload."""


def render_count(
    judged: JudgedCount,
    templates: Path = TEMPLATES,
    *,
    pictures: Callable[[], Pictures] | None = None,
) -> dict[str, str | bytes]:
    """Return file name within the run directory → content.

    report.html, report.md, derived/count.json, plots/count-<payload>.svg and .png, and the narrow
    ones. `pictures` saves drawing here. Raises UsageError naming the line of a broken template.
    """
    fill = {f"report.{kind}": template(templates, f"count.{kind}.j2") for kind in ("html", "md")}
    drawn = pictures() if pictures else draw(pictures_of(judged))
    variables: dict[str, Any] = {
        **view_of(judged), "pictures": drawn, "quote": quote, "signed": signed,
    }  # fmt: skip
    files: dict[str, str | bytes] = {"derived/count.json": judged.as_json()}
    for pair in drawn:
        for drawing in pair:
            files[f"plots/{drawing.name}.svg"] = drawing.file
            files[f"plots/{drawing.name}.png"] = drawing.png
    return files | {name: page(variables) for name, page in fill.items()}


@dataclass(frozen=True)
class Picture:
    """What a picture of one payload is drawn from."""

    name: str
    bars: tuple[Bar, ...]
    stamp: str


def pictures_of(judged: JudgedCount) -> list[Picture]:
    """Return what is to be drawn: a picture of each payload."""
    found = []
    for size in dict.fromkeys(one.payload for one in judged.run.receipts):
        some = [one for one in judged.run.receipts if one.payload == size]
        bars = tuple(_bar(one, judged) for one in some)
        found.append(Picture(f"count-{size}", bars, _stamp(judged, some[0])))
    return found


def draw(pictures: Sequence[Picture]) -> Pictures:
    """Draw pictures, each in two widths."""
    return [
        (
            draw_count(one.bars, STAGES, one.stamp, name=one.name),
            draw_count(one.bars, STAGES, one.stamp, name=one.name, narrow=True),
        )
        for one in pictures
    ]


def _bar(one: Receipt, judged: JudgedCount) -> Bar:
    stages = {stage: taken.instructions for stage, taken in one.stages.items()}
    return Bar(one.title, stages, one.is_baseline, compared=one in judged.comparable)


def _stamp(judged: JudgedCount, one: Receipt) -> str:
    """What was counted where: a picture that leaves its page must still say it."""
    known, packets = judged.run.identity, len(one.summary.packets)
    parts = [
        f"{one.payload:,} bytes of payload", f"{packets:,} packets an arm",
        f"NIC {known.get('nic', 'unknown')}",
        f"emulated by {qemu(str(known.get('qemu') or 'an unknown QEMU'))}",
        f"Linux {release(str(known.get('kernel') or 'unknown'))}",
        f"instructions, no time; {judged.opening.status}", f"run {judged.run.run_id}",
    ]  # fmt: skip
    return "\u00a0· ".join(parts)
