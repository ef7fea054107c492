# SPDX-License-Identifier: Apache-2.0
"""`testbed report` and `testbed runs`: what result files say, without machines."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.edge import store
from testbed.edge.store import RunDir
from testbed.model.errors import RunError
from testbed.verbs.lab import Lab, print_json


@dataclass(frozen=True)
class Report:
    """Where the page is, the answer in a sentence or more, the findings as JSON."""

    page: Path
    answer: str
    findings: str
    invalid: bool


def report(lab: Lab, name: str | None, *, published: bool = False) -> Report:
    """Render a run's page from its files alone; the run may be `published`, the original's tables.

    With `published` those tables stand beside it.
    """
    from testbed.analysis.comparison import compare
    from testbed.analysis.findings import Verdict, check_run, worst
    from testbed.analysis.published import RUN_ID, published_run
    from testbed.analysis.report import render_report
    from testbed.analysis.run import load_run
    from testbed.analysis.verdict import opening

    if name == RUN_ID:
        path, run = lab.results / RUN_ID, published_run()
    else:
        path = store.find_run(lab.results, name)
        run = load_run(path)
    run_dir = RunDir(path)
    templates = lab.checkout / "templates"
    files = render_report(run, templates=templates, overlay=published)
    for relative, text in files.items():
        run_dir.write(relative, text)
    findings = check_run(run)
    said = opening(run, findings, compare(run, findings))
    lines = [f"{said.status}: {said.headline}", *said.reasons, *said.answers, *said.notes]
    invalid = worst(findings) is Verdict.INVALID
    page = path / "report.html"
    return Report(page, "\n".join(lines), files["derived/findings.json"], invalid)


def compare(lab: Lab, first: str, second: str, *, as_json: bool) -> None:
    """Print the cost of every arm in one run over its cost in the other.

    Raises RunError that names every difference when the two runs are not alike.
    """
    from testbed.analysis.across import CAVEAT, compare_runs, differences
    from testbed.analysis.run import load_run
    from testbed.analysis.wording import interval_text, ratio_text

    one, two = (load_run(store.find_run(lab.results, name)) for name in (first, second))
    unlike = differences(one, two)
    if unlike:
        raise RunError(
            "these two runs are not alike, so their numbers must not be compared",
            hint="run `testbed bench` again under one configuration, on one machine",
            detail="\n".join(unlike),
        )
    rows = compare_runs(one, two)
    if as_json:
        print_json({"first": one.run_id, "second": two.run_id, "caveat": CAVEAT, "arms": [
            {"arm": row.arm, "verdict": row.verdict,
             "ratio": row.ratio.ratio if row.ratio else None,
             "low": row.ratio.low if row.ratio else None,
             "high": row.ratio.high if row.ratio else None}
            for row in rows
        ]})  # fmt: skip
        return
    width = max((len(row.title) for row in rows), default=0)
    print(f"{two.run_id} over {one.run_id}: CPU time per delivered packet")
    for row in rows:
        ratio, interval = ratio_text(row.ratio), interval_text(row.ratio)
        print(f"{row.title:<{width}}  {ratio:>5}  {interval:<14}  {row.verdict}")
    print(CAVEAT)


def runs(lab: Lab, *, as_json: bool) -> None:
    """Print every run, oldest first."""
    rows: list[dict[str, Any]] = []
    for path in store.all_runs(lab.results):
        try:
            plan = json.loads((path / "plan.json").read_text())
            arms = list(dict.fromkeys(arm for block in plan["blocks"] for arm in block))
        except (ValueError, KeyError, TypeError):
            lab.terminal.warn(f"{path.name}: plan.json is damaged")
            continue
        complete = (path / "manifest.json").is_file()
        rows.append({"run": path.name, "complete": complete, "arms": arms,
                     "trials": len(plan["blocks"])})  # fmt: skip
    if as_json:
        print_json({"runs": rows})
        return
    for row in rows:
        state = "complete" if row["complete"] else "INCOMPLETE"
        print(f"{row['run']}  {state:<10}  {row['trials']} x {', '.join(row['arms'])}")
