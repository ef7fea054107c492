# SPDX-License-Identifier: Apache-2.0
"""A Debian package file: its name and what it holds, read by dpkg-deb and not unpacked."""

import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from testbed.edge.computer import host
from testbed.model.errors import ConfigError

FIELDS = ("Package", "Version", "Architecture")
MOST_TEXT = 4 << 20
"""Bytes that are read of one file in a package; a kernel's configuration has 0.3 MB."""


@dataclass(frozen=True)
class DebianPackage:
    """A package file and its control fields."""

    path: Path
    name: str
    version: str
    architecture: str


@dataclass(frozen=True)
class Contents:
    """The paths in a package, without a leading slash; `texts` has those that were asked for."""

    paths: frozenset[str]
    texts: dict[str, str]


def read_control(path: Path) -> DebianPackage:
    """Read a package's name, version and architecture.

    Raises ConfigError for a file that is none, HostError where dpkg-deb is missing.
    """
    done = host.run([_tool(), "--field", str(path), *FIELDS], check=False, timeout_s=60)
    found = dict(line.split(": ", 1) for line in done.stdout.splitlines() if ": " in line)
    if done.returncode != 0 or not found.keys() >= set(FIELDS):
        raise ConfigError(
            f"{path} is no Debian package",
            hint="give the .deb file that `make bindeb-pkg` wrote, or that apt downloaded",
            detail=done.stderr,
        )
    return DebianPackage(path, *(found[name] for name in FIELDS))


def read_contents(path: Path, wanted: Callable[[str], bool]) -> Contents:
    """Return the paths in a package, and the text of the files that are `wanted`.

    Takes some seconds for a kernel's image. Raises ConfigError for a damaged package.
    """
    paths: set[str] = set()
    texts: dict[str, str] = {}
    argv = [_tool(), "--fsys-tarfile", str(path)]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=host.plain(),
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                for member in tar:
                    name = str(PurePosixPath(member.name)).lstrip("/")
                    paths.add(name)
                    if member.isfile() and wanted(name):
                        file = tar.extractfile(member)
                        text = file.read(MOST_TEXT) if file else b""
                        texts[name] = text.decode(errors="replace")
            problem = ""
            process.stdout.read()
        except (tarfile.TarError, OSError, EOFError) as error:
            problem = str(error)
            process.kill()
        said = process.stderr.read().decode(errors="replace")
    if problem or process.returncode != 0:
        raise ConfigError(
            f"{path} is damaged: its content cannot be read",
            hint="build or download the package again",
            detail=said or problem,
        )
    return Contents(frozenset(paths), texts)


def _tool() -> str:
    return host.find("dpkg-deb", package="dpkg")
