# SPDX-License-Identifier: Apache-2.0
"""`testbed selftest --count`: hooks with a known size planted in them, and whether it is found."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.edge.files.store import RunDir
from testbed.model import arm as arm_manifest
from testbed.model.arm import BASELINE
from testbed.model.planted import ARM, PLANTS, planted
from testbed.verbs.lab import Lab, print_json
from testbed.verbs.measuring.count import record

if TYPE_CHECKING:
    from testbed.analysis.receipt.planted import Outcome

PACKETS = 68
"""4 x 17: enough for a typical count, twice the longest period beside it."""


def count_selftest(lab: Lab, *, as_json: bool) -> bool:
    """Count each planted hook; print what was to be found and what was; True if all was.

    Raises what `testbed count` raises.
    """
    from testbed.analysis.receipt.count_run import load_count
    from testbed.analysis.receipt.planted import FULL, HALF, outcomes

    root = lab.checkout / ".testbed/selftest"
    folders = [_folder(lab, root / "planted" / plant.name, number)
               for number, plant in enumerate(PLANTS)]  # fmt: skip
    names = [BASELINE, ARM, *(f"{folder}/" for folder in folders)]
    arms = arm_manifest.choose(lab.arms_dir, names)
    arms.insert(2, arms[1].again())
    shutil.rmtree(root / "count", ignore_errors=True)
    (root / "count").mkdir(parents=True)
    run_dir = RunDir(root / "count")
    record(lab, arms, [FULL, HALF], PACKETS, run_dir, gate=None)
    with lab.terminal.step("names, contexts, causes", expect_s=15, kind="read planted counts"):
        found = outcomes(load_count(run_dir.path).receipts)
    _tell(found, as_json=as_json)
    return all(one.found for one in found)


def _folder(lab: Lab, folder: Path, number: int) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in planted(PLANTS[number], lab.arms_dir).items():
        (folder / name).write_text(text)
    return folder


def _tell(found: "tuple[Outcome, ...]", *, as_json: bool) -> None:
    if as_json:
        print_json({"selftest": [
            {"planted": one.name, "title": one.title, "expected": one.expected,
             "observed": one.observed, "found": one.found}
            for one in found
        ]})  # fmt: skip
        return
    width = max(len(one.name) for one in found)
    for one in found:
        verdict = "found" if one.found else "NOT FOUND"
        print(f"{one.name:<{width}}  {verdict:<9}  expected {one.expected}; {one.observed}")
