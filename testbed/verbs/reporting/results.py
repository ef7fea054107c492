# SPDX-License-Identifier: Apache-2.0
"""`testbed report` and `testbed compare`: what result files say, without machines."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.edge.files import store
from testbed.edge.files.store import RunDir
from testbed.edge.output import screen
from testbed.model.errors import RunError
from testbed.verbs.lab import Lab, print_json
from testbed.verbs.reporting.listing import renew_index

if TYPE_CHECKING:
    from testbed.analysis.page.figures import Figures
    from testbed.analysis.receipt.judged import JudgedCount
    from testbed.edge.computer.aside import Aside
    from testbed.verbs.reporting.drawing import ToDraw


@dataclass(frozen=True)
class Wanted:
    """The parts of a report that are made only when asked for."""

    published: bool = False
    """The original's published tables beside the run's numbers."""
    per_cpu: bool = False
    pdf: bool = False


@dataclass(frozen=True)
class Report:
    """Where the page is, the answer in a sentence or more; as JSON the findings, of a count all."""

    page: Path
    answer: str
    findings: str
    invalid: bool


def report(lab: Lab, names: Sequence[str] = (), wanted: Wanted | None = None) -> list[Report]:
    """Render runs from their files alone: those named, or the latest; then renew the index.

    A run may be `published`, the original's tables. Raises RunError for a name that is no run,
    before anything is written.
    """
    from testbed.analysis.published.original import RUN_ID
    from testbed.verbs.reporting import receipts
    from testbed.verbs.reporting.drawing import drawing

    paths = [
        lab.results / RUN_ID if name == RUN_ID else store.find_run(lab.results, name)
        for name in names or (None,)
    ]
    wanted = wanted or Wanted()
    what = "page and PDF" if wanted.pdf else "page"
    reports = []
    for path in paths:
        if receipts.is_count(path):
            with lab.terminal.step(f"{what} of {path.name}", kind=what):
                reports.append(report_count(receipts.rendered(lab, path, pdf=wanted.pdf), path))
            continue
        with drawing() as figures, lab.terminal.step(f"{what} of {path.name}", kind=what):
            reports.append(_report(lab, path, wanted, figures))
    renew_index(lab)
    return reports


def report_count(judged: "JudgedCount", path: Path) -> Report:
    """Return the report of a count that was rendered into its directory."""
    from testbed.verbs.reporting import receipts

    bad = judged.opening.status in ("INVALID", "INCOMPLETE")
    return Report(path / "report.html", receipts.said(judged), judged.as_json(), bad)


def _report(lab: Lab, path: Path, wanted: Wanted, figures: "Aside[ToDraw, Figures]") -> Report:
    from testbed.analysis.findings import Verdict, worst
    from testbed.analysis.page import conclusion
    from testbed.analysis.page.judged import judge
    from testbed.analysis.page.report import render_report
    from testbed.analysis.published.original import RUN_ID, published_run
    from testbed.analysis.reading.run import load_run
    from testbed.analysis.receipt.lane import lane_of
    from testbed.verbs.reporting.drawing import ToDraw

    is_published = path == lab.results / RUN_ID
    run = published_run() if is_published else load_run(path)
    judged = judge(run, None if is_published else lane_of(path, run.manifest))
    figures.ask(ToDraw.of(judged, overlay=wanted.published, per_cpu=wanted.per_cpu))
    files = render_report(
        judged.run, lab.checkout / "templates",
        overlay=wanted.published, judged=judged, figures=figures.answer,
    )  # fmt: skip
    run_dir = RunDir(path)
    for relative, content in files.items():
        run_dir.write(relative, content)
    page, findings = files["report.html"], files["derived/findings.json"]
    assert isinstance(page, str)
    assert isinstance(findings, str)
    if wanted.pdf:
        from testbed.edge.files.pdf import write_pdf

        run_dir.write("report.pdf", write_pdf(page, path))
    columns = screen.columns() if sys.stderr.isatty() else None
    answer = conclusion.text(judged, columns, unicode=screen.is_unicode(sys.stderr))
    counted = judged.lane
    invalid = worst(judged.findings) is Verdict.INVALID
    invalid = invalid or (counted is not None and counted.is_invalid)
    return Report(path / "report.html", answer, findings, invalid)


def compare(lab: Lab, first: str, second: str, *, as_json: bool) -> bool:
    """Print the cost of every arm in one run over its cost in the other, or two counts.

    Returns False when one of them must not be compared; it is named, with the reason. Raises
    RunError that names every difference when the two runs are not alike, or share no arm.
    """
    from testbed.verbs.reporting import receipts

    paths = [store.find_run(lab.results, name).resolve() for name in (first, second)]
    if paths[0] == paths[1]:
        raise RunError(
            f"{paths[0].name} is one run: comparing it with itself shows nothing",
            hint="`testbed runs` lists the others; `bench --controls` compares an arm with itself",
        )
    counts = [receipts.is_count(path) for path in paths]
    if any(counts) and all((path / store.COUNT_INDEX).is_file() for path in paths):
        receipts.compare_counts(lab, *paths, as_json=as_json)
        return True
    if any(counts):
        raise RunError(
            "one of these runs is a count, the other has trials: they have no number in common",
            hint="`testbed runs` lists which is which; compare two of a kind",
        )
    from testbed.analysis.conclusions.sentences import interval_text, ratio_text
    from testbed.analysis.conclusions.two_runs import CAVEAT, arms_of_one, compare_runs, differences
    from testbed.analysis.measures.cost_names import cost_noun, explanation
    from testbed.analysis.reading.run import load_run

    one, two = (load_run(path) for path in paths)
    unlike = differences(one, two)
    if unlike and receipts.compare_kernels(lab, paths[0], paths[1], unlike, as_json=as_json):
        return True
    if unlike:
        raise RunError(
            "these two runs are not alike, so their numbers must not be compared",
            hint="run `testbed bench` again under one configuration, on one machine",
            detail="\n".join(unlike),
        )
    rows, left = compare_runs(one, two), arms_of_one(one, two)
    if not rows:
        raise RunError(
            "these two runs have no arm in common, so there is nothing to compare",
            hint="give two runs with an arm of the same name",
            detail="\n".join(left),
        )
    valid = not any(row.is_invalid for row in rows)
    if as_json:
        print_json({"first": one.run_id, "second": two.run_id, "caveat": CAVEAT, "arms": [
            {"arm": row.arm, "verdict": row.verdict, "why": row.why, "suspect": row.suspect,
             "ratio": row.ratio.ratio if row.ratio else None,
             "low": row.ratio.low if row.ratio else None,
             "high": row.ratio.high if row.ratio else None}
            for row in rows
        ]})  # fmt: skip
        return valid
    width = max(len(row.title) for row in rows)
    print(f"{two.run_id} over {one.run_id}: {cost_noun(two)} per delivered packet")
    for row in rows:
        ratio, interval = ratio_text(row.ratio), interval_text(row.ratio)
        verdict = f"{row.verdict} (SUSPECT)" if row.suspect else row.verdict
        why = f": {row.why}" if row.why else ""
        print(f"{row.title:<{width}}  {ratio:>5}  {interval:<14}  {verdict}{why}")
    for arm in left:
        print(f"Only in one run: {arm}")
    print("\n".join(filter(None, (explanation(two), CAVEAT))))
    return valid
