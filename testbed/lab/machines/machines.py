# SPDX-License-Identifier: Apache-2.0
"""The two virtual machines: from whatever there is to reachable, and back.

`up` looks, lets `reconcile` say what is missing, and does that.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from testbed.edge.computer.account import Account
from testbed.edge.guests.connection import closed_on_failure
from testbed.edge.guests.guest import Guest
from testbed.edge.hypervisor.libvirt import Domains, for_each
from testbed.edge.hypervisor.plain_libvirt import PlainLibvirt
from testbed.edge.hypervisor.provider import Name, Provider
from testbed.edge.hypervisor.states import ALIVE, RUNNING
from testbed.edge.hypervisor.vagrant import Vagrant
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines import accelerator, machines_json
from testbed.lab.machines.accelerator import Accelerator
from testbed.lab.machines.booting import Booting, Prepare
from testbed.lab.machines.box import Box, BoxStore
from testbed.lab.machines.free_space import demand_disk, demand_memory
from testbed.lab.machines.leftovers import remains, remove_counting
from testbed.lab.machines.planning import Planning
from testbed.lab.machines.project import ROLES, Project
from testbed.lab.machines.reconcile import Step
from testbed.lab.machines.taking_over import (
    delete_broken_copies,
    demand_ours,
    end_left,
    ending,
    settled,
    without_dead,
)
from testbed.model.config import Config
from testbed.model.errors import MachineError


@dataclass(frozen=True)
class Machines:
    """This checkout's two machines."""

    config: Config
    checkout: Path
    account: Account
    terminal: Terminal

    @property
    def project(self) -> Project:
        """Where this checkout's Vagrant state and settings are."""
        return Project(self.account, self.checkout)

    @property
    def boxes(self) -> BoxStore:
        """The boxes of this account."""
        return BoxStore(self.account, self.checkout, self.config.box)

    @cached_property
    def domains(self) -> Domains:
        """The machines as libvirt knows them."""
        return self.project.domains

    @property
    def vagrant(self) -> Vagrant:
        """Vagrant's own records and boxes, whoever made the machines."""
        return Vagrant(self.account, self.project.path)

    @property
    def provider(self) -> Provider:
        """The one that made the machines that are there."""
        return self._named((self.project.settings() or {}).get("provider", "vagrant"))

    def _named(self, name: Name) -> Provider:
        return self.vagrant if name == "vagrant" else PlainLibvirt(self.domains, self.project.path)

    @property
    def _planning(self) -> Planning:
        key, problem = self.boxes.private_key, self.vagrant.problem
        return Planning(self.config, self.project, self.domains, key, self._named, problem)

    def up(self, prepare: Prepare, stamp: Mapping[str, Any]) -> None:
        """Bring both machines up as the configuration says, and have them prepared.

        `stamp` is what `prepare` gives them: while that is what they got, running machines are
        left alone. `prepare` runs in a thread per machine, beside the provider.
        Raises HostError (tools, memory, KVM demanded), MachineError (box, boot), and
        whatever `prepare` raises.
        """
        box = self.boxes.build(self.terminal)
        chosen = self._accelerator(box)
        end_left(self.project, self.terminal)
        steps, wanted = self._planning.plan(box, chosen, stamp)
        self._claim()
        if steps:
            self.project.note_prepared(None)
        for step in steps:
            self.terminal.say(str(step))
            if step.action == "remove":
                self._remove(step.roles)
            elif step.action == "stop":
                for_each(list(step.roles), "stop", self.domains)
        if any(step.action == "create" for step in steps):
            self._make_room(wanted, box)
        for action, doing in (("restore", "start"), ("resume", "resume")):
            roles = [role for step in steps if step.action == action for role in step.roles]
            if roles:
                self.project.note_waking()
                with self.terminal.step(f"{action} {' and '.join(roles)}", expect_s=1):
                    for_each(roles, doing, self.domains)
        self._finish(steps, chosen, prepare)
        if steps:
            self.project.note_prepared(stamp)

    def _claim(self) -> None:
        """Tell of a checkout that was moved: its machines go on as they are."""
        if (before := self.project.claim()) is not None:
            self.terminal.say(f"this checkout was at {before}: its machines came along")

    def _finish(self, steps: Sequence[Step], chosen: Accelerator, prepare: Prepare) -> None:
        """Boot what has to be booted, and wait until both machines can be used."""
        actions = {step.action for step in steps}
        if actions & {"create", "start"}:
            kind, boot_s = f"boot, {chosen.name}", 25 if chosen.name == "kvm" else 70
            with self.terminal.step("boot, set up, build", expect_s=boot_s, kind=kind):
                answered = self._booting().boot(lambda: self._boot(steps), prepare)
            self.project.note_boot(answered)
        if actions & {"restore", "resume"} or self.project.is_waking():
            self._booting().wake_or_prepare(self.config.network, prepare)
            self.project.note_resumed()
        if "set up" in actions:
            with self.terminal.step("set up, build", expect_s=5):
                self._booting().prepare(prepare)

    def _boot(self, steps: Sequence[Step]) -> None:
        """Boot what is there and does not run, then make and boot what is missing."""
        for_each([r for step in steps if step.action == "start" for r in step.roles], "start",
                 self.domains)  # fmt: skip
        if any(step.action == "create" for step in steps):
            self.provider.create()

    def planned(self, stamp: Mapping[str, Any]) -> list[str]:
        """Return what `up` would do, a line each; nothing is done."""
        box = self.boxes.find()
        if box is None:
            return ["build box: that of today's recipe is not there",
                    "create client and server: on the new box"]  # fmt: skip
        chosen = accelerator.choose(self.config.machines.accelerator, self.account, box)
        steps, _ = self._planning.plan(box, chosen, stamp)
        return [*ending(self.project), *map(str, steps)]

    def _remove(self, roles: Sequence[str]) -> None:
        with self.terminal.step(f"remove {' and '.join(roles)}", expect_s=1):
            for_each(list(roles), "remove", self.domains)
            for role in roles:
                self.vagrant.forget(role)

    def _make_room(self, wanted: Mapping[str, Any], box: Box) -> None:
        """Prepare what new machines need: memory, settings, the pool, the provider's box."""
        demand_memory(self.config.machines)
        self.terminal.say(f"provider: {wanted['provider']}: {wanted['provider_reason']}")
        self.project.stage(wanted)
        self.domains.ensure_pool(pool := Path(wanted["pool"]["path"]))
        if not self.provider.has_box(box.name):
            with self.terminal.step("check and unpack the box", expect_s=5):
                self.boxes.verify(box)
                self.provider.add_box(box.name, box.box)
        delete_broken_copies(self.vagrant, self.domains, pool, box.name, self.terminal)

    def _booting(self) -> Booting:
        limit_s = self.config.machines.boot_timeout_s
        return Booting(self._unconnected(), self.project, self.terminal, limit_s)

    def guests(self) -> dict[str, Guest]:
        """Return both guests, connected; raises MachineError when they are not up."""
        end_left(self.project, self.terminal)
        states = self.states()
        waking = ", not set right since" if self.project.is_waking() else ""
        if waking or not all(state == RUNNING for state in states.values()):
            said = ", ".join(f"{role} {state}" for role, state in states.items()) + waking
            raise MachineError(f"the machines are not up ({said})", hint="run `testbed up` first")
        self._claim()
        guests, limit_s = self._unconnected(), self.config.machines.boot_timeout_s
        with ThreadPoolExecutor(len(guests)) as pool, closed_on_failure(guests):
            list(pool.map(lambda guest: guest.connect(limit_s), guests.values()))
        return guests

    def _unconnected(self) -> dict[str, Guest]:
        current = self.project.settings()
        if current is None:
            raise MachineError("the machines are not up", hint="run `testbed up` first")
        return machines_json.guests_of(current)

    def down(self, how: Literal["save", "halt", "destroy"]) -> None:
        """Save both machines' state to disk, shut them down, or remove them with all they left.

        Raises HostError when there is no room for what is to be saved, and MachineError when
        something of a removed machine is still there.
        """
        end_left(self.project, self.terminal)
        looked = how == "destroy" or self.project.path.exists()
        states = settled(self.domains) if looked else {}
        demand_ours(self.project, self.domains, states)
        running = [role for role in ROLES if states.get(role) in ALIVE]
        if how == "destroy":
            known = self.project.settings()
            self._remove(ROLES)
            self.project.remove()
            if left := remains(self.account, self.domains, self.project.path, known):
                raise MachineError(
                    "some parts of the machines could not be removed",
                    hint="`testbed doctor --orphans` tells more",
                    detail="\n".join(left),
                )
            self.project.give_up_name()
        elif not running:
            said = ", ".join(f"{role} {state}" for role, state in self.states().items())
            self.terminal.say(f"nothing runs: {said}")
        elif how == "halt":
            with self.terminal.step("shut down", expect_s=60):
                for_each(running, "shut_down", self.domains)
        else:
            running = without_dead(running, self.states(), self.domains)
            demand_disk(self.account, self.project.settings() or {}, running)
            with self.terminal.step(f"save {' and '.join(running)}", expect_s=4):
                for_each(running, "save", self.domains)

    def states(self) -> dict[str, str]:
        """Return {role: state}, as Project.states."""
        return self.project.states(self.domains)

    def remove_boxes(self) -> list[str]:
        """Delete every box: the built ones, Vagrant's copies, libvirt's when unused; return what.

        Counting machines go, too. Raises MachineError while machines rest on one.
        """
        end_left(self.project, self.terminal)
        if self.domains.states():
            raise MachineError(
                "the machines still use the box", hint="run `testbed down --destroy` first"
            )
        gone = [*remove_counting(self.account), *map(str, self.boxes.remove())]
        self.domains.ensure_pool(self.account.data_dir / "pool")
        return [*gone, *self.vagrant.remove_boxes(), *self.domains.remove_box_images()]

    def accelerator(self) -> Accelerator:
        """Return what the running machines were started with."""
        return machines_json.accelerator_of(self.project.settings())

    def _accelerator(self, box: Box) -> Accelerator:
        with self.terminal.step("try KVM", expect_s=0.1):
            chosen = accelerator.choose(self.config.machines.accelerator, self.account, box)
        if chosen.name == "emulation" and self.project.settings() is None:
            self.terminal.warn(accelerator.emulating(chosen.reason))
        return chosen
