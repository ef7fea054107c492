# SPDX-License-Identifier: Apache-2.0
"""A lab folder: what a checkout has beside the package, copied to where its user wants it.

An installed wheel has these files in `testbed/data`, an editable install beside the package, in the
checkout. The folder's programs and the package speak to each other, so it keeps the version that it
was made by.
"""

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from testbed.model.errors import HostError, RunError, UsageError

PARTS = (
    "LICENSE", "LICENSES", "Vagrantfile", "counter", "docs", "guest", "lab", "results/README.md",
    "results/sample", "templates",
)  # fmt: skip
"""The parts of a lab folder; pyproject.toml puts the same into a wheel."""
VERSION = ".testbed-version"
PACKAGE = Path(__file__).resolve().parents[2]
UNWANTED = frozenset({"__pycache__"})
"""pip compiles the guests' programs, too."""
ALLOWED = frozenset({".git"})
"""A folder with nothing else counts as empty: `git init` may have come first."""


def source() -> Path:
    """Return the folder that has all parts. Raises HostError when this installation has not."""
    data = PACKAGE / "data"
    folder = data if data.is_dir() else PACKAGE.parent
    if missing := [part for part in PARTS if not (folder / part).exists()]:
        raise HostError(
            f"this installation of testbed lacks its data: {folder} has no {', '.join(missing)}",
            hint="install it again: `pip install --force-reinstall packet-hook-testbed`, or build "
            "the wheel from a whole checkout",
        )
    return folder


def make(folder: Path, version: str, files: Mapping[str, str]) -> None:
    """Make a lab folder, with `files` of its own; nothing of it stays when that fails.

    Raises UsageError when `folder` is no new or empty one, HostError when it cannot be written or
    the data are missing.
    """
    data = source()
    _demand_empty(folder)
    was_there = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            _copy(data / part, folder / part)
        for name, text in {**files, VERSION: f"{version}\n"}.items():
            (folder / name).write_text(text, encoding="utf-8")
    except BaseException as error:
        _undo(folder, was_there)
        if isinstance(error, OSError):
            raise HostError(
                f"{folder} cannot be made: {error.strerror or error}",
                hint="give a place that you may write to and that has 10 MB of room",
            ) from error
        raise


def demand_version(folder: Path, version: str) -> None:
    """Raise RunError for a lab folder that another version made; a git checkout has no note."""
    with contextlib.suppress(FileNotFoundError):
        made = (folder / VERSION).read_text(encoding="utf-8", errors="replace").strip()
        if made != version:
            raise RunError(
                f"{folder} was made by testbed {made}, and this is testbed {version}: its programs "
                "and this one may not understand each other",
                hint="`testbed init DIR` makes a new one; testbed.toml, results/ and arms of yours "
                "can be copied there",
            )


def _demand_empty(folder: Path) -> None:
    hint = "give a folder that is new or empty"
    if folder.is_dir():
        there = sorted(path.name for path in folder.iterdir() if path.name not in ALLOWED)
        if (folder / VERSION).exists():
            raise UsageError(
                f"{folder} is a lab folder already",
                hint="change into it and run `testbed up`, or give a folder that is new or empty",
            )
        if there:
            more = f" and {len(there) - 3} more" if len(there) > 3 else ""
            raise UsageError(f"{folder} is not empty: {', '.join(there[:3])}{more}", hint=hint)
    elif folder.exists() or folder.is_symlink():
        raise UsageError(f"{folder} is there, and no folder", hint=hint)


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a tree; the copies are the user's to write, whoever owns the originals."""
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for entry in sorted(source.iterdir()):
            if entry.name not in UNWANTED:
                _copy(entry, target / entry.name)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if source.stat().st_mode & 0o100 else 0o644)


def _undo(folder: Path, was_there: bool) -> None:
    """Take away what was made; the folder was new, or empty."""
    if not was_there:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for entry in list(folder.iterdir()):
        if entry.name in ALLOWED:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
