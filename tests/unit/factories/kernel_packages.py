# SPDX-License-Identifier: Apache-2.0
"""Small .deb files like those of a kernel's build, made by dpkg-deb itself."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from testbed.lab.kernels.fitness import BUILT_IN, DRIVERS, MODULES

RELEASE = "6.1.0-47-amd64"
VERSION = "6.1.170-3"
BOOT = f"boot/vmlinuz-{RELEASE}"


def deb(
    path: Path, files: Mapping[str, str], *, name: str = "package", version: str = VERSION,
    architecture: str = "amd64",
) -> Path:  # fmt: skip
    """Write a package with these files."""
    tree = path.with_suffix(".tree")
    shutil.rmtree(tree, ignore_errors=True)
    control = {
        "Package": name, "Version": version, "Architecture": architecture,
        "Maintainer": "nobody <nobody@example.org>", "Description": "a test's package",
    }  # fmt: skip
    lines = "".join(f"{field}: {value}\n" for field, value in control.items())
    for inside, text in {"DEBIAN/control": lines, **files}.items():
        (tree / inside).parent.mkdir(parents=True, exist_ok=True)
        (tree / inside).write_text(text)
    argv = ["dpkg-deb", "--build", "--root-owner-group", "-Znone", str(tree), str(path)]
    subprocess.run(argv, check=True, capture_output=True)
    return path


def config(**changes: str | None) -> str:
    """Return a kernel's configuration that fits; None leaves an option out."""
    options: dict[str, str | None] = {
        **dict.fromkeys(DRIVERS, "m"), **dict.fromkeys(BUILT_IN, "y"), **changes,
    }  # fmt: skip
    lines = [
        f"# CONFIG_{option} is not set" if value is None else f"CONFIG_{option}={value}"
        for option, value in options.items()
    ]
    return "\n".join(["#", *lines]) + "\n"


def image(
    folder: Path, *, name: str = f"linux-image-{RELEASE}", without: str = "",
    options: Mapping[str, str | None] | None = None, version: str = VERSION,
    architecture: str = "amd64", release: str = RELEASE,
) -> Path:  # fmt: skip
    """Write a kernel's package that fits but for the changes; files with `without` are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [MODULES.get(option, option.lower()).replace("_", "-") for option in DRIVERS]
    modules = {f"lib/modules/{release}/kernel/{one}.ko.xz": "" for one in names}
    files = {f"boot/vmlinuz-{release}": "kernel",
             f"boot/config-{release}": config(**(options or {})), **modules}  # fmt: skip
    files = {path: text for path, text in files.items() if not without or without not in path}
    return deb(folder / f"{name}.deb", files, name=name, version=version, architecture=architecture)


def headers(folder: Path, *, release: str = RELEASE, version: str = VERSION) -> Path:
    """Write a package of headers."""
    folder.mkdir(parents=True, exist_ok=True)
    name = f"linux-headers-{release}"
    return deb(folder / f"{name}.deb", {f"usr/src/{name}/Makefile": ""}, name=name, version=version)
