# SPDX-License-Identifier: Apache-2.0
"""Renders a run into its derived files: pages, tables and figures. Same run, same bytes.

Nothing is written here: the caller puts the files into the run directory.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.analysis import as_published, published
from testbed.analysis.beside_published import beside
from testbed.analysis.comparison import Comparison, compare, excluded_arms
from testbed.analysis.findings import Finding, check_run
from testbed.analysis.mpstat import render_mpstat_text
from testbed.analysis.plots import (
    draw_comparison,
    draw_cpu_time,
    draw_ledger,
    draw_overlay,
    draw_per_cpu,
)
from testbed.analysis.records import Run
from testbed.analysis.rendering import TEMPLATES, render
from testbed.analysis.second_process import begun
from testbed.analysis.tables import findings_json, trials_csv
from testbed.analysis.verdict import Opening, opening
from testbed.analysis.view import Figures, view_of, warning_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run, what the checks found, what may be compared, and what the page says first."""

    run: Run
    findings: tuple[Finding, ...]
    comparisons: tuple[Comparison, ...]
    opening: Opening


def judge(run: Run) -> Judged:
    """All that is concluded from a run, once."""
    findings = check_run(run)
    comparisons = compare(run, findings)
    said = opening(run, findings, comparisons)
    return Judged(run=run, findings=findings, comparisons=comparisons, opening=said)


def render_report(
    run: Run,
    templates: Path = TEMPLATES,
    *,
    overlay: bool = False,
    per_cpu: bool = False,
) -> dict[str, str | bytes]:
    """File name within the run directory → content, bytes of a picture or text.

    report.html, report.md, derived/trials.csv, derived/findings.json, plots/*.svg and *.png,
    derived/mpstat/<block>-<arm>.txt. With `overlay` the original's published numbers stand beside
    the run's; with `per_cpu` each CPU has a chart of its own.
    Raises UsageError naming the line of a broken template.
    """
    return judged_report(run, templates, overlay=overlay, per_cpu=per_cpu)[1]


def judged_report(
    run: Run, templates: Path = TEMPLATES, *, overlay: bool = False, per_cpu: bool = False
) -> tuple[Judged, dict[str, str | bytes]]:
    """What was concluded from a run, and its files as `render_report` gives them."""
    with begun(lambda: _of_the_packets(run, per_cpu=per_cpu)) as of_the_packets:
        judged = judge(run)
        of_the_costs = _of_the_costs(judged, overlay=overlay)
        figures = Figures(**of_the_costs, **of_the_packets())
    variables = view_of(run, judged.findings, judged.comparisons, judged.opening, figures)
    variables["published"] = as_published.view(run, judged.findings, overlay=overlay)
    variables["of_tables"] = run.run_id == published.RUN_ID
    variables["beside"] = beside(run) if overlay else None
    files: dict[str, str | bytes] = {
        "report.html": render(templates, "report.html.j2", variables),
        "report.md": render(templates, "report.md.j2", variables),
        "derived/trials.csv": trials_csv(run),
        "derived/findings.json": findings_json(
            run, judged.findings, judged.comparisons, judged.opening
        ),
    }
    for drawing in figures.every():
        files[f"plots/{drawing.name}.svg"] = drawing.file
        files[f"plots/{drawing.name}.png"] = drawing.png
    if run.run_id == published.RUN_ID:
        files |= published.tables()
    files |= {
        f"derived/mpstat/{trial.block:02d}-{trial.arm}.txt": render_mpstat_text(trial.mpstat)
        for trial in run.trials
        if trial.mpstat is not None
    }
    return judged, files


def _of_the_packets(run: Run, *, per_cpu: bool) -> dict[str, Any]:
    """The figures that need no judgement."""
    return {
        "ledger": draw_ledger(run),
        "ledger_narrow": draw_ledger(run, narrow=True),
        "cpu_time": {arm.name: draw_cpu_time(run, arm) for arm in run.arms},
        "per_cpu": {arm.name: draw_per_cpu(run, arm) if per_cpu else () for arm in run.arms},
    }


def _of_the_costs(judged: Judged, *, overlay: bool) -> dict[str, Any]:
    """The figures that say what the checks let them say."""
    run, comparisons = judged.run, judged.comparisons
    excluded = excluded_arms(run, judged.findings)
    return {
        "comparison": draw_comparison(
            run,
            excluded,
            relative=bool(comparisons) and not excluded,
            bands=bool(comparisons),
            warning=warning_of(comparisons),
        ),
        "beside": draw_overlay(run) if overlay else None,
    }
