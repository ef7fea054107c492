# SPDX-License-Identifier: Apache-2.0
"""The program that makes the two machines from the box, as `up` needs it.

Only making them differs between providers. What is made is two domains of libvirt: whatever else
is done with them goes through `testbed.edge.hypervisor.libvirt`.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol


class Provider(Protocol):
    """What makes machines; every method raises HostError or MachineError with its own words."""

    @property
    def name(self) -> str:
        """The word in testbed.toml and machines.json."""

    def up(self) -> None:
        """Create the machines that are not there, as machines.json says, and boot them."""

    def halt(self) -> None:
        """Shut both machines down."""

    def recorded(self, there: Collection[str]) -> frozenset[str]:
        """Return the roles that the provider knows; `there` are those that libvirt knows."""

    def forget(self, role: str) -> None:
        """Remove the provider's own record of a machine."""

    def has_box(self, name: str) -> bool:
        """Whether machines can be made from the box, without `add_box`."""

    def add_box(self, name: str, path: Path) -> None:
        """Take the box over from its file."""

    def copied_image(self, name: str) -> Path | None:
        """Return the image that copies in libvirt's pool must equal; None where none is made."""

    def remove_boxes(self) -> list[str]:
        """Delete the provider's copies of our boxes; return what was deleted."""

    def command(self) -> list[str] | None:
        """Return the start of the provider's own command line; None where it has none."""

    def facts(self) -> dict[str, str]:
        """Return the provider and its version, for the record of a run."""
