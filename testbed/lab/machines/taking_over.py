# SPDX-License-Identifier: Apache-2.0
"""Half of what a killed command began: ended, waited for, or deleted before work goes on."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from testbed.edge.hypervisor.libvirt import URI, Domains, for_each
from testbed.edge.hypervisor.states import PANICKED, PAUSED
from testbed.edge.hypervisor.vagrant import Vagrant
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines.project import Project
from testbed.model.errors import MachineError

SAVING_LIMIT_S = 300
"""libvirt writes a machine's memory within seconds, on a slow disk within minutes."""
COPY_LIMIT_S = 120
STILL_S = 3.0
"""A copy of the box that has not grown for so long is nobody's work any more."""
TAIL_BYTES = 1 << 20


def end_left(project: Project, terminal: Terminal) -> None:
    """End what outlived its command, as Vagrant may: it would go on with the same machines.

    Its work so far is looked at afterwards, as anything else that is found.
    """
    found = project.left()
    if found is None:
        return
    what = f"`{found.what}` (process {found.process.pid})"
    terminal.warn(f"{what} still ran for a command that was killed: it is ended now")
    with terminal.step(f"end `{found.what}`", expect_s=5):
        found.end()


def ending(project: Project) -> list[str]:
    """Return what `end_left` would do, as a line of a plan; no line where that is nothing."""
    found = project.left()
    return [f"end `{found.what}`: the command that started it was killed"] if found else []


def settled(domains: Domains) -> Mapping[str, str]:
    """Return the machines' states once libvirt has ended what it was asked to do with them.

    While it saves or restores a machine, that one is `paused`.
    """
    states = domains.states()
    deadline = time.monotonic() + SAVING_LIMIT_S
    while (
        any(state == PAUSED and domains.is_busy(role) for role, state in states.items())
        and time.monotonic() < deadline
    ):
        time.sleep(0.5)
        states = domains.states()
    return states


def demand_ours(project: Project, domains: Domains, roles: Iterable[str]) -> None:
    """Raise MachineError where a machine has the name of ours and was made by somebody else."""
    for role in domains.strangers(roles, project.path):
        name = domains.prefix + role
        undefine = project.account.typed(["virsh", "-c", URI, "undefine", name, "--managed-save"])
        raise MachineError(
            f"libvirt has a machine {name} that testbed did not make: it is left alone",
            hint=f"if nobody needs it, end it and `{undefine}`; then run this again",
        )


def without_dead(running: Sequence[str], states: Mapping[str, str], domains: Domains) -> list[str]:
    """End machines whose kernel has panicked, which nobody wants saved; return the others."""
    dead = [role for role in running if states[role] == PANICKED]
    for_each(dead, "stop", domains)
    return [role for role in running if role not in dead]


def delete_broken_copies(
    vagrant: Vagrant, domains: Domains, pool: Path, box_name: str, terminal: Terminal
) -> None:
    """Delete the pool's copies of a box that are not what Vagrant holds, and say so."""
    if (image := vagrant.box_image(box_name)) is not None:
        for name in broken_copies(pool, box_name, image):
            terminal.warn(f"{name} was cut off when it was copied: it is made again")
            domains.remove_volume(name)


def broken_copies(pool: Path, box_name: str, image: Path) -> list[str]:
    """Return the names of the pool's copies of a box that were cut off on their way in.

    Vagrant takes a copy for whole once it has its name, and machines would not boot from half of
    one. Another checkout may be copying: as long as a copy grows it is waited for.
    """
    copies = sorted(pool.glob(f"{box_name}_vagrant_box_image_*.img"))
    return [copy.name for copy in copies if not _becomes_whole(copy, image)]


def _becomes_whole(copy: Path, image: Path) -> bool:
    deadline = time.monotonic() + COPY_LIMIT_S
    try:
        while not _same_end(copy, image):
            still_s = time.time() - copy.stat().st_mtime
            if still_s > STILL_S or time.monotonic() > deadline:
                return False
            time.sleep(0.2)
    except FileNotFoundError:  # deleted meanwhile, so it is made again
        return True
    return True


def _same_end(copy: Path, image: Path) -> bool:
    """Whether two files have one length and one end: copies are written from the beginning on."""
    length = image.stat().st_size
    if copy.stat().st_size != length:
        return False
    with copy.open("rb") as one, image.open("rb") as other:
        for file in (one, other):
            file.seek(max(0, length - TAIL_BYTES))
        return one.read() == other.read()
