# SPDX-License-Identifier: Apache-2.0
"""A pretended libvirt session and data folder, for tests about what is left over."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.session import Session
from testbed.lab.machines import processes
from testbed.lab.machines.processes import Process

REAL_VIRSH = Session._virsh
VIRSH = """
[ "$1" != --version ] || {{ echo 9.0.0; exit; }}
shift 3; echo "$@" >> {folder}/asked
case "$*" in
"list --name") cat {folder}/running ;;
"list --all --name --with-managed-save") : ;;
"list --all --name") cat {folder}/domains ;;
"pool-list --name") cat {folder}/pools ;;
"pool-dumpxml testbed") echo "<path>{pool}</path>" ;;
"version --daemon") echo "Running against daemon: 9.0.0" ;;
dumpxml*) cat {folder}/$3.xml ;;
*) [ ! -e {folder}/refuse ] || {{ echo "error: it is locked" >&2; exit 1; }} ;;
esac
"""
GONE = "0000cc"


@dataclass(frozen=True)
class LeftOver:
    """What an account has: `folder` is where the pretended libvirt keeps its lists."""

    account: Account
    folder: Path
    scratch: Path

    @property
    def pool(self) -> Path:
        return self.account.data_dir / "pool"

    def define(self, id_: str, *, running: bool = False) -> None:
        """Let libvirt know the client of a project."""
        name = f"tb{id_}-client"
        console = self.account.data_dir / "projects" / id_ / "client-console.log"
        (self.folder / f"{name}.xml").write_text(f"<source path='{console}'/>")
        for list_ in ("domains", "running") if running else ("domains",):
            with (self.folder / list_).open("a") as file:
                file.write(f"{name}\n")

    def claim(self, id_: str, checkout: Path | str | None) -> Path:
        """Make the folder of a project, claimed by `checkout`."""
        folder = self.account.data_dir / "projects" / id_
        folder.mkdir()
        if checkout is not None:
            (folder / "checkout").write_text(f"{checkout}\n")
        return folder

    def asked(self) -> list[str]:
        """Return what libvirt was told to do, without what only looks."""
        lines = (self.folder / "asked").read_text().splitlines()
        return [line for line in lines if not line.startswith(("list", "dumpxml", "pool-"))]


def pretend(
    account: Account,
    tmp_path: Path,
    tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> LeftOver:
    """Put a libvirt without machines in place of the real one, and an empty data folder."""
    made = LeftOver(account, tmp_path / "libvirt", tmp_path / "scratch")
    monkeypatch.setattr(Session, "_virsh", REAL_VIRSH)
    monkeypatch.setenv("TMPDIR", str(made.scratch))
    monkeypatch.setattr(processes, "machines", list[Process])
    for folder in (made.folder, made.scratch):
        folder.mkdir()
    for part in ("pool", "projects", "boxes"):
        (account.data_dir / part).mkdir()
    for name in ("running", "domains", "pools", "asked"):
        (made.folder / name).write_text("")
    tool("virsh", VIRSH.format(folder=made.folder, pool=made.pool))
    return made
