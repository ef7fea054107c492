# SPDX-License-Identifier: Apache-2.0
"""Which files of a run directory were measured; the others can be made from them at any time.

The manifest vouches for those that were, by their checksums.
"""

import hashlib
from pathlib import Path, PurePath

LOG = "testbed.log"
"""All that was said and done. It is no data: nothing reads it, no checksum covers it."""
DERIVED = ("derived", "plots")
GATE, GATE_RECORD = "gate", "gate.json"
"""The folder of what the gate sent and captured, and the file that it writes last, arm by arm."""
OLD_GATE, OLD_GATE_RECORD = "oracle", "oracle.json"
"""Their names in runs of schema 2, up to November 2026. Nothing else differs."""
MEASURED = ("facts", GATE, OLD_GATE, "raw")
"""Folders in which every file is measured, so that one too many is noticed."""


def gate_record(run: Path, arm: str) -> str | None:
    """Return the file that tells of an arm's gate, from the run's folder; None without one."""
    names = (f"{GATE}/{arm}/{GATE_RECORD}", f"{OLD_GATE}/{arm}/{OLD_GATE_RECORD}")
    return next((name for name in names if (run / name).is_file()), None)


def gated(run: Path) -> set[str]:
    """Return the arms that a run has put through the gate."""
    found = (run.glob(f"{folder}/*") for folder in (GATE, OLD_GATE))
    arms = {path.name for paths in found for path in paths}
    return {arm for arm in arms if gate_record(run, arm)}


def is_measured(name: str) -> bool:
    """Whether the manifest has to vouch for a file of a run; `name` counts from the run's folder.

    Pages, charts and tables are derived: `testbed report` writes them, also while a run goes on.
    """
    path = PurePath(name)
    if len(path.parts) == 1:
        return path.name not in (LOG, "manifest.json") and path.stem != "report"
    return path.parts[0] not in DERIVED


def checksum(path: Path) -> str:
    """Return a file's SHA-256, as a manifest has it. Raises OSError."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
