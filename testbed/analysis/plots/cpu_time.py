# SPDX-License-Identifier: Apache-2.0
"""The original's chart: mpstat's nine busy columns stacked over time, 0…100 * CPUs %.

Above as the original drew it; below the same bars on a scale that fits them. A sample is a bar a
second wide, for that is all mpstat knows; trials stand beside each other with a gap, and nothing
is drawn across the gap. The shade is the traffic, from START to END, on the server's clock.
"""

from typing import TYPE_CHECKING

from testbed.analysis.mpstat import BUSY_COLUMNS
from testbed.analysis.plots.style import (
    FAINT,
    INK,
    SMALL_PX,
    Drawing,
    axes_in,
    new_figure,
    styled,
    svg_of,
)
from testbed.analysis.records import Arm, Run, Trial
from testbed.analysis.window import bars_of, traffic_window_s

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 760
LEFT = 48
GAP_S = 0.9
EMPTY_S = 3.0
WORTH_ENLARGING = 0.7
COLOURS = {
    "usr": "#0072B2", "nice": "#56B4E9", "sys": "#E69F00", "iowait": "#999999",
    "irq": "#D55E00", "soft": "#009E73", "steal": "#CC79A7", "guest": "#F0E442",
    "gnice": "#5D3A9B",
}  # fmt: skip
HATCHES = {
    "usr": "", "nice": "..", "sys": "////", "iowait": "xxx", "irq": "++", "soft": "\\\\\\\\",
    "steal": "---", "guest": "oo", "gnice": "|||",
}  # fmt: skip


@styled
def draw_cpu_time(run: Run, arm: Arm) -> Drawing | None:
    """None when no trial of the arm has an mpstat recording.

    The enlarged scale is the same for every arm of the run, so that charts can be compared.
    """
    trials = run.trials_of(arm.name)
    recorded = [trial for trial in trials if trial.mpstat is not None]
    if not recorded:
        return None
    places, length = _places(trials)
    top = 100.0 * max(t.mpstat.cpu_count for t in recorded if t.mpstat)
    enlarged = _round_up(max(_height(trial) for trial in run.trials))
    limits = {top: f"0 to {top:.0f} %: 100 % is one CPU"}
    if enlarged < top * WORTH_ENLARGING:
        limits[enlarged] = f"the same bars on a scale of 0 to {enlarged:g} %"
    figure = new_figure(WIDTH, 432 if len(limits) > 1 else 262)
    panels = [axes_in(figure, LEFT, 216 if len(limits) > 1 else 46, WIDTH - LEFT - 8, 176)]
    if len(limits) > 1:
        panels.append(axes_in(figure, LEFT, 46, WIDTH - LEFT - 8, 136))
    for axes, (limit, title) in zip(panels, limits.items(), strict=True):
        for trial in recorded:
            _shade(axes, trial, places[trial.block])
            _stack(axes, trial, places[trial.block])
        axes.set_xlim(-0.3, length + 0.3)
        axes.set_ylim(0, limit)
        axes.set_yticks([limit * i / 4 for i in range(5)])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.grid(axis="y", color=INK, alpha=FAINT, linewidth=0.8)
        axes.set_ylabel("% of one CPU", fontsize=SMALL_PX)
        axes.set_xticks([])
        axes.set_title(title, loc="left", fontsize=SMALL_PX)
    panels[-1].set_xticks(
        [places[trial.block] + _length(trial) / 2 for trial in trials],
        [f"trial {t.number}" + ("" if t.mpstat else ": no data") for t in trials],
    )
    panels[-1].tick_params(axis="x", length=0)
    panels[-1].set_xlabel(
        "one bar: one second; shaded: the traffic, START to END",
        fontsize=SMALL_PX,
        loc="left",
    )
    bars = [bar for trial in recorded for bar in bars_of(trial)]
    _legend(panels[0], {c for bar in bars for c in BUSY_COLUMNS if bar.row[c] > 0})
    highest = max(_height(trial) for trial in recorded)
    return svg_of(figure, f"cpu-{arm.name}", _alternative(arm, recorded, highest, top))


def _height(trial: Trial) -> float:
    """The tallest bar, in % of one CPU."""
    scale = trial.mpstat.cpu_count if trial.mpstat else 0
    bars = bars_of(trial)
    return scale * max((sum(bar.row[c] for c in BUSY_COLUMNS) for bar in bars), default=0.0)


def _length(trial: Trial) -> float:
    """Seconds on the axis; a trial without a recording keeps an empty place."""
    return max((bar.end_s for bar in bars_of(trial)), default=EMPTY_S)


def _places(trials: tuple[Trial, ...]) -> tuple[dict[int, float], float]:
    """Where each trial starts on the axis, by block, and the axis' length."""
    places: dict[int, float] = {}
    at = 0.0
    for trial in trials:
        places[trial.block] = at
        at += _length(trial) + GAP_S
    return places, at - GAP_S


def _shade(axes: "Axes", trial: Trial, place: float) -> None:
    window = traffic_window_s(trial)
    if window is None:
        return
    axes.axvspan(place + window[0], place + window[1], color=INK, alpha=0.10, linewidth=0)
    for edge in window:
        axes.axvline(place + edge, color=INK, alpha=0.45, linewidth=0.7)


def _stack(axes: "Axes", trial: Trial, place: float) -> None:
    assert trial.mpstat is not None
    scale = trial.mpstat.cpu_count
    for bar in bars_of(trial):
        bottom = 0.0
        for column in BUSY_COLUMNS:
            value = bar.row[column] * scale
            if value <= 0:
                continue
            axes.bar(
                place + bar.start_s, value, width=bar.end_s - bar.start_s, bottom=bottom,
                align="edge", color=COLOURS[column], hatch=HATCHES[column],
                edgecolor="#ffffff", linewidth=0.4, zorder=3, clip_on=False,
            )  # fmt: skip
            bottom += value


def _legend(axes: "Axes", used: set[str]) -> None:
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=COLOURS[c], hatch=HATCHES[c], edgecolor="#ffffff", label=f"%{c}")
        for c in BUSY_COLUMNS
        if c in used
    ]
    unused = [f"%{c}" for c in BUSY_COLUMNS if c not in used]
    if unused:
        handles.append(Patch(alpha=0, label="zero throughout: " + " ".join(unused)))
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1.08), ncols=len(handles),
        frameon=False, fontsize=SMALL_PX, handlelength=1.5, columnspacing=1.2, borderaxespad=0,
        handletextpad=0.5, labelcolor=INK,
    )  # fmt: skip


def _round_up(value: float) -> float:
    """The next of 2, 4, 6, 8, 10, 20, 40, … above, so that a quarter of it is a plain number."""
    for decade in (1, 10, 100, 1000, 10_000):
        for step in (2, 4, 6, 8, 10):
            if value <= step * decade * 0.97:
                return float(step * decade)
    return value


def _alternative(arm: Arm, trials: list[Trial], highest: float, top: float) -> str:
    return (
        f"Stacked CPU use over time from mpstat for {arm.title}: "
        + ("one trial, " if len(trials) == 1 else f"{len(trials)} trials side by side, ")
        + f"at most {highest:.0f} % in a second on a scale of 0 to {top:.0f} %."
    )
