# SPDX-License-Identifier: Apache-2.0
"""`testbed report` and `testbed runs`: what result files say, without machines."""

import json
from pathlib import Path
from typing import Any

from testbed.edge import store
from testbed.edge.store import RunDir
from testbed.verbs.lab import Lab, print_json


def report(lab: Lab, name: str | None) -> tuple[Path, str, bool]:
    """Render a run's page from its files alone.

    Returns the page, the answer in a sentence or more, and whether the run is INVALID.
    """
    from testbed.analysis.comparison import compare
    from testbed.analysis.findings import Verdict, check_run, worst
    from testbed.analysis.report import render_report
    from testbed.analysis.run import load_run
    from testbed.analysis.verdict import opening

    path = store.find_run(lab.results, name)
    run = load_run(path)
    run_dir = RunDir(path)
    for relative, text in render_report(run, templates=lab.checkout / "templates").items():
        run_dir.write(relative, text)
    findings = check_run(run)
    said = opening(run, findings, compare(run, findings))
    answer = "\n".join([f"{said.status}: {said.headline}", *said.reasons, *said.answers])
    return path / "report.html", answer, worst(findings) is Verdict.INVALID


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
