# SPDX-License-Identifier: Apache-2.0
"""libvirt itself as a provider: the same two domains as Vagrant's, defined and started by virsh."""

import json
import secrets
import shutil
import tarfile
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor import domain_xml
from testbed.edge.hypervisor.libvirt import Domains
from testbed.edge.hypervisor.provider import advice
from testbed.model.errors import HostError, MachineError

CHUNK_BYTES = 16 << 20


@dataclass(frozen=True)
class PlainLibvirt:
    """A `Provider` that needs neither Vagrant nor Ruby; `folder` has machines.json."""

    domains: Domains
    folder: Path
    name: ClassVar[str] = "libvirt"

    @property
    def account(self) -> Account:
        """The account that owns the machines."""
        return self.domains.account

    def create(self) -> None:
        """Create the machines that are not there, side by side, and start them.

        Raises HostError without QEMU, MachineError with libvirt's words.
        """
        host.find("qemu-system-x86_64", package="qemu-system-x86")
        settings = json.loads((self.folder / "machines.json").read_text())
        there = self.domains.states()
        missing = [role for role in settings["machines"] if role not in there]
        with ThreadPoolExecutor(len(missing) or 1) as pool:
            begun = [pool.submit(self._make, role, settings) for role in missing]
        for made in begun:
            made.result()

    def _make(self, role: str, settings: Mapping[str, Any]) -> None:
        name = settings["prefix"] + role
        pool = Path(settings["pool"]["path"])
        disk = domain_xml.disk(f"{name}.img", self._image(settings["box"]["name"]))
        machine = domain_xml.domain(role, settings, pool / f"{name}.img")
        try:
            self.domains.define(
                self.account.write(self.folder / f"{role}-disk.xml", disk),
                self.account.write(self.folder / f"{role}.xml", machine),
            )
            self.domains.start(role)
        except HostError as error:
            words = error.detail or error.message
            raise MachineError(
                f"the {role} could not be made", hint=advice(words, "libvirt"), detail=words
            ) from error

    def recorded(self, there: Collection[str]) -> frozenset[str]:
        """Return what libvirt knows: it has no second record that could differ."""
        return frozenset(there)

    def has_box(self, name: str) -> bool:
        """Whether the box's image is in the pool; a copy that was cut off never has that name."""
        return self._image(name).is_file()

    def add_box(self, name: str, path: Path) -> None:
        """Copy the image out of the box into the pool. Raises HostError where that fails."""
        part = path.parent.with_name(f"{path.parent.name}.{secrets.token_hex(4)}.new")
        try:
            with tarfile.open(path) as box:
                image = box.extractfile("box.img")
                assert image is not None  # the box's checksum was compared
                with image, (self.account.make_dir(part) / "box.img").open("wb") as copy:
                    shutil.copyfileobj(image, copy, CHUNK_BYTES)
            self.account.own(part)
            (part / "box.img").chmod(0o400)  # machines write over it, never into it
            (part / "box.img").replace(self._image(name))
        except (OSError, KeyError, tarfile.TarError) as error:
            raise HostError(
                f"the box's image could not be copied to {self._image(name)}: {error}",
                hint="it needs 0.6 GB there: free some room, then `testbed up` again",
            ) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)

    def _image(self, name: str) -> Path:
        """Return the place of a box's image; the same recipe, built again, has another one."""
        built = self.account.data_dir / "boxes" / name.removeprefix("testbed-") / "box.json"
        digest = str(json.loads(built.read_text())["sha256"])[:12]
        return self.account.data_dir / "pool" / f"{name}_box_{digest}.img"

    def command(self) -> None:
        """Return None: `testbed ssh` and virsh do what `vagrant` does."""

    def facts(self) -> dict[str, str]:
        """Return nothing: libvirt's version is recorded for every pair."""
        return {}
