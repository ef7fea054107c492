# SPDX-License-Identifier: Apache-2.0
"""The things on this computer that may be the testbed's: for `orphans` to judge.

The newest things in a machine's life are read first and the checkouts last, so that a machine that
comes up meanwhile is never seen without the checkout that it belongs to.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from testbed.edge.computer import lasting
from testbed.edge.computer.account import Account
from testbed.edge.computer.identity import checkout_of, project_id
from testbed.edge.computer.lasting import NOTE, Lasting
from testbed.edge.hypervisor.session import Domain, Session
from testbed.lab.machines import box, processes
from testbed.lab.machines.processes import Process
from testbed.lab.orphans.orphans import (
    COMMANDS_GUEST,
    CONSOLE,
    Fate,
    Inventory,
    Project,
    Scratch,
    Volume,
)

MAGIC = b"QFI\xfb"
REMOVABLE = ("/media", "/run/media", "/mnt")
"""Where a missing folder may only be a disk that is not plugged in."""


def take(account: Account) -> Inventory:
    """Look at everything. Raises HostError when libvirt does not answer."""
    data = account.data_dir
    projects_dir = account.projects_dir
    scratch = _scratch(account)
    running = processes.machines()
    domains = Session(account).domains()
    return Inventory(
        projects_dir=projects_dir,
        pool=data / "pool",
        uid=account.uid,
        processes=tuple(running),
        outlived=tuple(_outlived(account)),
        ended=_ended(running),
        domains=tuple(domains),
        saved=tuple(sorted(account.session.saves.glob("tb*.save"))),
        volumes=tuple(_volumes(data / "pool")),
        boxes=frozenset(_boxes(data)),
        scratch=tuple(scratch),
        projects=tuple(_projects(projects_dir)),
        elsewhere=_elsewhere(domains, projects_dir),
    )


def _boxes(data: Path) -> Iterator[str]:
    """Yield the names of the boxes that machines can be made from: built ones, Vagrant's."""
    yield from (f"testbed-{path.parent.name}" for path in (data / "boxes").glob("*/box.json"))
    yield from (path.name for path in (data / "vagrant.d/boxes").glob("testbed-*"))


def _outlived(account: Account) -> Iterator[Lasting]:
    builds = box.scratch_dir().glob(f"{box.SCRATCH_PREFIX}*/{NOTE}")
    for note in sorted([*account.projects_dir.glob(f"*/{NOTE}"), *builds]):
        if (found := lasting.left(note, account)) is not None:
            yield found


def _projects(folder: Path) -> list[Project]:
    found = [path for path in folder.glob("[0-9a-f]*") if path.is_dir()]
    return [_project(path) for path in sorted(found)]


def _project(folder: Path) -> Project:
    checkout = checkout_of(folder)
    return Project(folder.name, folder, checkout, fate(checkout, folder))


def fate(checkout: Path | None, folder: Path) -> Fate:
    """Tell what became of the checkout that a project's folder was recorded for."""
    if checkout is None:
        return "unknown"
    try:
        (checkout / "Vagrantfile").stat()
    except (FileNotFoundError, NotADirectoryError):
        away = any(checkout.is_relative_to(place) for place in REMOVABLE)
        return "unknown" if away else "gone"
    except OSError:
        return "unknown"
    return "living" if project_id(checkout, folder.parent) == folder.name else "unknown"


def _elsewhere(domains: Iterable[Domain], projects_dir: Path) -> dict[Path, Fate]:
    """Return the fate of projects in other data folders, named by the machines' consoles."""
    named = {Path(found[1]) for one in domains if (found := CONSOLE.search(one.xml))}
    return {path: _far(path) for path in named if path.parent != projects_dir}


def _far(folder: Path) -> Fate:
    try:
        if folder.is_dir():
            return _project(folder).fate
        return "gone" if folder.parent.is_dir() else "unknown"
    except OSError:
        return "unknown"


def _ended(running: Sequence[Process]) -> frozenset[int]:
    named = ((process, COMMANDS_GUEST.fullmatch(process.guest)) for process in running)
    pids = {int(name[1]): process for process, name in named if name}
    return frozenset(pid for pid, process in pids.items() if not processes.is_older(pid, process))


def _volumes(pool: Path) -> list[Volume]:
    return [_volume(path) for path in sorted(pool.glob("*")) if path.is_file()]


def _volume(path: Path) -> Volume:
    """Return a disk with the image below it, which a qcow2 file's header names."""
    try:
        with path.open("rb") as file:
            header = file.read(20)
            offset, length = int.from_bytes(header[8:16], "big"), int.from_bytes(header[16:], "big")
            if header[:4] != MAGIC or offset == 0:
                return Volume(path, "")
            file.seek(offset)
            return Volume(path, file.read(min(length, 1023)).decode(errors="replace"))
    except OSError:
        return Volume(path, "", readable=False)


def _scratch(account: Account) -> list[Scratch]:
    """Return folders of builds: where they are made, and half-copied ones beside the boxes."""
    made = box.scratch_dir().glob(f"{box.SCRATCH_PREFIX}*")
    copied = (account.data_dir / "boxes").glob("*.new")
    owners = {account.uid, 0} if account.name is not None else {account.uid}
    return [
        Scratch(path, time.time() - _changed(path), box.is_in_use(path))
        for path in sorted([*made, *copied])
        if path.is_dir() and not path.is_symlink() and path.lstat().st_uid in owners
    ]


def _changed(folder: Path) -> float:
    """Return when a folder, or something right in it, was last changed."""
    return max(path.lstat().st_mtime for path in (folder, *folder.iterdir()))
