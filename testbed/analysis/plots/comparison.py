# SPDX-License-Identifier: Apache-2.0
"""Every trial as a point: CPU-µs per delivered packet, one row an arm, the baseline first."""

from typing import TYPE_CHECKING

from testbed.analysis.comparison import costs_by_block
from testbed.analysis.plots.style import (
    FAINT,
    INK,
    SMALL_PX,
    Drawing,
    axes_in,
    look_of,
    new_figure,
    styled,
    svg_of,
)
from testbed.analysis.records import Arm, Run
from testbed.analysis.statistics import geometric_mean
from testbed.analysis.wording import significant

WIDTH = 440
ROW = 92
BANNER = 32
if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONGEST_TITLE = 50
LONGEST_VOID_TITLE = 36


def shortened(title: str, length: int = LONGEST_TITLE) -> str:
    return title if len(title) <= length else title[: length - 1] + "\u2026"


def ordered(run: Run) -> tuple[Arm, ...]:
    """The arm without a hook first, then as planned."""
    return tuple(sorted(run.arms, key=lambda arm: not arm.is_baseline))


@styled
def draw_comparison(
    run: Run, excluded: dict[str, tuple[str, ...]], *, relative: bool, warning: str = ""
) -> Drawing | None:
    """None when no trial has a cost. Excluded arms are drawn hollow and named as such.

    `relative` adds a scale in % of the arm without a hook: only where every arm may be compared.
    `warning` is written over the chart, in words, for the file may travel without its page.
    """
    costs = {arm.name: costs_by_block(run, arm.name) for arm in ordered(run)}
    every = [cost for by_block in costs.values() for cost in by_block.values()]
    if not every:
        return None
    arms = ordered(run)
    height = ROW * len(arms)
    above = 46 if relative else 6
    banner = BANNER if warning else 0
    figure = new_figure(WIDTH, 46 + height + above + banner)
    if warning:
        _banner(figure, warning)
    axes = axes_in(figure, 12, 46, WIDTH - 24, height)
    axes.set_ylim(len(arms), 0)
    low, high = min(every), max(every)
    margin = max((high - low) * 0.12, high * 0.01)
    axes.set_xlim(low - margin, high + margin)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=INK, alpha=FAINT, linewidth=0.8)
    for index, arm in enumerate(arms):
        by_block = costs[arm.name]
        void = arm.name in excluded
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
            continue
        colour, marker = look_of(index, arm)
        blocks = sorted(by_block)
        step = 0.44 / max(len(run.blocks) - 1, 1)
        axes.plot(
            [by_block[block] for block in blocks],
            [index + 0.47 + step * (block - 1) for block in blocks],
            linestyle="none", marker=marker, markersize=7,
            markerfacecolor="none" if void else colour, markeredgecolor=colour,
            markeredgewidth=1.4, alpha=0.9, clip_on=False, zorder=3,
        )  # fmt: skip
        mean = geometric_mean(list(by_block.values()))
        if mean is not None:
            axes.plot(
                [mean, mean], [index + 0.41, index + 0.97], color=INK, linewidth=1.6, zorder=4
            )
            axes.annotate(
                significant(mean), (mean, index + 0.4), xytext=(0, 2), textcoords="offset pixels",
                ha="center", va="bottom", fontsize=SMALL_PX,
            )  # fmt: skip
    axes.set_xlabel("CPU-µs per delivered packet")
    baseline = next((arm for arm in arms if arm.is_baseline), None)
    mean = geometric_mean(list(costs[baseline.name].values())) if baseline else None
    if relative and mean is not None:
        _percent_axis(axes, mean)
    spoken = _alternative(run, costs, excluded)
    return svg_of(figure, "comparison", f"{warning}. {spoken}" if warning else spoken)


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


def _alternative(
    run: Run, costs: dict[str, dict[int, float]], excluded: dict[str, tuple[str, ...]]
) -> str:
    parts = []
    for arm in ordered(run):
        values = costs[arm.name].values()
        if values:
            mean = geometric_mean(list(values))
            centre = f", geometric mean {significant(mean)}" if mean is not None else ""
            parts.append(
                f"{arm.title}: {significant(min(values))} to {significant(max(values))}{centre}"
            )
        else:
            parts.append(f"{arm.title}: none")
        if arm.name in excluded:
            parts[-1] += " (not comparable)"
    return "CPU microseconds per delivered packet, one point a trial. " + "; ".join(parts) + "."
