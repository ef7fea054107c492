# SPDX-License-Identifier: Apache-2.0
"""Every trial as a point: its cost per delivered packet, one row an arm, the baseline first.

The line through a row is the geometric mean, the band around it its 95 % interval; none of an arm
that must not be compared, for a band invites to.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from testbed.analysis.conclusions.sentences import mean_text, significant, supported
from testbed.analysis.formats.sanitize import harmless
from testbed.analysis.measures.cost import costs_by_block
from testbed.analysis.measures.cost_names import cost_unit
from testbed.analysis.plots.stamp import stamp
from testbed.analysis.plots.style import (
    FAINT,
    SMALL_PX,
    Drawing,
    look_of,
    new_sheet,
    part_name,
    styled,
)
from testbed.analysis.plots.svg import INK
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.statistics.intervals import geometric_mean, mean_interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 440
ROW = 92
BANNER = 32
LONGEST_TITLE = 50
LONGEST_VOID_TITLE = 36
MOST_ARMS = 10
"""In one figure: more would not fit on a page."""
FEW_POINTS = 30
"""More points in a row than this are drawn smaller."""
Costs = dict[str, dict[int, float]]
"""By arm and block."""
Intervals = dict[str, tuple[float, float]]
"""Of the geometric means, by arm."""
ABOVE, BELOW = 0.41, 0.97
"""From where to where in a row its points stand."""


def shortened(title: str, length: int = LONGEST_TITLE) -> str:
    """The title in so many characters, and harmless."""
    title = harmless(title)
    return title if len(title) <= length else title[: length - 1] + "\u2026"


def ordered(run: Run) -> tuple[Arm, ...]:
    """The arm without a hook first, then as planned."""
    return tuple(sorted(run.arms, key=lambda arm: not arm.is_baseline))


@styled
def draw_comparison(
    run: Run,
    excluded: dict[str, tuple[str, ...]],
    *,
    relative: bool,
    bands: bool = False,
    warning: str = "",
) -> tuple[Drawing, ...]:
    """None of no trial with a cost; as many as it takes to keep each on a page, on one scale.

    Excluded arms are drawn hollow and named as such. `relative` adds a scale in % of the arm
    without a hook: only where every arm may be compared. `bands` draws the means' intervals: only
    where there is something to compare. `warning` is written over the chart, in words, for the
    file may travel without its page.
    """
    arms = ordered(run)
    costs = {arm.name: costs_by_block(run, arm.name) for arm in arms}
    if not any(costs.values()):
        return ()
    intervals = {
        name: ends
        for name, by_block in costs.items()
        if bands and name not in excluded and (ends := mean_interval(list(by_block.values())))
    }
    baseline = next((arm for arm in arms if arm.is_baseline), None)
    mean = geometric_mean(list(costs[baseline.name].values())) if baseline and relative else None
    chart = _Chart(
        run=run, costs=costs, intervals=intervals, excluded=excluded,
        limits=_limits(costs, intervals), no_hook=mean, warning=warning,
    )  # fmt: skip
    starts = range(0, len(arms), MOST_ARMS)
    return tuple(
        _part(chart, start, arms[start : start + MOST_ARMS], part_name("comparison", number))
        for number, start in enumerate(starts)
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chart:
    """What all parts share; `no_hook` is the mean that is 100 % on the upper scale, or None."""

    run: Run
    costs: Costs
    intervals: Intervals
    excluded: dict[str, tuple[str, ...]]
    limits: tuple[float, float]
    no_hook: float | None
    warning: str


def _part(chart: _Chart, first: int, arms: tuple[Arm, ...], name: str) -> Drawing:
    """The arms from the place `first` in the order on."""
    height = ROW * len(arms)
    above = 46 if chart.no_hook is not None else 6
    banner = BANNER if chart.warning else 0
    sheet = new_sheet(WIDTH, 46 + height + above + banner, stamp(chart.run, arms))
    if chart.warning:
        _banner(sheet.figure, chart.warning)
    axes = sheet.axes(12, 46, WIDTH - 24, height)
    axes.set_ylim(first + len(arms), first)
    axes.set_xlim(*chart.limits)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=INK, alpha=FAINT, linewidth=0.8)
    axes.set_xlabel(f"{cost_unit(chart.run)} per delivered packet")
    for index, arm in enumerate(arms, start=first):
        if ends := chart.intervals.get(arm.name):
            _band(axes, index, ends)
        void, blocks = arm.name in chart.excluded, len(chart.run.blocks)
        _row(axes, index, arm, chart.costs[arm.name], void=void, blocks=blocks)
    if chart.no_hook is not None:
        _percent_axis(axes, chart.no_hook)
    spoken = _alternative(chart, arms)
    return sheet.finish(name, f"{chart.warning}. {spoken}" if chart.warning else spoken)


def _limits(costs: Costs, intervals: Intervals) -> tuple[float, float]:
    """All points; of the intervals as much as does not squeeze the points to a half."""
    points = [cost for by_block in costs.values() for cost in by_block.values()]
    low, high = min(points), max(points)
    reach = (high - low) / 2
    for end in (end for ends in intervals.values() for end in ends):
        low = max(min(low, end), min(points) - reach)
        high = min(max(high, end), max(points) + reach)
    margin = max((high - low) * 0.08, high * 0.01)
    return low - margin, high + margin


def _row(
    axes: "Axes", index: int, arm: Arm, by_block: dict[int, float], *, void: bool, blocks: int
) -> None:
    """The arm's name, its points (the first block at the top), and their mean."""
    label = shortened(arm.title)
    if void:
        label = shortened(arm.title, LONGEST_VOID_TITLE) + " (not comparable)"
    axes.annotate(
        label, (0, index), xycoords=("axes fraction", "data"), xytext=(0, -16),
        textcoords="offset pixels", fontweight="bold",
    )  # fmt: skip
    if not by_block:
        axes.annotate(
            "no cost per packet: too little was delivered",
            (0, index + 0.62), xycoords=("axes fraction", "data"), fontsize=SMALL_PX,
        )  # fmt: skip
        return
    colour, marker = look_of(index, arm)
    step = 0.44 / max(blocks - 1, 1)
    axes.plot(
        [by_block[block] for block in sorted(by_block)],
        [index + 0.47 + step * (block - 1) for block in sorted(by_block)],
        linestyle="none", marker=marker, markersize=7 if blocks <= FEW_POINTS else 4,
        markerfacecolor="none" if void else colour, markeredgecolor=colour,
        markeredgewidth=1.4 if blocks <= FEW_POINTS else 0.7, alpha=0.9, clip_on=False, zorder=3,
    )  # fmt: skip
    costs = list(by_block.values())
    mean = geometric_mean(costs)
    if mean is None:
        return
    axes.plot([mean, mean], [index + ABOVE, index + BELOW], color=INK, linewidth=1.6, zorder=4)
    axes.annotate(
        mean_text(costs), (mean, index + ABOVE), xytext=(0, 2), textcoords="offset pixels",
        ha="center", va="bottom", fontsize=SMALL_PX,
    )  # fmt: skip


def _band(axes: "Axes", index: int, ends: tuple[float, float]) -> None:
    upright = (index + ABOVE, index + BELOW)
    axes.fill_betweenx(upright, *ends, color=INK, alpha=0.10, linewidth=0, zorder=1)
    axes.vlines(ends, *upright, color=INK, alpha=0.45, linewidth=0.7, zorder=1)


def _banner(figure: "Figure", warning: str) -> None:
    """A frame with words across the top of the figure."""
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches() * 72
    corner, size = (12 / width, 1 - 25 / height), (1 - 24 / width, 22 / height)
    figure.patches.append(
        Rectangle(
            corner, *size, transform=figure.transFigure, facecolor="none", edgecolor=INK,
            linewidth=1.4,
        )
    )  # fmt: skip
    figure.text(
        20 / width, 1 - 14 / height, warning, va="center", fontsize=SMALL_PX, fontweight="bold"
    )


def _percent_axis(axes: "Axes", mean: float) -> None:
    """The same scale on top, in % of the geometric mean of the arm without a hook."""
    top = axes.twiny()
    low, high = axes.get_xlim()
    top.set_xlim(low / mean * 100, high / mean * 100)
    top.set_xlabel("% of no hook")
    top.tick_params(length=3, width=0.8)
    for spine in top.spines.values():
        spine.set_visible(False)


def _alternative(chart: _Chart, arms: tuple[Arm, ...]) -> str:
    parts = []
    for arm in arms:
        values = list(chart.costs[arm.name].values())
        if values:
            parts.append(f"{arm.title}: {significant(min(values))} to {significant(max(values))}")
            if geometric_mean(values) is not None:
                parts[-1] += f", geometric mean {mean_text(values)}"
            if ends := chart.intervals.get(arm.name):
                low, high = (supported(end, (ends[1] - ends[0]) / 2) for end in ends)
                parts[-1] += f" (95\u00a0% interval {low} to {high})"
        else:
            parts.append(f"{arm.title}: none")
        if arm.name in chart.excluded:
            parts[-1] += " (not comparable)"
    unit = cost_unit(chart.run)
    return f"{unit} per delivered packet, one point a trial. " + "; ".join(parts) + "."
