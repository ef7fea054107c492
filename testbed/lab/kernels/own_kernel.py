# SPDX-License-Identifier: Apache-2.0
"""A kernel of one's own in the box: found, named by its bytes, looked at before anything is built.

An engineer sets a patch beside its base so: two boxes that differ in nothing but the kernel.
"""

import json
import shlex
import shutil
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from testbed.edge.files.debian_package import DebianPackage, read_control
from testbed.edge.output.terminal import Terminal
from testbed.lab.kernels.fitness import Image, demand_fit, demand_headers
from testbed.model.config import FILE_NAME, BoxConfig
from testbed.model.errors import ConfigError
from testbed.model.run_files import checksum

DISTRIBUTIONS = ("linux-image-amd64", "linux-headers-amd64")
"""Packages of guest/box/packages.txt that a kernel of one's own takes the place of."""
INSTALLER = "guest/own-kernel/install.sh"
RECORD = "kernel.json"
"""In the box's folder: the package that its kernel is from."""
ARCHITECTURES = ("amd64", "all")


@dataclass(frozen=True)
class KernelPackage:
    """The package that a kernel is from; `sha256` is None for the distribution's, not kept here."""

    package: str
    version: str
    sha256: str | None
    headers: tuple[str, ...] = ()
    """SHA-256 of the packages of headers, in their order."""

    def as_json(self) -> str:
        """Return the content of the box's kernel.json."""
        return json.dumps(asdict(self), indent=2) + "\n"


@dataclass(frozen=True)
class OwnKernel:
    """The packages that `[box] kernel` and `kernel_headers` name."""

    image: Path
    headers: tuple[Path, ...]
    installer: Path

    @classmethod
    def of(cls, source: BoxConfig, checkout: Path) -> "OwnKernel | None":
        """Return the kernel that a checkout's testbed.toml names, None for the distribution's.

        A path is relative to that file's folder, unless it begins with / or ~/.
        """
        if not source.kernel:
            return None
        headers = tuple(_place(name, checkout) for name in source.kernel_headers)
        return cls(_place(source.kernel, checkout), headers, checkout / INSTALLER)

    def digests(self) -> tuple[str, ...]:
        """Return what names the box: the SHA-256 of every package and of what installs them.

        Raises ConfigError for a file that is missing or that cannot be read.
        """
        return tuple(_digest(path) for path in (self.image, *self.headers, self.installer))

    def look(self, terminal: Terminal) -> Image:
        """Return the image once it is proved to fit the box; takes some seconds.

        Raises ConfigError that names the package, what is wrong with it and what would be right.
        """
        with terminal.step("box: reading the kernel's packages", expect_s=6):
            packages = [read_control(path) for path in (self.image, *self.headers)]
            for one in packages:
                _demand_architecture(one)
            image = demand_fit(packages[0])
            demand_headers(image, packages[1:])
            return image

    def stage(self, work: Path, image: Image) -> KernelPackage:
        """Make a copied recipe in `work` install these packages, and no kernel of Debian's.

        The recipe's own lines stay as they are: box/setup.sh runs behind the installation. Returns
        what is installed. Raises ConfigError for a file that changed since the box got its name.
        """
        folder = work / "packages"
        folder.mkdir()
        folder.chmod(0o755)  # it and the files are for the namespace's root, another user
        digests = self.digests()
        for number, path in enumerate((self.image, *self.headers)):
            copy = folder / f"{number}.deb"
            shutil.copyfile(path, copy)
            copy.chmod(0o644)
            if checksum(copy) != digests[number]:
                raise ConfigError(
                    f"{path} changed while the box was built",
                    hint="begin again when the kernel's build is done",
                )
        listed = work / "recipe/packages.txt"
        lines = listed.read_text().splitlines()
        kept = [line for line in lines if line.strip() not in DISTRIBUTIONS]
        listed.write_text("\n".join(kept) + "\n")
        words = shlex.join([str(folder), image.release])
        setup = work / "recipe/setup.sh"
        setup.write_text(
            f'#!/bin/sh\ntree=$1\nset -- "$tree" {words}\n{self.installer.read_text()}\n'
            f'set -- "$tree"\n{setup.read_text()}'
        )
        return KernelPackage(
            image.package.name,
            image.package.version,
            digests[0],
            digests[1 : len(self.headers) + 1],
        )


def package_of(folder: Path, release: str) -> KernelPackage | None:
    """Return the package that the kernel of a built box is from; None where nothing tells."""
    try:
        known = json.loads((folder / RECORD).read_text())
        return KernelPackage(
            str(known["package"]), str(known["version"]), str(known["sha256"]),
            tuple(map(str, known["headers"])),
        )  # fmt: skip
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError):
        return None
    versions = versions_of(folder)
    name = f"linux-image-{release}"
    return KernelPackage(name, versions[name], None) if name in versions else None


def versions_of(folder: Path) -> dict[str, str]:
    """Return {package: version} of a built box; empty where that cannot be read."""
    try:
        lines = (folder / "packages.txt").read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    return {words[0]: words[1] for line in lines if len(words := line.split()) == 2}


def _place(name: str, checkout: Path) -> Path:
    return checkout / (Path.home() / name[2:] if name.startswith("~/") else name)


def _demand_architecture(one: DebianPackage) -> None:
    if one.architecture not in ARCHITECTURES:
        raise ConfigError(
            f"{one.path} is for {one.architecture}: the machines are amd64",
            hint="build the kernel for x86_64, or take the package for amd64",
        )


def _digest(path: Path) -> str:
    try:
        if not path.is_file():
            raise FileNotFoundError(2, "there is no such file")
        known = path.stat()
        return _digest_of(path, known.st_size, known.st_mtime_ns, known.st_ino)
    except OSError as error:
        raise ConfigError(
            f"{FILE_NAME}: [box] names {path}: {error.strerror}",
            hint=f"correct the path: it is relative to the folder of {FILE_NAME}, or absolute",
        ) from error


@lru_cache
def _digest_of(path: Path, _size: int, _changed_ns: int, _inode: int) -> str:
    """A kernel's package has 70 MB, and a command asks for the box's name several times."""
    return checksum(path)
