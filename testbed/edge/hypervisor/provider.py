# SPDX-License-Identifier: Apache-2.0
"""The program that makes the two machines from the box, and which of the two to take.

Only making them differs between providers. Both make two domains of libvirt: whatever else is done
with them goes through `testbed.edge.hypervisor.libvirt`.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from testbed.model.errors import HostError

Name = Literal["vagrant", "libvirt"]
ASKED = "asked for"


class Provider(Protocol):
    """It makes machines; every method raises HostError or MachineError with its own words."""

    @property
    def name(self) -> str:
        """The word in testbed.toml and machines.json."""

    def create(self) -> None:
        """Create the machines that are not there, as machines.json says, and boot them."""

    def recorded(self, there: Collection[str]) -> frozenset[str]:
        """Return the roles that the provider knows; `there` are those that libvirt knows."""

    def has_box(self, name: str) -> bool:
        """Whether machines can be made from the box, without `add_box`."""

    def add_box(self, name: str, path: Path) -> None:
        """Take the box over from its file."""

    def command(self) -> list[str] | None:
        """Return the start of the provider's own command line; None where it has none."""

    def facts(self) -> dict[str, str]:
        """Return the provider's own version, for the record of a run."""


@dataclass(frozen=True)
class Choice:
    """A provider, and the reason for it."""

    name: Name
    reason: str


def choose(
    wanted: Literal["auto"] | Name, made_by: Choice | None, problem: Callable[[], str | None]
) -> Choice:
    """Choose for `wanted`; `made_by` is what the machines that are there were made by.

    `problem` tells why Vagrant cannot be used: it is asked, a second, only where that decides.
    Raises HostError when Vagrant is asked for and cannot be used.
    """
    if made_by is not None and wanted in ("auto", made_by.name):
        return made_by
    if wanted == "libvirt":
        return Choice("libvirt", ASKED)
    why = problem()
    if why is None:
        return Choice("vagrant", "it and its libvirt plugin work")
    if wanted == "vagrant":
        raise HostError(
            f"Vagrant is asked for and cannot be used: {why}",
            hint='`./lab --provider vagrant` installs what is missing; or set provider = "auto" '
            "in testbed.toml",
        )
    return Choice("libvirt", why)


def advice(words: str, who: str) -> str:
    """Return what to do when `who` could not make the machines and said `words`."""
    if "Address already in use" in words or "Could not set up host forwarding" in words:
        return "another program took one of the ports: run the command again, new ones are chosen"
    if "Timed out while waiting for the machine to boot" in words:
        return "its console, above, tells how far it came; [machines] boot_timeout_s sets the limit"
    if "Cannot allocate memory" in words:
        return "too little memory: close programs, or lower memory_mb in testbed.toml"
    if "Failed to connect socket" in words:
        return "libvirt's session daemon did not start: try `virsh -c qemu:///session list`"
    afresh = "`testbed down --destroy` then `testbed up` starts afresh"
    return f"the last lines above are {who}'s; {afresh}"
