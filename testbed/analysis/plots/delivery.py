# SPDX-License-Identifier: Apache-2.0
"""Delivered against offered: one thin bar a trial, the outline offered, the filling delivered."""

from testbed.analysis.plots.comparison import LONGEST_VOID_TITLE, ordered, shortened
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
from testbed.analysis.records import Run

WIDTH = 440
BAR = 9.0
HEAD = 22.0
VISIBLE_SHARE = 0.95


@styled
def draw_delivery(run: Run) -> Drawing | None:
    """None unless a trial lost enough to be seen in a chart; the page's table has the rest."""
    rows: list[tuple[str, str, list[tuple[int, int]]]] = []
    for index, arm in enumerate(ordered(run)):
        counts = [
            (t.client.offered, t.server.unique)
            for t in run.trials_of(arm.name)
            if t.client is not None and t.server is not None
        ]
        rows.append((arm.title, look_of(index, arm)[0], counts))
    every = [pair for _, _, counts in rows for pair in counts]
    if all(arrived >= VISIBLE_SHARE * sent for sent, arrived in every):
        return None
    height = sum(HEAD + BAR * max(len(counts), 1) + 8 for _, _, counts in rows)
    figure = new_figure(WIDTH, height + 56)
    axes = axes_in(figure, 12, 46, WIDTH - 30, height)
    axes.set_ylim(height, 0)
    axes.set_xlim(0, max(sent for sent, _ in every) * 1.01)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=INK, alpha=FAINT, linewidth=0.8)
    y = 0.0
    for title, colour, counts in rows:
        offered, delivered = sum(o for o, _ in counts), sum(d for _, d in counts)
        axes.annotate(shortened(title, LONGEST_VOID_TITLE), (0, y + HEAD - 7), fontweight="bold")
        axes.annotate(
            f"{delivered:,} of {offered:,}" if counts else "no data", (1, y + HEAD - 7),
            xycoords=("axes fraction", "data"), ha="right", fontsize=SMALL_PX,
        )  # fmt: skip
        y += HEAD
        for sent, arrived in counts:
            axes.barh(y + BAR / 2, sent, height=BAR - 3, color="none", edgecolor=INK, linewidth=0.8)
            axes.barh(y + BAR / 2, arrived, height=BAR - 3, color=colour, zorder=3)
            y += BAR
        y += 8 if counts else BAR + 8
    axes.set_xlabel("packets in a trial: outline offered, filled delivered")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    spoken = "; ".join(
        f"{title}: {sum(d for _, d in c):,} of {sum(o for o, _ in c):,}" for title, _, c in rows
    )
    return svg_of(figure, "delivery", f"Packets delivered of packets offered. {spoken}.")
