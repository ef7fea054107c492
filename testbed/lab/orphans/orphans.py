# SPDX-License-Identifier: Apache-2.0
"""Things of the testbed's own that no living checkout owns. Pure.

Whatever is not certain is left alone: a thing is an orphan only if it is ours by its name and
place, and its checkout is known to be gone.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from testbed.edge.computer.lasting import Lasting
from testbed.edge.hypervisor.libvirt import BOX_IMAGE
from testbed.edge.hypervisor.session import Domain
from testbed.lab.machines.processes import Process

MACHINE = re.compile(r"tb([0-9a-f]{6})-(client|server)")
DISK = re.compile(r"tb([0-9a-f]{6})-(client|server)[\w.-]*\.img")
CONSOLE = re.compile(r"<source path='([^']*)/(?:client|server)-console\.log'")
COMMANDS_GUEST = re.compile(r"testbed-(?:doctor|count)-(\d+)")
"""A trial machine of `doctor`, or a counting machine: it ends with the command that it names."""
TRIAL_LOG = re.compile(r"file:.*/testbed-kvm-[^/]*\.log")
OLD_S = 3600.0
"""A half-built box older than this is no build in progress: a build takes minutes."""

Fate = Literal["living", "gone", "unknown"]
"""A checkout's fate. `unknown`: an older version recorded none, or it may not be looked at."""
Kind = Literal["machine", "process", "saved state", "disk", "project", "build"]


@dataclass(frozen=True)
class Project:
    """A folder of a checkout's machines; `checkout` is None where it is not recorded."""

    id: str
    folder: Path
    checkout: Path | None
    fate: Fate


@dataclass(frozen=True)
class Volume:
    """A file of the pool; `backing` is the image below it, `readable` whether that is known."""

    path: Path
    backing: str
    readable: bool = True


@dataclass(frozen=True)
class Scratch:
    """A folder of a box's build; `held`: a build that runs says so."""

    path: Path
    age_s: float
    held: bool


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Everything that may be ours."""

    projects_dir: Path
    pool: Path
    uid: int
    projects: tuple[Project, ...] = ()
    elsewhere: Mapping[Path, Fate] = field(default_factory=dict)
    """Project folders outside `projects_dir` that machines name, as with another data folder."""
    domains: tuple[Domain, ...] = ()
    processes: tuple[Process, ...] = ()
    outlived: tuple[Lasting, ...] = ()
    """Commands that run though the command that started them was killed."""
    ended: frozenset[int] = frozenset()
    """Ids of commands that such a guest names and that run no more."""
    saved: tuple[Path, ...] = ()
    volumes: tuple[Volume, ...] = ()
    boxes: frozenset[str] = frozenset()
    """Boxes that are built, or that Vagrant holds."""
    scratch: tuple[Scratch, ...] = ()


@dataclass(frozen=True)
class Orphan:
    """One thing that may go, and why."""

    kind: Kind
    name: str
    why: str
    path: Path | None = None
    process: Process | None = None
    running: bool = False
    outlived: Lasting | None = None


def find(there: Inventory) -> list[Orphan]:
    """Return what may be removed, in the order in which it can be."""
    machines = list(_machines(there))
    gone = {one.name for one in machines}
    return [
        *_outlived(there),
        *machines,
        *_processes(there),
        *_saved(there),
        *_disks(there, gone),
        *_projects(there),
        *_scratch(there),
    ]


def unknown(there: Inventory) -> list[Project]:
    """Return the projects of which nobody can tell whose they are."""
    return [one for one in there.projects if one.fate == "unknown"]


def _fate(there: Inventory, id_: str) -> tuple[Fate, str]:
    """Return what became of the checkout with this id, and how that is known.

    A checkout claims its folder before it makes anything else, and `down --destroy` removes the
    folder last: what has none belongs to nobody.
    """
    for project in there.projects:
        if project.id == id_:
            return project.fate, f"its checkout {project.checkout} is gone"
    return "gone", "no checkout's settings know it"


def _outlived(there: Inventory) -> Iterator[Orphan]:
    """Yield the programs at work on any machines: they have to end before the machines can go."""
    for one in there.outlived:
        name = f"{one.what} ({one.process.pid})"
        yield Orphan("process", name, "the command that started it was killed", outlived=one)


def _machines(there: Inventory) -> Iterator[Orphan]:
    for domain in there.domains:
        name = MACHINE.fullmatch(domain.name)
        console = CONSOLE.search(domain.xml)
        if name is None or console is None or Path(console[1]).name != name[1]:
            continue  # somebody else's: ours write their console into their project's folder
        folder = Path(console[1])
        if folder.parent == there.projects_dir:
            fate, why = _fate(there, name[1])
        else:
            fate, why = there.elsewhere.get(folder, "unknown"), f"{folder} is gone"
        if fate == "gone":
            yield Orphan("machine", domain.name, why, running=domain.running)


def _processes(there: Inventory) -> Iterator[Orphan]:
    """QEMU processes that libvirt does not know, and guests of a command that is dead."""
    running = {domain.name for domain in there.domains if domain.running}
    for process in there.processes:
        if process.uid != there.uid or not process.name.startswith("qemu-system-"):
            continue
        why = ""
        if (name := MACHINE.fullmatch(process.guest)) and process.guest not in running:
            if not any(f"{there.pool}/" in word for word in process.words):
                continue  # of another data folder, where its settings are
            fate, how = _fate(there, name[1])
            why = f"libvirt does not know it, and {how}" if fate == "gone" else ""
        elif owned := COMMANDS_GUEST.fullmatch(process.guest):
            why = "its command has ended" if int(owned[1]) in there.ended else ""
        elif any(TRIAL_LOG.fullmatch(word) for word in process.words) and process.age_s > OLD_S:
            why = "a trial of KVM that was never ended"
        if why:
            yield Orphan("process", f"{process.guest} ({process.pid})", why, process=process)


def _saved(there: Inventory) -> Iterator[Orphan]:
    """Saved states without a machine; a machine's own goes with it."""
    known = {domain.name for domain in there.domains}
    for path in there.saved:
        name = MACHINE.fullmatch(path.stem)
        if name is not None and path.stem not in known:
            fate, why = _fate(there, name[1])
            if fate == "gone":
                yield Orphan("saved state", path.name, why, path=path)


def _disks(there: Inventory, gone: set[str]) -> Iterator[Orphan]:
    definitions = [domain.xml for domain in there.domains if domain.name not in gone]
    kept = []
    for volume in there.volumes:
        name = DISK.fullmatch(volume.path.name)
        used = any(str(volume.path) in xml for xml in definitions)
        fate, why = _fate(there, name[1]) if name is not None else ("unknown", "")
        if fate == "gone" and not used:
            yield Orphan("disk", volume.path.name, why, path=volume.path)
        else:
            kept.append(volume)
    if all(volume.readable for volume in kept):
        rests_on = {volume.backing for volume in kept}
        for volume in kept:
            box = BOX_IMAGE.fullmatch(volume.path.name)
            used = any(str(volume.path) in xml for xml in definitions)
            if box and not used and box[1] not in there.boxes and str(volume.path) not in rests_on:
                yield Orphan(
                    "disk", volume.path.name, "no machine and no box uses it", path=volume.path
                )


def _projects(there: Inventory) -> Iterator[Orphan]:
    for project in there.projects:
        if project.fate == "gone":
            why = f"its checkout {project.checkout} is gone"
            yield Orphan("project", project.id, why, path=project.folder)


def _scratch(there: Inventory) -> Iterator[Orphan]:
    for one in there.scratch:
        if not one.held and one.age_s > OLD_S:
            yield Orphan("build", one.path.name, "a box's build that was killed", path=one.path)
