# SPDX-License-Identifier: Apache-2.0
"""The two virtual machines: from nothing to reachable, and back.

`up` compares what is with what should be and does only the difference.
"""

import contextlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, BrokenBarrierError, Event
from typing import Any

from testbed.edge.account import Account, project_id
from testbed.edge.connection import closed_on_failure
from testbed.edge.guest import Guest
from testbed.edge.provider import Provider
from testbed.edge.terminal import Terminal
from testbed.lab import accelerator, settings
from testbed.lab.accelerator import Accelerator
from testbed.lab.box import Box, BoxStore
from testbed.lab.settings import ROLES
from testbed.model.config import Config
from testbed.model.errors import HostError, MachineError


@dataclass(frozen=True)
class Machines:
    """This checkout's two machines."""

    config: Config
    checkout: Path
    account: Account
    terminal: Terminal

    @property
    def project(self) -> Path:
        """Where this checkout's Vagrant state and settings are."""
        return self.account.project_dir(self.checkout)

    @property
    def boxes(self) -> BoxStore:
        """The boxes of this account."""
        return BoxStore(self.account, self.checkout, self.config.box.mirror)

    @property
    def provider(self) -> Provider:
        """Vagrant and libvirt for these machines."""
        prefix = f"tb{project_id(self.checkout)}-"
        return Provider(self.account, self.project, self.account.data_dir / "vagrant.d", prefix)

    def settings(self) -> dict[str, Any] | None:
        """Return what the machines were last brought up with, or None."""
        try:
            data: dict[str, Any] = json.loads((self.project / "machines.json").read_text())
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) and "machines" in data else None

    def up(self, prepare: Callable[[Guest], None]) -> dict[str, Guest]:
        """Bring both machines up, prepare both as soon as they answer, and return them.

        `prepare` runs in a thread per machine, while Vagrant still looks after them.
        Raises HostError (tools, memory, KVM demanded), MachineError (box, boot), and
        whatever `prepare` raises.
        """
        box = self.boxes.build(self.terminal)
        with self.terminal.step("trying KVM", expect_s=None):
            chosen = accelerator.choose(self.config.machines.accelerator, self.account, box)
        if chosen.name == "emulation":
            self.terminal.warn(f"no KVM: {chosen.reason}. Emulating the CPUs: slower, same code.")
        provider = self.provider
        self.account.make_dir(self.project)
        states = provider.states()
        old = self.settings()
        wanted = self._settings(box, chosen, old if len(states) == len(ROLES) else None)
        fits = old is not None and len(states) == len(ROLES) and settings.same_machines(old, wanted)
        if fits and _running(states):
            guests = self.guests()
            with ThreadPoolExecutor(len(guests)) as pool, closed_on_failure(guests):
                list(pool.map(prepare, guests.values()))
            return guests
        if fits and settings.ports_are_free(wanted, states):
            with self.terminal.step("starting the machines", expect_s=_boot_s(chosen) / 2):
                return self._boot(provider, prepare)
        if states:
            with self.terminal.step("removing machines that no longer fit", expect_s=5):
                self._stage(old or wanted)
                provider.destroy()
                wanted = self._settings(box, chosen, None)
        self._demand_memory()
        self._stage(wanted)
        provider.ensure_pool(wanted["pool"]["name"], Path(wanted["pool"]["path"]))
        provider.forget(wanted["pool"]["name"])
        if not provider.has_box(box.name):
            with self.terminal.step("giving the box to Vagrant", expect_s=5):
                provider.add_box(box.name, box.box)
        with self.terminal.step("booting client and server, building", expect_s=_boot_s(chosen)):
            return self._boot(provider, prepare)

    def _boot(self, provider: Provider, prepare: Callable[[Guest], None]) -> dict[str, Guest]:
        """Run Vagrant here, where Ctrl-C arrives, and prepare the machines beside it."""
        given_up, both = Event(), Barrier(len(ROLES))
        answered: dict[str, float] = {}  # when each could first be used; read by bench/

        def reach(guest: Guest) -> Guest:
            try:
                guest.connect(self.config.machines.boot_timeout_s, given_up=given_up)
            except BaseException:
                both.abort()
                raise
            answered[guest.role] = time.time()
            # Compiling in one machine would take the CPUs that the other one boots with.
            with contextlib.suppress(BrokenBarrierError):
                both.wait()
            prepare(guest)
            return guest

        guests = self._unconnected()
        with ThreadPoolExecutor(len(ROLES)) as pool, closed_on_failure(guests, given_up):
            reached = {role: pool.submit(reach, guest) for role, guest in guests.items()}
            try:
                provider.up()
            except MachineError as error:
                error.detail += self._consoles()
                raise
            prepared = {role: future.result() for role, future in reached.items()}
        self.account.write(self.project / "answered.json", json.dumps(answered) + "\n")
        return prepared

    def _consoles(self) -> str:
        """Return the last words of both machines' consoles."""
        said = ""
        for path in sorted(self.project.glob("*-console.log")):
            lines = path.read_text(errors="replace").splitlines()[-8:]
            said += f"\n--- {path}\n" + "\n".join(lines)
        return said

    def guests(self) -> dict[str, Guest]:
        """Return both guests, connected; raises MachineError when they are not up."""
        if not _running(self.states()):
            raise MachineError("the machines are not up", hint="run `testbed up` first")
        guests = self._unconnected()
        for guest in guests.values():
            guest.connect(self.config.machines.boot_timeout_s)
        return guests

    def _unconnected(self) -> dict[str, Guest]:
        current = self.settings()
        if current is None:
            raise MachineError("the machines are not up", hint="run `testbed up` first")
        key, machines = Path(current["private_key"]), current["machines"]
        return {role: Guest(role, int(machines[role]["ssh_port"]), key) for role in ROLES}

    def down(self, *, destroy: bool) -> None:
        """Shut both machines down, or remove them with their disks."""
        if not self.provider.states():
            return
        action = self.provider.destroy if destroy else self.provider.halt
        title = "removing the machines" if destroy else "shutting down"
        with self.terminal.step(title, expect_s=8):
            action()

    def states(self) -> dict[str, str]:
        """Return {role: state}; an absent machine is `not created`."""
        found = self.provider.states() if self.project.exists() else {}
        return {role: found.get(role, "not created") for role in ROLES}

    def remove_boxes(self) -> list[str]:
        """Delete every box: the built ones, Vagrant's copies, and libvirt's when unused.

        Raises MachineError while machines of this checkout exist, since they rest on one.
        """
        if self.provider.states():
            raise MachineError(
                "the machines still use the box", hint="run `testbed down --destroy` first"
            )
        pool = "testbed"
        gone = [str(path) for path in self.boxes.remove()]
        self.provider.ensure_pool(pool, self.account.data_dir / "pool")
        return gone + self.provider.remove_boxes(pool)

    def accelerator(self) -> Accelerator:
        """Return what the running machines were started with."""
        settings = self.settings() or {}
        return Accelerator(
            settings.get("accelerator", "?"), settings.get("accelerator_reason", "?")
        )

    def _demand_memory(self) -> None:
        machines = self.config.machines
        needed_mb = machines.server.memory_mb + machines.client.memory_mb + 300
        available_mb = _available_memory_mb()
        if available_mb < needed_mb:
            raise HostError(
                f"too little memory: the two machines need {needed_mb} MB, "
                f"{available_mb} MB are available",
                hint="close programs, or lower [machines.server] memory_mb in testbed.toml",
            )

    def _settings(
        self, box: Box, chosen: Accelerator, old: Mapping[str, Any] | None
    ) -> dict[str, Any]:
        """Return what the Vagrantfile shall read; ports are kept while the machines exist."""
        ports = old["ports"] if old else settings.free_ports()
        return {
            **settings.of_the_pair(self.config, self.project, ports),
            **settings.of_this_host(self.account, chosen),
            "prefix": self.provider.prefix,
            "private_key": str(self.boxes.private_key),
            "box": {"name": box.name, "url": f"file://{box.box}"},
            "command": self.provider.command(),
        }

    def _stage(self, wanted: Mapping[str, Any]) -> None:
        """Put settings and Vagrantfile where the machines' account reads them."""
        self.account.make_dir(self.account.data_dir / "pool")
        self.account.make_dir(self.account.data_dir / "vagrant.d")
        text = json.dumps(wanted, indent=2) + "\n"
        self.account.write(self.project / "machines.json", text)
        shutil.copy(self.checkout / "Vagrantfile", self.project / "Vagrantfile")
        shutil.copytree(self.checkout / "guest/setup", self.project / "setup", dirs_exist_ok=True)
        self.account.own(self.project)
        beside = self.checkout / ".testbed"
        beside.mkdir(exist_ok=True)
        (beside / "machines.json").write_text(text)


def _running(states: Mapping[str, str]) -> bool:
    return all(states.get(role) == "running" for role in ROLES)


def _available_memory_mb() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) // 1024
    return 1 << 30


def _boot_s(chosen: Accelerator) -> float:
    return 25 if chosen.name == "kvm" else 70
