# SPDX-License-Identifier: Apache-2.0
"""mpstat's nine busy columns as stacked bars, trial beside trial: what the CPU charts share.

A sample is a bar a second wide, for that is all mpstat knows; trials stand beside each other with
a gap, and nothing is drawn across the gap. All bars of a column are one path: hundreds of trials
then cost no more elements than one.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from testbed.analysis.conclusions.sentences import DASH
from testbed.analysis.formats.mpstat import BUSY_COLUMNS
from testbed.analysis.measures.mpstat_timeline import bars_of, traffic_window_s
from testbed.analysis.plots.style import FAINT, SMALL_PX
from testbed.analysis.plots.svg import INK
from testbed.analysis.reading.records import Trial

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.path import Path

GAP_S = 0.9
EMPTY_S = 3.0
FEW = 12
"""Trials on an axis that have the room for the word "trial"."""
COLOURS = {
    "usr": "#0072B2", "nice": "#56B4E9", "sys": "#E69F00", "iowait": "#999999",
    "irq": "#D55E00", "soft": "#009E73", "steal": "#CC79A7", "guest": "#F0E442",
    "gnice": "#5D3A9B",
}  # fmt: skip
HATCHES = {
    "usr": "", "nice": "..", "sys": "////", "iowait": "xxx", "irq": "++", "soft": "\\\\\\\\",
    "steal": "---", "guest": "oo", "gnice": "|||",
}  # fmt: skip
Box = tuple[float, float, float, float]
"""Left, right, bottom, top."""


def places_of(trials: Sequence[Trial]) -> tuple[dict[int, float], float]:
    """Where each trial starts on the axis, by block, and the axis' length, in seconds."""
    places: dict[int, float] = {}
    at = 0.0
    for trial in trials:
        places[trial.block] = at
        at += length_s(trial) + GAP_S
    return places, at - GAP_S


def length_s(trial: Trial) -> float:
    """Seconds on the axis; a trial without a recording keeps an empty place."""
    return max((bar.end_s for bar in bars_of(trial)), default=EMPTY_S)


def busy(trial: Trial, cpu: str = "all") -> float:
    """The tallest bar, in % of one CPU."""
    scale = _scale(trial, cpu)
    bars = bars_of(trial, cpu)
    return scale * max((sum(bar.row[c] for c in BUSY_COLUMNS) for bar in bars), default=0.0)


def _scale(trial: Trial, cpu: str) -> int:
    """A row "all" is of the mean CPU."""
    if cpu != "all":
        return 1
    return trial.mpstat.cpu_count if trial.mpstat else 0


def draw_trials(
    axes: "Axes", trials: Sequence[Trial], limit: float, *, cpu: str = "all", length: float = 0.0
) -> None:
    """The trials on axes that go up to `limit`, in % of one CPU; the traffic is shaded.

    `length`, in seconds, is how long the axis is at least: rows below each other get the same.
    """
    places, own_length = places_of(trials)
    length = max(length, own_length)
    windows = [
        (places[trial.block] + window[0], places[trial.block] + window[1])
        for trial in trials
        if trial.mpstat is not None and (window := traffic_window_s(trial)) is not None
    ]
    _shade(axes, windows, limit)
    _stack(axes, trials, places, cpu)
    axes.set_xlim(-0.3, length + 0.3)
    axes.set_ylim(0, limit)
    axes.set_yticks([limit * i / 4 for i in range(5)])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="y", color=INK, alpha=FAINT, linewidth=0.8)
    axes.set_xticks([])


def name_trials(axes: "Axes", trials: Sequence[Trial], word: str = "trial ") -> None:
    """Below the axes the trials' numbers, and what a bar is."""
    places, _ = places_of(trials)
    few = len(trials) <= FEW
    axes.set_xticks(
        [places[trial.block] + length_s(trial) / 2 for trial in trials],
        [_label(trial, few=few, word=word) for trial in trials],
    )
    axes.tick_params(axis="x", length=0)
    numbers = "" if few and word else "numbers: trials; "
    axes.set_xlabel(
        f"{numbers}one bar: one second; shaded: the traffic, START to END",
        fontsize=SMALL_PX,
        loc="left",
    )


def _label(trial: Trial, *, few: bool, word: str) -> str:
    """ "trial 3", or where there is no room for more, "3"."""
    if not few:
        return str(trial.number) if trial.mpstat else DASH
    return f"{word}{trial.number}" + ("" if trial.mpstat else ": no data")


def used_columns(trials: Iterable[Trial]) -> set[str]:
    """The columns that are not zero throughout."""
    bars = [bar for trial in trials for bar in bars_of(trial)]
    return {c for bar in bars for c in BUSY_COLUMNS if bar.row[c] > 0}


def legend(axes: "Axes", used: set[str], above_px: float) -> None:
    """One row of the columns in use, `above_px` over the axes; the others are named as zero."""
    from matplotlib.patches import Patch

    handles = [
        Patch(facecolor=COLOURS[c], hatch=HATCHES[c], edgecolor="#ffffff", label=f"%{c}")
        for c in BUSY_COLUMNS
        if c in used
    ]
    unused = [f"%{c}" for c in BUSY_COLUMNS if c not in used]
    if unused:
        handles.append(Patch(alpha=0, label="zero throughout: " + " ".join(unused)))
    height = axes.get_window_extent().height
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0, 1 + above_px / height),
        ncols=len(handles), frameon=False, fontsize=SMALL_PX, handlelength=1.5, columnspacing=1.2,
        borderaxespad=0, handletextpad=0.5, labelcolor=INK,
    )  # fmt: skip


def _shade(axes: "Axes", windows: Sequence[tuple[float, float]], limit: float) -> None:
    from matplotlib.patches import PathPatch

    if not windows:
        return
    boxes = [(start, end, 0.0, limit) for start, end in windows]
    axes.add_patch(PathPatch(_path(boxes), facecolor=INK, alpha=0.10, linewidth=0))
    edges = [edge for window in windows for edge in window]
    axes.vlines(edges, 0, limit, color=INK, alpha=0.45, linewidth=0.7)


def _stack(axes: "Axes", trials: Sequence[Trial], places: dict[int, float], cpu: str) -> None:
    from matplotlib.patches import PathPatch

    boxes: dict[str, list[Box]] = {column: [] for column in BUSY_COLUMNS}
    for trial in trials:
        scale, place = _scale(trial, cpu), places[trial.block]
        for bar in bars_of(trial, cpu):
            bottom = 0.0
            for column in BUSY_COLUMNS:
                top = bottom + bar.row[column] * scale
                if top > bottom:
                    boxes[column].append((place + bar.start_s, place + bar.end_s, bottom, top))
                    bottom = top
    for column, found in boxes.items():
        if found:
            patch = PathPatch(
                _path(found), facecolor=COLOURS[column], hatch=HATCHES[column],
                edgecolor="#ffffff", linewidth=0.4, zorder=3, clip_on=False,
            )  # fmt: skip
            axes.add_patch(patch)


def _path(boxes: Iterable[Box]) -> "Path":
    from matplotlib.path import Path

    corners: list[tuple[float, float]] = []
    codes: list[int] = []
    for left, right, bottom, top in boxes:
        corners += [(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)]
        codes += [int(Path.MOVETO), *[int(Path.LINETO)] * 3, int(Path.CLOSEPOLY)]
    return Path(corners, codes)
