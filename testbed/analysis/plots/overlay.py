# SPDX-License-Identifier: Apache-2.0
"""The published charts and this run's, side by side on one scale: the same columns of mpstat."""

from testbed.analysis.plots import bars
from testbed.analysis.plots.comparison import shortened
from testbed.analysis.plots.cpu_time import round_up
from testbed.analysis.plots.stamp import stamp
from testbed.analysis.plots.style import SMALL_PX, Drawing, new_sheet, styled
from testbed.analysis.published.beside import pairs_of
from testbed.analysis.published.original import RUN_ID, published_run
from testbed.analysis.reading.records import Run

WIDTH, LEFT, GUTTER = 760, 48, 28
HEAD, PANEL, BETWEEN, BELOW = 40.0, 150.0, 40.0, 46.0
LONGEST_TITLE = 44


@styled
def draw_overlay(run: Run) -> Drawing | None:
    """A row for each published arm: its chart on the left, that of this run's on the right.

    None of the published tables themselves, or when this run has no recording of such an arm.
    """
    theirs = published_run()
    pairs = [
        pair
        for pair in pairs_of(run, theirs)
        if any(trial.mpstat is not None for trial in run.trials_of(pair[1].name))
    ]
    if run.run_id == RUN_ID or not pairs:
        return None
    sides = [
        (theirs.trials_of(published.name), run.trials_of(ours.name)) for published, ours in pairs
    ]
    highest = [max(bars.busy(trial) for trial in trials) for side in sides for trials in side]
    limit = round_up(max(highest))
    height = HEAD + len(pairs) * PANEL + (len(pairs) - 1) * BETWEEN + BELOW
    sheet = new_sheet(WIDTH, height, f"Right: {stamp(run, [ours for _, ours in pairs])}")
    width = (WIDTH - LEFT - GUTTER - 8) / 2
    everything = [trial for side in sides for trials in side for trial in trials]
    for row, (pair, side) in enumerate(zip(pairs, sides, strict=True)):
        bottom = height - HEAD - PANEL - row * (PANEL + BETWEEN)
        for column, (arm, trials) in enumerate(zip(pair, side, strict=True)):
            axes = sheet.axes(LEFT + column * (width + GUTTER), bottom, width, PANEL)
            bars.draw_trials(axes, trials, limit)
            where = "this run: " if column else "published: "
            axes.set_title(
                where + shortened(arm.title, LONGEST_TITLE), loc="left", fontsize=SMALL_PX
            )
            if column:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel("% of one CPU", fontsize=SMALL_PX)
            if not (row or column):
                bars.legend(axes, bars.used_columns(everything), above_px=20)
            if row == len(pairs) - 1:
                axes.set_xlabel(
                    "one bar: one second" + ("; shaded: the traffic" if column else ""),
                    fontsize=SMALL_PX, loc="left",
                )  # fmt: skip
    said = "; ".join(
        f"{pair[0].original_name}: at most {theirs_top:.0f} % published, {ours_top:.0f} % here"
        for pair, theirs_top, ours_top in zip(pairs, highest[::2], highest[1::2], strict=True)
    )
    spoken = (
        f"Stacked CPU use over time from mpstat, the published tables beside this run, on a scale "
        f"of 0 to {limit:g} % of one CPU. {said}, in a second."
    )
    return sheet.finish("beside-published", spoken)
