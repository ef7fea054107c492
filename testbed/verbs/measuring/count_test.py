# SPDX-License-Identifier: Apache-2.0
"""`testbed selftest --count`: hooks with a known size planted in them, and whether it is found."""

import shutil
from typing import TYPE_CHECKING

from testbed.edge.files.store import RunDir
from testbed.model import arm as arm_manifest
from testbed.model.planted import ARM, arms, planted
from testbed.verbs.lab import Lab, print_json
from testbed.verbs.measuring.count import record

if TYPE_CHECKING:
    from testbed.analysis.receipt.planted import Outcome

PACKETS = 68
"""4 x 17: enough for a typical count, four times the longest period beside it."""


def count_selftest(lab: Lab, *, as_json: bool) -> bool:
    """Count each planted hook; print what was to be found and what was; True if all was.

    Raises what `testbed count` raises.
    """
    from testbed.analysis.receipt.count_run import load_count
    from testbed.analysis.receipt.planted import FULL, HALF, QUARTER, outcomes

    root = lab.checkout / ".testbed/selftest"
    folder = root / ARM
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, text in planted(lab.arms_dir).items():
        (folder / name).write_text(text)
    (whole,) = arm_manifest.choose(lab.arms_dir, [f"{folder}/"])
    paths = []
    for name, some, payloads in (
        ("count", arms(whole), [FULL]),
        ("half", [whole], [HALF, QUARTER]),
    ):
        path = root / name
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        record(lab, some, payloads, PACKETS, RunDir(path), gate=None)
        paths.append(path)
    with lab.terminal.step("names, contexts, causes", expect_s=5, kind="read planted counts"):
        found = outcomes([one for path in paths for one in load_count(path).receipts])
    _tell(found, as_json=as_json)
    return all(one.found for one in found)


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
