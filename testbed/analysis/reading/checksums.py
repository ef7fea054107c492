# SPDX-License-Identifier: Apache-2.0
"""Whether the files of a run are those that were recorded: its trials, and its count, apart.

A run of trials may have a count beside them. A file of the one says nothing about the other.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from testbed.model.count_files import FOLDER
from testbed.model.run_files import MEASURED, checksum, is_measured

NO_SUMS = "manifest.json: no checksums"


def edited_of_trials(path: Path, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of measured files that changed, without those of the count."""
    return tuple(name for name in _edited(path, manifest) if not is_of_count(name))


def edited_of_count(path: Path, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the count's files that changed; of a count by itself, of every file."""
    beside = (path / "plan.json").is_file()
    return tuple(
        name
        for name in _edited(path, manifest)
        if is_of_count(name) or name == NO_SUMS or not beside
    )


def has_count(manifest: Mapping[str, Any]) -> bool:
    """Whether a manifest vouches for files of a count."""
    sums = manifest.get("files")
    return isinstance(sums, dict) and any(is_of_count(str(name)) for name in sums)


def is_of_count(name: str) -> bool:
    """Whether a file of a run, by its path within it, belongs to the count."""
    return name.startswith(f"{FOLDER}/")


def _edited(path: Path, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """The measured files that are not what the manifest's checksums say.

    Manifests of earlier versions list pages and tables too, where a report was made before the run
    ended; those may be made anew at any time.
    """
    sums = manifest.get("files")
    if not isinstance(sums, dict):
        return (NO_SUMS,) if manifest else ()
    return tuple(
        name
        for name, digest in sorted(sums.items())
        if is_measured(name) and _sha256(path, name) != digest
    )


def added(path: Path, manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Files among the measured ones that the manifest does not know."""
    sums = manifest.get("files")
    if not isinstance(sums, dict):
        return ()
    found = (file for name in MEASURED for file in (path / name).rglob("*"))
    names = (file.relative_to(path).as_posix() for file in found if not file.is_dir())
    return tuple(sorted(name for name in names if name not in sums and not name.endswith(".new")))


def _sha256(root: Path, name: str) -> str | None:
    """None for a file that is not there, or not below the run."""
    path = root / name
    try:
        if ".." in path.parts or not path.is_file():
            return None
        return checksum(path)
    except (OSError, ValueError):  # no name of a file, or none that may be read
        return None
