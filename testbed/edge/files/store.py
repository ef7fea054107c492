# SPDX-License-Identifier: Apache-2.0
"""The run directory: the one thing that measuring leaves for reading.

`manifest.json` is written last and atomically, with a checksum of every measured file. A
directory without one is an incomplete run, and every reader says so.
"""

import json
import os
import secrets
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from testbed.model import count_files
from testbed.model.errors import HostError, RunError
from testbed.model.run_files import checksum, is_measured

COUNT_INDEX = f"{count_files.FOLDER}/{count_files.INDEX}"


def write_whole(path: Path, data: bytes) -> None:
    """Write a file, whole or not at all, and the folders that lead to it. Raises OSError."""
    new = path.with_name(path.name + ".new")
    path.parent.mkdir(parents=True, exist_ok=True)
    with new.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


@dataclass(frozen=True)
class RunDir:
    """One run directory that is being written."""

    path: Path

    @classmethod
    def create(cls, results: Path) -> "RunDir":
        """Make `results/<UTC time>-<six hex digits>`."""
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        path = results / f"{stamp}-{secrets.token_hex(3)}"
        try:
            path.mkdir(parents=True)
        except OSError as error:
            raise HostError(
                f"{path} cannot be made: {error.strerror}",
                hint=f"make {results} yours to write, or free some room",
            ) from error
        return cls(path)

    def write_json(self, name: str, value: Any) -> None:
        """Write one JSON file, whole or not at all."""
        self.write(name, (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode())

    def write(self, name: str, content: bytes | str) -> None:
        """Write one file below the run, whole or not at all.

        Raises HostError when the disk is full or not writable.
        """
        path = self.path / name
        if self.path.resolve() not in path.resolve().parents:
            raise RunError(
                f"{name!r} is not a file of the run {self.path}",
                hint="a name in an arm or from a machine leads out of it: correct that",
            )
        data = content.encode(errors="replace") if isinstance(content, str) else content
        try:
            write_whole(path, data)
        except OSError as error:
            raise HostError(
                f"{path} cannot be written: {error.strerror}",
                hint="the trials before this one are kept; free some room and run again",
            ) from error

    def checksums(self) -> dict[str, str]:
        """Return {name: SHA-256} of everything measured; not of pages made of it meanwhile."""
        files = sorted(p for p in self.path.rglob("*") if p.is_file() and not p.is_symlink())
        names = {path.relative_to(self.path).as_posix(): path for path in files}
        return {
            name: checksum(path)
            for name, path in names.items()
            if path.suffix != ".new" and is_measured(name)
        }

    def close(self, manifest: dict[str, Any]) -> None:
        """End the run: write its manifest, and let `latest` point to it."""
        self.write_json("manifest.json", {**manifest, "files": self.checksums()})

    def point_latest(self) -> None:
        """Let `results/latest` point to this run, complete or not."""
        link = self.path.parent / "latest"
        new = link.with_name(f".latest-{secrets.token_hex(3)}")
        new.symlink_to(self.path.name)
        new.replace(link)


def find_run(results: Path, name: str | None) -> Path:
    """Return the directory of the named run, of a path to one, or of the latest.

    Raises RunError with what to do when there is none.
    """
    if name is None:
        latest = results / "latest"
        if not latest.exists():
            raise RunError(f"no run in {results} yet", hint="`testbed bench --both` makes one")
        return latest.resolve()
    for path in (Path(name), results / name):
        if is_run(path):
            return path.resolve()
    there = [p.name for p in all_runs(results)[-3:]]
    raise RunError(
        f"there is no run {name!r}",
        hint=f"the last ones: {', '.join(there)}" if there else "`testbed bench --both` makes one",
    )


def all_runs(results: Path) -> list[Path]:
    """Return every run directory, oldest first, counts included."""
    if not results.is_dir():
        return []
    found = (p for p in results.iterdir() if not p.is_symlink() and is_run(p))
    return sorted(found, key=lambda p: p.name)


def is_run(path: Path) -> bool:
    """Whether it holds trials or a count."""
    return (path / "plan.json").is_file() or (path / COUNT_INDEX).is_file()
