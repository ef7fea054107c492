# SPDX-License-Identifier: Apache-2.0
"""libvirt, through virsh: what the machines' domains and disks are, and all that is done with them.

Every call runs as the account that owns the machines, in its own session daemon, which starts
when it is asked something and ends by itself.
"""

import contextlib
import json
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.states import ALIVE, OFF, RUNNING, SAVED, known
from testbed.model.errors import HostError, MachineError

URI = "qemu:///session"
ANSWER_LIMIT_S = 10
"""A guest's own agent answers within a tenth of a second, or it is not there."""
SHUT_DOWN_LIMIT_S = 180
"""A guest that has not shut down by then is ended. Emulated, on a computer with three other pairs,
it took more than a minute; and its file system has no journal.
"""
POWER_OFF = json.dumps(
    {"execute": "guest-exec", "arguments": {"path": "/bin/systemctl", "arg": ["poweroff"]}}
)
"""The agent's guest-shutdown runs `shutdown +0`, which does nothing in a box without D-Bus."""
BOX_IMAGE = re.compile(
    r"(testbed-[0-9a-f]{12})_(?:vagrant_box_image_[\w.-]+|box_[0-9a-f]{12})\.img"
)
"""A box's image in the pool: Vagrant's copy, or that of `plain_libvirt`."""
BUSY_LIMIT_S = 300
"""As long as `virsh managedsave` itself may take."""


@dataclass(frozen=True)
class Domains:
    """This project's domains, those whose names begin with `prefix`, by what follows it: the role.

    Every method raises HostError when libvirt does not answer or refuses.
    """

    account: Account
    prefix: str
    pool: str = "testbed"

    def states(self) -> dict[str, str]:
        """Return {role: state}, in libvirt's words; `saved` for one whose state is on disk.

        Raises MachineError for a state that is not among the known ones.
        """
        states = {}
        for line in self._virsh("list", "--all", "--managed-save").splitlines():
            words = line.split(None, 2)
            if len(words) == 3 and words[1].startswith(self.prefix):
                states[words[1].removeprefix(self.prefix)] = known(words[1], words[2].strip())
        return states

    def is_busy(self, role: str) -> bool:
        """Whether libvirt is at work on a machine, as when it saves or restores it."""
        try:
            said = self._virsh("domjobinfo", self.prefix + role)
        except HostError:  # it has ended, and so has the work
            return False
        return re.search(r"^Job type:\s+(Bounded|Unbounded)\b", said, re.MULTILINE) is not None

    def define(self, disk: Path, machine: Path) -> None:
        """Make a machine's disk, and then the machine, from their definitions in files."""
        self._virsh("vol-create", self.pool, str(disk))
        self._virsh("define", str(machine))

    def strangers(self, roles: Iterable[str], folder: Path) -> list[str]:
        """Return the roles whose machine does not write its console into `folder`: not ours."""
        every = list(roles)
        with ThreadPoolExecutor(len(every) or 1) as pool:
            consoles = list(pool.map(self._console, every))
        return [
            role
            for role, path in zip(every, consoles, strict=True)
            if path != str(folder / f"{role}-console.log")
        ]

    def _console(self, role: str) -> str | None:
        """Return the file that a machine's definition writes the console to, if there is one."""
        root = ET.fromstring(self._virsh("dumpxml", "--inactive", self.prefix + role))
        source = root.find("devices/serial/source")
        return None if source is None else source.get("path")

    def save(self, role: str) -> None:
        """Write a running machine's state to disk and end it."""
        self._virsh("managedsave", self.prefix + role, timeout_s=300)

    def start(self, role: str) -> None:
        """Start a machine: from its saved state, where it has one."""
        self._virsh("start", self.prefix + role, timeout_s=120)

    def resume(self, role: str) -> None:
        """Let a paused machine go on."""
        self._virsh("resume", self.prefix + role)

    def stop(self, role: str) -> None:
        """End a running machine at once, as pulling its plug would."""
        self._virsh("destroy", self.prefix + role)

    def shut_down(self, role: str) -> None:
        """Let a running machine shut itself down; end it after SHUT_DOWN_LIMIT_S."""
        name = self.prefix + role
        deadline = time.monotonic() + SHUT_DOWN_LIMIT_S
        try:
            self._virsh("qemu-agent-command", "--timeout", str(ANSWER_LIMIT_S), name, POWER_OFF)
        except HostError:  # its agent is gone: the power button is left
            with contextlib.suppress(HostError):
                self._virsh("shutdown", name, "--mode", "acpi")
        while self.states().get(role) in ALIVE:
            if time.monotonic() > deadline:
                self.stop(role)
            time.sleep(0.2)

    def host_name(self, role: str) -> str | None:
        """Return the name that a running machine gives itself, None when it does not answer.

        This asks the guest's agent over its own serial line: no login, a tenth of a second.
        """
        ask = json.dumps({"execute": "guest-get-host-name"})
        limit = ("--timeout", str(ANSWER_LIMIT_S))
        try:
            said = self._virsh("qemu-agent-command", *limit, self.prefix + role, ask)
            return str(json.loads(said)["return"]["host-name"])
        except (HostError, ValueError, KeyError, TypeError):
            return None

    def host_names(self, roles: Sequence[str]) -> dict[str, str | None]:
        """Return `host_name` of several running machines, asked side by side."""
        with ThreadPoolExecutor(len(roles)) as pool:
            return dict(zip(roles, pool.map(self.host_name, roles), strict=True))

    def disks(self, roles: Sequence[str]) -> frozenset[str]:
        """Return the roles that there is a disk of."""
        names = [name.removeprefix(self.prefix) for name in self.volumes()]
        return frozenset(role for role in roles if any(name.startswith(role) for name in names))

    def remove(self, role: str) -> None:
        """End a machine and forget it, its saved state and its disk included."""
        name = self.prefix + role
        if self.states().get(role) not in (None, OFF, SAVED):
            with contextlib.suppress(HostError):  # it may have ended by itself meanwhile
                self._virsh("destroy", name)
        if role in self.states():
            self._virsh("undefine", "--managed-save", "--snapshots-metadata", name)
        self.remove_disk(role)

    def remove_disk(self, role: str) -> None:
        """Delete what there is of a machine's disk."""
        for volume in self.volumes():
            if volume.startswith(self.prefix + role):
                self._virsh("vol-delete", volume, "--pool", self.pool)

    def remove_volume(self, name: str) -> None:
        """Delete one volume of the pool."""
        self._virsh("vol-delete", name, "--pool", self.pool)

    def volumes(self) -> list[str]:
        """Return the names of this project's disks; none where there is no pool."""
        if self.pool not in self._virsh("pool-list", "--name").split():
            return []
        return [name for name in self._volumes() if name.startswith(self.prefix)]

    def _volumes(self) -> Iterator[str]:
        for line in self._virsh("vol-list", self.pool).splitlines():
            if words := line.split():
                yield words[0]

    def ensure_pool(self, path: Path) -> None:
        """Make sure that libvirt knows the storage pool for the machines' disks, and runs it.

        Files that came or went behind libvirt's back are noticed.
        """
        if self.pool not in self._virsh("pool-list", "--all", "--name").split():
            self._virsh("pool-define-as", self.pool, "dir", "--target", str(path))
        if self.pool not in self._virsh("pool-list", "--name").split():
            self._virsh("pool-start", self.pool)
        else:
            self._virsh("pool-refresh", self.pool)

    def remove_box_images(self) -> list[str]:
        """Delete the pool's copies of boxes that no disk rests on; return their names."""
        names = list(self._volumes())
        xml = {name: self._virsh("vol-dumpxml", name, "--pool", self.pool) for name in names}
        gone = []
        for name in names:
            used = any(f"/{name}</path>" in text for other, text in xml.items() if other != name)
            if BOX_IMAGE.fullmatch(name) and not used:
                self._virsh("vol-delete", name, "--pool", self.pool)
                gone.append(name)
        return gone

    def versions(self) -> dict[str, str]:
        """Return libvirt's and QEMU's versions."""
        words = self._virsh("version", "--daemon").splitlines()
        facts = dict(line.split(": ", 1) for line in words if ": " in line)
        return {
            "libvirt": facts.get("Using library", "?"),
            "qemu": facts.get("Running hypervisor", "?"),
        }

    def _virsh(self, *argv: str, timeout_s: float = 60) -> str:
        return virsh(self.account, argv, timeout_s)


def virsh(account: Account, argv: Sequence[str], timeout_s: float) -> str:
    """Run virsh in the account's session; return what it prints."""
    tool = host.find("virsh", package="libvirt-clients")
    account.ensure_session()
    command = account.command([tool, "-q", "-c", URI, *argv])
    environment = account.environment()
    return host.run(command, environment=environment, timeout_s=timeout_s, cwd=Path("/")).stdout


def for_each(roles: list[str], action: str, domains: Domains) -> None:
    """Do the same to several machines side by side; raises MachineError with libvirt's words.

    A failure is none where the machine is as it should be: a command that was killed had begun
    the same, and libvirt has ended it.
    """
    with ThreadPoolExecutor(len(roles) or 1) as pool:
        begun = {role: pool.submit(getattr(domains, action), role) for role in roles}
    for role, done in begun.items():
        error = done.exception()
        if isinstance(error, HostError):
            if action in GOAL and _reached(domains, role, action):
                continue
            raise MachineError(
                f"the {role} could not be {PAST[action]}",
                hint="libvirt's words are above; `testbed down --destroy` and `testbed up` start "
                "afresh",
                detail=error.detail or error.message,
            ) from error
        if error is not None:
            raise error


def _reached(domains: Domains, role: str, action: str) -> bool:
    """Whether a machine is what an action makes of it, once libvirt has no work with it."""
    deadline = time.monotonic() + BUSY_LIMIT_S
    while domains.is_busy(role) and time.monotonic() < deadline:
        time.sleep(0.5)
    return domains.states().get(role) == GOAL[action]


GOAL = {"save": SAVED, "start": RUNNING, "resume": RUNNING, "shut_down": OFF}
PAST = {"save": "saved", "start": "started", "resume": "resumed", "stop": "stopped",
        "remove": "removed", "shut_down": "shut down"}  # fmt: skip
