# SPDX-License-Identifier: Apache-2.0
"""Removing orphans: as commands to type, and by itself."""

import contextlib
import os
import shlex
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.libvirt import URI
from testbed.edge.hypervisor.session import Session
from testbed.lab.machines import processes
from testbed.lab.machines.processes import Process
from testbed.lab.orphans.orphans import Orphan
from testbed.model.errors import HostError

PATIENCE_S = 5.0
POOL = "testbed"


@dataclass(frozen=True)
class Removal:
    """How to remove things of one account; `pool` is our folder in libvirt, None if inactive."""

    account: Account
    pool: Path | None

    @classmethod
    def of(cls, account: Account) -> "Removal":
        """Return it for an account whose libvirt answers."""
        return cls(account, Session(account).pool_folder(POOL))

    def command(self, orphan: Orphan) -> str:
        """Return the one command that removes it, to be typed by whoever runs this."""
        if orphan.outlived is not None:
            return f"kill -INT -- -{orphan.outlived.process.pid}"
        if orphan.process is not None:
            return f"kill {orphan.process.pid}"
        if orphan.path is None:
            words = f"undefine {orphan.name} --managed-save --snapshots-metadata"
            return self._virsh(f"destroy {orphan.name}; {words}" if orphan.running else words)
        if self._in_pool(orphan):
            return self._virsh(f"vol-delete {orphan.name} --pool {POOL}")
        path = shlex.quote(str(orphan.path))
        if orphan.kind == "build":
            argv = shlex.join(_emptying(orphan.path)) + "; " if self._has_tree(orphan.path) else ""
            return f"{argv}rm -rf {path}"
        return f"rm -r {path}" if orphan.kind == "project" else f"rm {path}"

    def _virsh(self, words: str) -> str:
        return self.account.typed(["virsh", "-c", URI, words])

    def _in_pool(self, orphan: Orphan) -> bool:
        return orphan.kind == "disk" and orphan.path is not None and orphan.path.parent == self.pool

    def remove(self, orphan: Orphan) -> None:
        """Remove it. Raises HostError when that fails."""
        if orphan.outlived is not None:
            orphan.outlived.end()
        elif orphan.process is not None:
            _end(orphan.process)
        elif orphan.path is None:
            Session(self.account).remove_domain(orphan.name, running=orphan.running)
        elif self._in_pool(orphan):
            Session(self.account).remove_volume(orphan.name, POOL)
        else:
            self._delete(orphan.path)

    def _delete(self, path: Path) -> None:
        try:
            if path.is_dir() and not path.is_symlink():
                if self._has_tree(path):
                    host.find("mmdebstrap", package="mmdebstrap")
                    host.run(_emptying(path), cwd=Path("/"))
                shutil.rmtree(path)
            else:
                path.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise HostError(
                f"{path} cannot be removed: {error.strerror}", hint="remove it by hand, as root"
            ) from error

    def _has_tree(self, path: Path) -> bool:
        """Whether files of a user namespace's users are in it, which root alone can just delete."""
        return self.account.name is None and (path / "tree").is_dir()


def _emptying(path: Path) -> list[str]:
    tree = str(path / "tree")
    return ["mmdebstrap", "--unshare-helper", "find", tree, "-mindepth", "1", "-delete"]


def _end(process: Process) -> None:
    """End a process, asked first and made to after a few seconds; not one that took its id."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        if not processes.is_still(process):
            return
        with contextlib.suppress(ProcessLookupError):
            try:
                os.kill(process.pid, number)
            except PermissionError as error:
                raise HostError(
                    f"process {process.pid} may not be ended by this user",
                    hint=f"`sudo kill {process.pid}`",
                ) from error
        deadline = time.monotonic() + PATIENCE_S
        while processes.is_still(process) and time.monotonic() < deadline:
            time.sleep(0.05)
