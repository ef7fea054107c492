# SPDX-License-Identifier: Apache-2.0
"""Renders a run into its derived files: pages, tables and figures. Same run, same bytes.

Nothing is written here: the caller puts the files into the run directory.
"""

from collections.abc import Callable
from pathlib import Path

from testbed.analysis.conclusions.csv_and_json import findings_json, trials_csv
from testbed.analysis.formats.mpstat import render_mpstat_text
from testbed.analysis.formats.templates import TEMPLATES, template
from testbed.analysis.page.count_section import count_of, exact_of
from testbed.analysis.page.figures import Figures, draw_figures
from testbed.analysis.page.judged import Judged, judge
from testbed.analysis.page.page_variables import view_of
from testbed.analysis.published import claim, original
from testbed.analysis.published.beside import beside
from testbed.analysis.reading.records import Run
from testbed.analysis.receipt.view import signed
from testbed.model.plan import folder_of


def render_report(
    run: Run,
    templates: Path = TEMPLATES,
    *,
    overlay: bool = False,
    per_cpu: bool = False,
    judged: Judged | None = None,
    figures: Callable[[], Figures] | None = None,
) -> dict[str, str | bytes]:
    """File name within the run directory → content, bytes of a picture or text.

    report.html, report.md, derived/trials.csv, derived/findings.json, plots/*.svg and *.png,
    derived/mpstat/<block>-<arm>.txt; of a run with a count derived/count.json. With `overlay` the
    original's published numbers stand beside the run's; with `per_cpu` each CPU has a chart of its
    own. `judged` saves judging the run again, and has its count; `figures` saves drawing here: it
    is called when everything else is done.
    Raises UsageError naming the line of a broken template.
    """
    judged = judged or judge(run)
    pages = {name: template(templates, f"{name}.j2") for name in ("report.html", "report.md")}
    files: dict[str, str | bytes] = {
        "derived/trials.csv": trials_csv(run),
        "derived/findings.json": findings_json(
            run, judged.findings, judged.comparisons, judged.opening, count_of(judged)
        ),
    }
    if judged.lane is not None and judged.lane.judged is not None:
        files["derived/count.json"] = judged.lane.judged.as_json()
    files |= {
        f"derived/mpstat/{folder_of(trial.block, trial.arm)}.txt": render_mpstat_text(trial.mpstat)
        for trial in run.trials
        if trial.mpstat is not None
    }
    if run.run_id == original.RUN_ID:
        files |= original.tables()
    variables = view_of(run, judged.findings, judged.comparisons, judged.opening)
    variables["published"] = claim.view(run, judged.findings, overlay=overlay)
    variables["of_tables"] = run.run_id == original.RUN_ID
    variables["beside"] = beside(run) if overlay else None
    variables["exact"], variables["signed"] = exact_of(judged), signed
    drawn = figures() if figures else draw_figures(judged, overlay=overlay, per_cpu=per_cpu)
    variables["figures"] = drawn
    for drawing in drawn.every():
        files[f"plots/{drawing.name}.svg"] = drawing.file
        files[f"plots/{drawing.name}.png"] = drawing.png
    return files | {name: fill(variables) for name, fill in pages.items()}
