# SPDX-License-Identifier: Apache-2.0
"""The counter (counter/*.c), compiled for the QEMU at hand: its plugin interface is asked first."""

import hashlib
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.lab.counting.commandline import qemu_path
from testbed.model.errors import HostError

SOURCES = ("counter.c", "plugin_api.h", "record.h", "x86.h")
NEWEST = 5
"""Interfaces up to here have the functions that the counter uses, with one change at 3: QEMU 7.2
and 8.2 have 1, 9.x and 10.0 have 2 to 4, 10.1 and 10.2 have 5. Later ones were not tried.
"""
NO_SUCH = 9999
"""An interface that no QEMU has: it refuses, and names its own."""
REFUSAL = re.compile(r"supports only up to version (\d+)")
FLAGS = ("-O2", "-Wall", "-Wextra", "-Wvla", "-fPIC", "-shared", "-fvisibility=hidden", "-pthread")
LIMIT_S = 60


@dataclass(frozen=True)
class Plugin:
    """A counter that QEMU can load: the file, QEMU's words for its version, its interface."""

    file: Path
    qemu: str
    interface: int


def build(account: Account, checkout: Path) -> Plugin:
    """Return the counter for today's QEMU; compiled only when sources or QEMU have changed.

    Raises HostError when gcc or QEMU is missing, when QEMU takes no plugins, or when its interface
    is newer than what was tried.
    """
    sources = checkout / "counter"
    qemu = host.run([qemu_path(), "--version"], timeout_s=LIMIT_S).stdout.splitlines()[0]
    folder = account.make_dir(account.data_dir / "counter")
    file = folder / f"{_key(sources, qemu)}.so"
    known = file.with_suffix(".interface")
    if not (file.exists() and known.exists()):
        interface = ask(account, checkout)
        with tempfile.TemporaryDirectory(prefix="testbed-counter-") as scratch:
            built = _compile(sources, interface, Path(scratch))
            new = file.with_suffix(".new")
            shutil.copyfile(built, new)
            new.chmod(0o700)
            account.own(new)
            new.replace(file)
        account.write(known, f"{interface}\n")
    return Plugin(file, qemu, int(known.read_text()))


def _key(sources: Path, qemu: str) -> str:
    digest = hashlib.sha256(qemu.encode())
    for name in SOURCES:
        digest.update((sources / name).read_bytes())
    return digest.hexdigest()[:16]


def ask(account: Account, checkout: Path) -> int:
    """Return the newest interface that this QEMU has, by trying; nothing is left.

    Raises HostError as `build` does.
    """
    with tempfile.TemporaryDirectory(prefix="testbed-counter-") as scratch:
        folder = Path(scratch)
        probe = _compile(checkout / "counter", NO_SUCH, folder)
        for path in (folder, probe):
            path.chmod(0o755)
        argv = [qemu_path(), "-M", "none", "-nodefaults", "-display", "none", "-plugin", str(probe)]
        said = host.run(account.command(argv), check=False, timeout_s=LIMIT_S, cwd=Path("/"))
    found = REFUSAL.search(said.stderr)
    if found is None:
        raise HostError(
            "this QEMU loads no plugins, so nothing can be counted with it",
            hint="install the distribution's qemu-system-x86; measuring CPU time needs no plugin",
            detail=said.stderr or f"exit status {said.returncode}",
        )
    interface = int(found[1])
    if interface > NEWEST:
        raise HostError(
            f"this QEMU has plugin interface {interface}; the counter knows those up to {NEWEST}",
            hint="count with an older QEMU; measuring CPU time needs no plugin",
        )
    return interface


def _compile(sources: Path, interface: int, folder: Path) -> Path:
    built = folder / "counter.so"
    gcc = host.find("gcc", package="gcc")
    version = f"-DPLUGIN_VERSION={interface}"
    argv = [gcc, *FLAGS, version, "-o", str(built), str(sources / "counter.c")]
    host.run(argv, timeout_s=LIMIT_S)
    return built
