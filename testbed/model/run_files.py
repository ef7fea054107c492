# SPDX-License-Identifier: Apache-2.0
"""Which files of a run directory were measured; the others can be made from them at any time.

The manifest vouches for those that were, by their checksums.
"""

import hashlib
from pathlib import Path, PurePath

LOG = "testbed.log"
"""All that was said and done. It is no data: nothing reads it, no checksum covers it."""
DERIVED = ("derived", "plots")
MEASURED = ("facts", "oracle", "raw")
"""Folders in which every file is measured, so that one too many is noticed."""


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
    return hashlib.sha256(path.read_bytes()).hexdigest()
