# SPDX-License-Identifier: Apache-2.0
"""The account's whole libvirt session, by virsh: machines of every checkout, and others.

`testbed.edge.hypervisor.libvirt` is about the two machines of one checkout.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.libvirt import virsh
from testbed.model.errors import HostError

LIMIT_S = 10


@dataclass(frozen=True)
class Domain:
    """One virtual machine that libvirt knows; `xml` is its definition."""

    name: str
    running: bool
    saved: bool
    xml: str


@dataclass(frozen=True)
class Session:
    """libvirt's session daemon of one account, which starts when it is asked."""

    account: Account

    def version(self) -> str:
        """Return the daemon's version. Raises HostError with its words when there is no answer."""
        found = re.search(r"daemon: (\S+)", self._virsh("version", "--daemon"))
        return found[1] if found else "?"

    def domains(self) -> list[Domain]:
        """Return every virtual machine of the session."""
        running = set(self._names("list", "--name"))
        saved = set(self._names("list", "--all", "--name", "--with-managed-save"))
        return [
            Domain(name, name in running, name in saved, self._xml(name))
            for name in self._names("list", "--all", "--name")
        ]

    def pool_folder(self, name: str) -> Path | None:
        """Return the folder of a storage pool, None when it is not there or does not run."""
        if name not in self._names("pool-list", "--name"):
            return None
        found = re.search(r"<path>(.*?)</path>", self._virsh("pool-dumpxml", name))
        return Path(found[1]) if found else None

    def remove_domain(self, name: str, *, running: bool) -> None:
        """Stop a virtual machine and forget its definition and saved state; its disk stays."""
        if running:
            self._virsh("destroy", name)
        self._virsh("undefine", name, "--managed-save", "--snapshots-metadata")

    def remove_volume(self, name: str, pool: str) -> None:
        """Delete a disk from a storage pool."""
        self._virsh("vol-delete", name, "--pool", pool)

    def _names(self, *argv: str) -> list[str]:
        """Return the names that a list prints, one a line."""
        return [line.strip() for line in self._virsh(*argv).splitlines() if line.strip()]

    def _xml(self, name: str) -> str:
        try:
            return self._virsh("dumpxml", "--inactive", name)
        except HostError:  # removed since it was listed
            return ""

    def _virsh(self, *argv: str) -> str:
        return virsh(self.account, argv, LIMIT_S)
