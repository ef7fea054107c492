# SPDX-License-Identifier: Apache-2.0
"""The picture of a packet's instructions: a bar an arm, and the difference to no hook apart.

A stage has a letter, which stands in the bars and in the list below: print and eyes that do not
tell colours apart lose nothing. Two widths of one drawing: the page shows the one that fits.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TYPE_CHECKING

from testbed.analysis.plots.comparison import shortened
from testbed.analysis.plots.ledger_layout import NARROW, WIDE
from testbed.analysis.plots.style import (
    COLOURS,
    FAINT,
    SMALL_PX,
    Drawing,
    new_sheet,
    styled,
)
from testbed.analysis.plots.svg import INK

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FILLS = ("#CFCFCF", "#8FC1EA", "#F4B183", "#A9D6A0", "#F3DF7A", "#C7B3E5", "#F2A3A8", "#93CFCB")
"""Light, for the letters on them are dark in any page."""
LETTER, EDGE = "#111111", "#3a3a38"
HATCHES = ("", "////", "xxxx", "....", "\\\\\\\\", "++++")
MARGIN, BAR, TITLE, GAP = 8.0, 28.0, 20.0, 12.0
HEAD, AXIS, THIN, ROW_GAP = 30.0, 20.0, 13.0, 7.0
SMALLEST = 11.0
"""Pixels that a letter needs."""
CHARACTER = 6.7
"""Width of a character of SMALL_PX in DejaVu Sans, generously."""


@dataclass(frozen=True, slots=True)
class Bar:
    """An arm's instructions by stage. `compared`: whether its difference may be drawn."""

    title: str
    stages: Mapping[str, int]
    is_baseline: bool
    compared: bool = True

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.stages.values())


@styled
def draw_count(
    bars: Sequence[Bar], order: Sequence[str], stamp: str, *, name: str, narrow: bool = False
) -> Drawing:
    """Draw arms in their order; stages as in `order`, of which those that no arm has are left out.

    Raises ValueError without bars.
    """
    if not bars:
        raise ValueError("no bars")
    stages = [stage for stage in order if any(bar.stages.get(stage) for bar in bars)]
    base = next((bar for bar in bars if bar.is_baseline), None)
    hooks = [bar for bar in bars if bar.compared and not bar.is_baseline] if base else []
    width = float(NARROW if narrow else WIDE)
    head = HEAD + len(bars) * (TITLE + BAR + GAP)
    legend = (len(hooks) if narrow else 1) * 17.0 + AXIS if hooks else 0.0
    rows = [_StageExtras(stage, [_extra(hook, base, stage) for hook in hooks]) for stage in stages]
    height = head + HEAD + legend + sum(row.height for row in rows)
    sheet = new_sheet(width, height, stamp)
    axes = sheet.axes(0, 0, width, height)
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    _whole(axes, bars, stages, base, width)
    _list(axes, rows, base or bars[0], hooks, width, head)
    return sheet.finish(f"{name}-narrow" if narrow else name, _alternative(bars, base, stages))


def _whole(
    axes: "Axes", bars: Sequence[Bar], stages: Sequence[str], base: Bar | None, width: float
) -> None:
    """The bars, on one scale from zero."""
    axes.text(MARGIN, 18, "Instructions a packet", va="baseline", fontweight="bold")
    room = width - 2 * MARGIN
    scale = room / max(bar.total for bar in bars)
    top = HEAD
    for bar in bars:
        over = _over(bar, base)
        more = f" ({over:+,})" if over is not None else "" if bar.compared else ", not compared"
        said = f"{bar.total:,}{more}"
        letters = int((room - len(said) * CHARACTER - 12) / CHARACTER)
        axes.text(MARGIN, top + 13, shortened(bar.title, letters), fontsize=SMALL_PX)
        axes.text(width - MARGIN, top + 13, said, ha="right", fontsize=SMALL_PX, fontweight="bold")
        left = MARGIN
        for at, stage in enumerate(stages):
            size = bar.stages.get(stage, 0) * scale
            if size:
                _box(axes, left, top + TITLE, size, BAR, _fill(at))
            if size >= SMALLEST:
                axes.text(
                    left + size / 2, top + TITLE + BAR / 2, ascii_uppercase[at], ha="center",
                    va="center", fontsize=SMALL_PX, color=LETTER, fontweight="bold",
                )  # fmt: skip
            left += size
        top += TITLE + BAR + GAP


def _list(
    axes: "Axes",
    rows: Sequence["_StageExtras"],
    base: Bar,
    hooks: Sequence[Bar],
    width: float,
    top: float,
) -> None:
    """The stages by letter, and beside each how the hooks differ; narrow, without its number."""
    narrow = width < WIDE
    names = max(len(row.stage) for row in rows) * CHARACTER + 24
    number_at = MARGIN + names + (0 if narrow and hooks else 44)
    axes.text(MARGIN, top + 18, "More or less than without a hook" if hooks else "Stages",
              fontweight="bold")  # fmt: skip
    y = top + HEAD
    for place, hook in enumerate(hooks):
        y = _legend(axes, hook, place, len(hooks), y, stacked=narrow)
    zero, scale = _scale(rows, number_at + 8, width - MARGIN)
    first = y = y + AXIS if hooks else y
    if hooks:
        axes.text(zero - 5, y - 6, "fewer", ha="right", fontsize=SMALL_PX, style="italic")
        axes.text(zero + 5, y - 6, "more", ha="left", fontsize=SMALL_PX, style="italic")
        if not narrow:
            axes.text(number_at, y - 6, "no hook", ha="right", fontsize=SMALL_PX, style="italic")
    for at, row in enumerate(rows):
        middle = y + (row.height - ROW_GAP) / 2
        shade = 1.0 if any(row.extras) or not hooks else 0.65
        _box(axes, MARGIN, middle - 6.5, 15, 13, _fill(at))
        axes.text(
            MARGIN + 7.5, middle, ascii_uppercase[at], ha="center", va="center", color=LETTER,
            fontsize=SMALL_PX - 1, fontweight="bold",
        )  # fmt: skip
        axes.text(MARGIN + 22, middle, row.stage, va="center", fontsize=SMALL_PX, alpha=shade)
        if not (narrow and hooks):
            number = f"{base.stages.get(row.stage, 0):,}"
            axes.text(number_at, middle, number, ha="right", va="center", fontsize=SMALL_PX,
                      alpha=shade)  # fmt: skip
        for place, extra in enumerate(row.extras):
            if extra:
                _difference(axes, zero, y + place * THIN, extra, scale, place)
        y += row.height
        axes.plot(
            [MARGIN, width - MARGIN], [y - ROW_GAP / 2] * 2, color=INK, alpha=FAINT, linewidth=0.7
        )
    if hooks:
        axes.plot([zero, zero], [first - 18, y - ROW_GAP / 2], color=INK, linewidth=1)


@dataclass(frozen=True, slots=True)
class _StageExtras:
    """A stage, and what each hook adds to it; a line is enough where none adds anything."""

    stage: str
    extras: list[int]

    @property
    def height(self) -> float:
        return (len(self.extras) if any(self.extras) else 1) * THIN + ROW_GAP


def _over(bar: Bar, base: Bar | None) -> int | None:
    """Return its instructions over no hook; None where the two may not be compared."""
    if base is None or bar is base or not bar.compared:
        return None
    return bar.total - base.total


def _extra(hook: Bar, base: Bar | None, stage: str) -> int:
    return hook.stages.get(stage, 0) - (base.stages.get(stage, 0) if base else 0)


def _scale(rows: Sequence[_StageExtras], left: float, right: float) -> tuple[float, float]:
    """Return where zero is, and pixels an instruction; at both ends is room for a number."""
    extras = [extra for row in rows for extra in row.extras]
    least, most = min([*extras, 0]), max([*extras, 0])
    ends = [max(len(f"{number:+,}") + 1, 6) * CHARACTER for number in (least, most)]
    room = right - left - sum(ends)
    scale = room / (most - least) if most > least else 0.0
    return left + ends[0] - least * scale, scale


def _difference(axes: "Axes", zero: float, y: float, extra: int, scale: float, place: int) -> None:
    size = extra * scale
    _box(
        axes, min(zero, zero + size), y + 1.5, abs(size), THIN - 3, _colour(place),
        HATCHES[place % len(HATCHES)],
    )  # fmt: skip
    axes.text(
        zero + size + (4 if extra > 0 else -4), y + THIN / 2, f"{extra:+,}".replace("-", "\u2212"),
        ha="left" if extra > 0 else "right", va="center", fontsize=SMALL_PX - 0.5,
    )  # fmt: skip


def _legend(axes: "Axes", hook: Bar, place: int, hooks: int, y: float, *, stacked: bool) -> float:
    """Name an arm beside its fill; return where the next line begins."""
    left = MARGIN if stacked else MARGIN + place * (WIDE - 2 * MARGIN) / hooks
    letters = 44 if stacked else int((WIDE - 2 * MARGIN) / hooks / CHARACTER) - 6
    _box(axes, left, y, 22, 10, _colour(place), HATCHES[place % len(HATCHES)])
    axes.text(left + 28, y + 5, shortened(hook.title, letters), va="center", fontsize=SMALL_PX)
    return y + 17 if stacked or place == hooks - 1 else y


def _box(
    axes: "Axes", left: float, top: float, width: float, height: float, fill: str, hatch: str = ""
) -> None:
    from matplotlib.patches import Rectangle

    edge = "#ffffff" if hatch else EDGE
    axes.add_patch(
        Rectangle(
            (left, top), width, height, facecolor=fill, edgecolor=edge, linewidth=0.6, hatch=hatch
        )
    )


def _fill(at: int) -> str:
    return FILLS[at % len(FILLS)]


def _colour(place: int) -> str:
    return COLOURS[1:][place % (len(COLOURS) - 1)]


def _alternative(bars: Sequence[Bar], base: Bar | None, stages: Sequence[str]) -> str:
    """The picture in words: the totals, and each arm's three largest differences."""
    parts = []
    for bar in bars:
        said = f"{bar.title}: {bar.total:,}"
        if (over := _over(bar, base)) is not None:
            extras = {stage: _extra(bar, base, stage) for stage in stages}
            largest = sorted(extras.items(), key=lambda item: -abs(item[1]))[:3]
            told = ", ".join(f"{stage} {extra:+,}" for stage, extra in largest if extra)
            said += f", {over:+,} over no hook" + (f" ({told})" if told else "")
        parts.append(said)
    return "Instructions a packet, by stage. " + ". ".join(parts) + "."
