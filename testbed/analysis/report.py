# SPDX-License-Identifier: Apache-2.0
"""Renders a run into its derived files: pages, tables and figures. Same run, same bytes.

Nothing is written here: the caller puts the files into the run directory.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.exceptions import TemplateSyntaxError

from testbed.analysis import as_published
from testbed.analysis.comparison import compare, excluded_arms
from testbed.analysis.findings import check_run
from testbed.analysis.mpstat import render_mpstat_text
from testbed.analysis.plots import draw_comparison, draw_cpu_time, draw_ledger
from testbed.analysis.records import Run
from testbed.analysis.tables import findings_json, trials_csv
from testbed.analysis.view import Figures, view_of, warning_of
from testbed.model.errors import UsageError

TEMPLATES = Path(__file__).resolve().parents[2] / "templates"


def render_report(
    run: Run, templates: Path = TEMPLATES, *, overlay: bool = False
) -> dict[str, str]:
    """File name within the run directory → content.

    report.html, report.md, derived/trials.csv, derived/findings.json, plots/*.svg,
    derived/mpstat/<block>-<arm>.txt. With `overlay` the original's published numbers stand beside
    the run's. Raises UsageError naming the line of a broken template.
    """
    findings = check_run(run)
    comparisons = compare(run, findings)
    excluded = excluded_arms(run, findings)
    drawings = {arm.name: draw_cpu_time(run, arm) for arm in run.arms}
    figures = Figures(
        comparison=draw_comparison(
            run,
            excluded,
            relative=bool(comparisons) and not excluded,
            warning=warning_of(comparisons),
        ),
        ledger=draw_ledger(run),
        ledger_narrow=draw_ledger(run, narrow=True),
        cpu_time={name: drawing for name, drawing in drawings.items() if drawing is not None},
    )
    variables = view_of(run, findings, comparisons, figures)
    variables["published"] = as_published.view(run, findings, overlay=overlay)
    files = {
        "report.html": _render(templates, "report.html.j2", variables),
        "report.md": _render(templates, "report.md.j2", variables),
        "derived/trials.csv": trials_csv(run),
        "derived/findings.json": findings_json(run, findings, comparisons),
    }
    files |= {f"plots/{drawing.name}.svg": drawing.file for drawing in figures.every()}
    files |= {
        f"derived/mpstat/{trial.block:02d}-{trial.arm}.txt": render_mpstat_text(trial.mpstat)
        for trial in run.trials
        if trial.mpstat is not None
    }
    return files


def _render(directory: Path, name: str, variables: dict[str, object]) -> str:
    if not (directory / name).is_file():
        raise UsageError(
            f"the page template {directory / name} is missing",
            hint="run testbed from its source directory, or restore templates/",
        )
    page = Environment(
        loader=FileSystemLoader(directory),
        autoescape=name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page.filters["md"] = markdown_text
    try:
        return page.get_template(name).render(variables)
    except TemplateSyntaxError as error:
        place = f"{directory / (error.name or name)}, line {error.lineno}"
        raise UsageError(f"{place}: {error.message}", hint="correct the template") from error
    except TemplateError as error:
        line = _template_line(error, directory)
        raise UsageError(f"{line}: {error.message}", hint="correct the template") from error


def _template_line(error: TemplateError, directory: Path) -> str:
    """The innermost template frame of the traceback, as "file, line n"."""
    place, frame = str(directory), error.__traceback__
    while frame is not None:
        file = Path(frame.tb_frame.f_code.co_filename)
        if file.is_relative_to(directory):
            place = f"{file}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return place


def markdown_text(value: object) -> str:
    """Text as data in Markdown: no markup, no table cell, no HTML comes out of it."""
    text = " ".join(str(value).split())
    for character in "\\`*_[]|#":
        text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
