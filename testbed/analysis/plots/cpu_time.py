# SPDX-License-Identifier: Apache-2.0
"""The original's chart: mpstat's nine busy columns stacked over time, 0…100 * CPUs %.

Above as the original drew it; below the same bars on a scale that fits them. On request a chart
of each CPU by itself, 0…100 %. More trials than an axis has room for go on in a row below.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.analysis.plots import bars
from testbed.analysis.plots.stamp import stamp
from testbed.analysis.plots.style import (
    SMALL_PX,
    Drawing,
    Sheet,
    new_sheet,
    part_name,
    styled,
)
from testbed.analysis.reading.records import Arm, Run, Trial

WIDTH = 760
LEFT = 48
HEAD, HEAD_AGAIN, BETWEEN, BELOW = 40.0, 26.0, 34.0, 46.0
"""Pixels above the first row of panels (legend, title) and above the others, between two panels,
and below a row (numbers of the trials)."""
TALL, LOW, CPU = 176.0, 136.0, 64.0
"""Heights of panels: as the original drew it, enlarged, one CPU."""
ROW = 30
"""Trials in a row: a bar is then four pixels wide."""
STACK = 8
"""Panels below each other, of CPUs; the trials have their numbers under each such stack."""
TALLEST = 940.0
"""Of a figure: what fits on a page."""
WORTH_ENLARGING = 0.7


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """Axes of some trials: which CPU, how far up in % of one CPU, what stands above them."""

    cpu: str
    limit: float
    title: str
    height: float


@styled
def draw_cpu_time(run: Run, arm: Arm) -> tuple[Drawing, ...]:
    """None when no trial of the arm has an mpstat recording; as many as keep each on a page.

    The enlarged scale is the same for every arm of the run, so that charts can be compared.
    """
    recorded = _recorded(run, arm)
    if not recorded:
        return ()
    top = 100.0 * max(t.mpstat.cpu_count for t in recorded if t.mpstat)
    enlarged = round_up(max(bars.busy(trial) for trial in run.trials))
    panels = [Panel(cpu="all", limit=top, height=TALL, title=f"0 to {top:.0f} %: 100 % is one CPU")]
    if enlarged < top * WORTH_ENLARGING:
        title = f"the same bars on a scale of 0 to {enlarged:g} %"
        panels.append(Panel(cpu="all", limit=enlarged, height=LOW, title=title))
    highest = max(bars.busy(trial) for trial in recorded)
    spoken = (
        f"Stacked CPU use over time from mpstat for {arm.title}: {_how_many(recorded)}, "
        f"at most {highest:.0f} % in a second on a scale of 0 to {top:.0f} %."
    )
    return _drawn(run, arm, panels, f"cpu-{arm.name}", spoken)


@styled
def draw_per_cpu(run: Run, arm: Arm) -> tuple[Drawing, ...]:
    """The same, CPU by CPU; None when no recording of the arm has its CPUs apart."""
    recorded = _recorded(run, arm)
    cpus = sorted(
        {row.cpu for t in recorded if t.mpstat for s in t.mpstat.samples for row in s.rows}
        - {"all"},
        key=lambda cpu: (len(cpu), cpu),
    )
    if not cpus:
        return ()
    panels = [Panel(cpu=cpu, limit=100.0, height=CPU, title=f"CPU {cpu}") for cpu in cpus]
    highest = [max(bars.busy(trial, cpu) for trial in recorded) for cpu in cpus]
    said = ", ".join(
        f"CPU {cpu} at most {top:.0f} %" for cpu, top in zip(cpus, highest, strict=True)
    )
    spoken = (
        f"Stacked use of each CPU over time from mpstat for {arm.title}: {_how_many(recorded)}; "
        f"{said}, in a second."
    )
    return _drawn(run, arm, panels, f"per-cpu-{arm.name}", spoken)


def _recorded(run: Run, arm: Arm) -> list[Trial]:
    return [trial for trial in run.trials_of(arm.name) if trial.mpstat is not None]


def _how_many(trials: Sequence[Trial]) -> str:
    return "one trial" if len(trials) == 1 else f"{len(trials)} trials side by side"


Strip = tuple[Sequence[Trial], Sequence[Panel]]
"""The panels of a row of trials, below each other."""


def _drawn(
    run: Run, arm: Arm, panels: Sequence[Panel], name: str, spoken: str
) -> tuple[Drawing, ...]:
    """Strips below each other, in figures of at most TALLEST pixels."""
    trials = run.trials_of(arm.name)
    rows = [trials[start : start + ROW] for start in range(0, len(trials), ROW)]
    stacks = [panels[start : start + STACK] for start in range(0, len(panels), STACK)]
    figures: list[list[Strip]] = []
    for strip in ((row, stack) for row in rows for stack in stacks):
        if not figures or _tall([*figures[-1], strip]) > TALLEST:
            figures.append([])
        figures[-1].append(strip)
    length = max(bars.places_of(row)[1] for row in rows)
    return tuple(
        _figure(run, arm, strips, length).finish(part_name(name, number), spoken)
        for number, strips in enumerate(figures)
    )


def _tall(strips: Sequence[Strip]) -> float:
    """Pixels that the strips take."""
    panels = [panel for _, stack in strips for panel in stack]
    heads = HEAD + HEAD_AGAIN * (len(strips) - 1)
    betweens = BETWEEN * (len(panels) - len(strips))
    return heads + sum(panel.height for panel in panels) + betweens + BELOW * len(strips)


def _figure(run: Run, arm: Arm, strips: Sequence[Strip], length: float) -> Sheet:
    at = _tall(strips)
    sheet = new_sheet(WIDTH, at, stamp(run, [arm]))
    for index, (trials, panels) in enumerate(strips):
        at -= HEAD_AGAIN if index else HEAD
        for number, panel in enumerate(panels):
            at -= panel.height + (BETWEEN if number else 0)
            axes = sheet.axes(LEFT, at, WIDTH - LEFT - 8, panel.height)
            bars.draw_trials(axes, trials, panel.limit, cpu=panel.cpu, length=length)
            axes.set_title(panel.title, loc="left", fontsize=SMALL_PX)
            if panel.height < LOW:
                axes.set_yticks([0, panel.limit / 2, panel.limit])
            axes.set_ylabel("% of one CPU" if panel.height >= LOW else "%", fontsize=SMALL_PX)
            if not (index or number):
                bars.legend(axes, bars.used_columns(run.trials_of(arm.name)), above_px=20)
        bars.name_trials(axes, trials)
        at -= BELOW
    return sheet


def round_up(value: float) -> float:
    """The next of 2, 4, 6, 8, 10, 20, 40, … above, so that a quarter of it is a plain number."""
    for decade in (1, 10, 100, 1000, 10_000):
        for step in (2, 4, 6, 8, 10):
            if value <= step * decade * 0.97:
                return float(step * decade)
    return value
