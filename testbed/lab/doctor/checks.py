# SPDX-License-Identifier: Apache-2.0
"""The list of checks: what each reads, and which function judges it."""

import contextlib
import json
import platform
import shutil
from pathlib import Path
from typing import Any

from testbed.edge.computer import user_namespaces
from testbed.edge.computer.account import Account
from testbed.edge.computer.identity import checkout_of
from testbed.edge.hypervisor.libvirt import URI
from testbed.edge.hypervisor.session import Session
from testbed.lab.doctor import hardware, programs, quiet, reading, rights, sockets, standing
from testbed.lab.doctor.diagnosis import Diagnosis
from testbed.lab.doctor.survey import Check, Surroundings, user
from testbed.lab.machines import accelerator, box
from testbed.lab.machines.free_space import machines_mb
from testbed.lab.machines.processes import Process
from testbed.lab.machines.project import ROLES
from testbed.lab.orphans import inventory, orphans
from testbed.model.config import FILE_NAME
from testbed.model.errors import HostError, TooSlow

KVM_LIMIT_S = 5.0
"""A kernel on KVM gets to its first process in about a second; `up` waits longer."""
DATA_BYTES = (500 * 10**6, 2 * 10**9)
"""Bytes that must be free, and that would do: the box is unpacked twice (0.6 GB), disks grow."""
RESULTS_BYTES = (50 * 10**6, 500 * 10**6)
"""The same for runs: the sample with its 15 trials has 2.5 MB."""


def _configuration(at: Surroundings) -> list[Diagnosis]:
    path = at.checkout / FILE_NAME
    wrong = at.complaint
    return [
        standing.configuration(
            path, wrong.message if wrong else None, wrong.hint if wrong else "", there=path.exists()
        )
    ]


def _processor(at: Surroundings) -> list[Diagnosis]:
    machines = at.config.machines
    return [
        hardware.platform(platform.machine()),
        hardware.virtualisation(reading.cpu_flags()),
        hardware.cores(reading.cores(), machines.server.cpus, machines.client.cpus),
    ]


def _kvm(at: Surroundings) -> list[Diagnosis]:
    wanted = at.config.machines.accelerator
    if wanted == "emulation":
        return [hardware.kvm_not_wanted()]
    if (why := accelerator.no_device()) is not None:
        return [hardware.no_device(wanted, why)]
    if (why := accelerator.no_right(at.account)) is not None:
        return [hardware.no_right(wanted, why, at.who, roots=at.account.name is not None)]
    if at.box is None:
        return [hardware.untried_kvm()]
    known = accelerator.recall(at.account, at.box)
    if known is None:
        try:
            known = accelerator.try_boot(
                at.account, at.box, silence_s=KVM_LIMIT_S, limit_s=KVM_LIMIT_S
            )
        except accelerator.StillBooting:
            return [hardware.slow_kvm(KVM_LIMIT_S)]
    return [hardware.tried_kvm(wanted, known or None, at.who)]


def _memory(at: Surroundings) -> list[Diagnosis]:
    total_mb, available_mb = reading.memory_mb()
    needed_mb = machines_mb(at.config.machines)
    return [hardware.memory(total_mb, available_mb, needed_mb, len(at.own))]


def _disks(at: Surroundings) -> list[Diagnosis]:
    fix = "free some room there"
    data, scratch = _existing(at.account.data_dir), _existing(box.scratch_dir())
    building = (box.BUILD_BYTES, box.BUILD_BYTES) if at.box is None else (0, 0)
    results = _existing(at.checkout / "results")
    return [
        _disk("disk: data", data, max(building, DATA_BYTES), fix),
        _disk("disk: scratch", scratch, building, f"{fix}, or point TMPDIR at a larger disk"),
        _disk("disk: results", results, RESULTS_BYTES, f"{fix}; `testbed runs` lists the runs"),
    ]


def _disk(name: str, place: Path, limits: tuple[int, int], fix: str) -> Diagnosis:
    free = shutil.disk_usage(place).free
    return hardware.disk(name, place, free, needed=limits[0], comfortable=limits[1], fix=fix)


def _account(_: Surroundings) -> list[Diagnosis]:
    try:
        return [rights.account(Account.current().name, user())]
    except HostError as error:
        return [rights.no_account(error.message)]


def _user_ids(at: Surroundings) -> list[Diagnosis]:
    texts = [reading.text(Path("/etc") / name) for name in ("subuid", "subgid")]
    return [rights.user_ids(at.who, at.account.uid, *texts)]


def _namespaces(at: Surroundings) -> list[Diagnosis]:
    refused = programs.refused_namespace(at.account)
    return [rights.namespaces(refused, user_namespaces.hindrance())]


def _folders(at: Surroundings) -> list[Diagnosis]:
    data = _existing(at.account.data_dir)
    mine = [_existing(at.checkout / name) for name in ("results", ".testbed")]
    refused = next((path for path in mine if not programs.i_may_write(path)), None)
    return [
        rights.writable("data folder", data, at.who, may=programs.may_write(at.account, data)),
        rights.writable("checkout", refused or at.checkout, user(), may=refused is None),
    ]


def _key(at: Surroundings) -> list[Diagnosis]:
    path = at.boxes.private_key
    try:
        facts = path.stat()
    except FileNotFoundError:
        return [rights.no_key(path)]
    public = path.with_suffix(".pub").exists()
    return [rights.key(path, facts.st_uid, facts.st_mode, at.account.uid, public=public)]


def _box(at: Surroundings) -> list[Diagnosis]:
    if at.box is None:
        built = (at.account.data_dir / "boxes").glob("*/box.json")
        return [standing.no_box(sum(1 for _ in built))]
    there = at.box.box.stat().st_size
    return [standing.box(at.box.name, at.box.sha256, at.box.size_bytes, there)]


def _session(at: Surroundings) -> list[Diagnosis]:
    try:
        return [standing.session(Session(at.account).version(), at.who, "")]
    except TooSlow:
        raise  # it answers late, which is another thing than not at all
    except HostError as error:
        return [standing.session(None, at.who, error.detail or error.message)]


def _sockets(at: Surroundings) -> list[Diagnosis]:
    complaint = ""
    try:
        at.account.ensure_session()
    except HostError as error:
        complaint = error.detail
    by_hand = at.account.typed(["virsh", "-c", URI, "list", "--all"])
    return [standing.sockets(at.account.session, complaint, by_hand)]


def _ports(at: Surroundings) -> list[Diagnosis]:
    recorded = []
    machines = _json(at.account.project_dir(at.checkout) / "machines.json").get("machines", {})
    for kind, use, key in (("tcp", "SSH", "ssh_port"), ("udp", "link", "local_port")):
        numbers = {role: int(machines[role][key]) for role in ROLES if role in machines}
        holders = sockets.holders(kind, numbers.values())
        for role, number in numbers.items():
            machine = at.own.get(role)
            holder = holders.get(number) or sockets.Holder(0, "")
            recorded.append(
                standing.Port(
                    number,
                    use,
                    role,
                    machine.pid if machine else None,
                    number in holders,
                    holder.pid,
                    holder.name,
                )
            )
    return [standing.ports(recorded)]


def _lock(at: Surroundings) -> list[Diagnosis]:
    note = _json(at.checkout / ".testbed/lock.json")
    held_by = reading.lock_owner(at.checkout / ".testbed/lock")
    return [standing.lock(note.get("verb"), note.get("pid"), held_by)]


def _power(_: Surroundings) -> list[Diagnosis]:
    return [quiet.power(reading.supplies()), quiet.governor(*reading.governors())]


def _others(at: Surroundings) -> list[Diagnosis]:
    mine = {process.pid for process in at.own.values()}
    return [quiet.others([_other(at, one) for one in at.running if one.pid not in mine])]


def _other(at: Surroundings, process: Process) -> quiet.Other:
    checkout = None
    name = orphans.MACHINE.fullmatch(process.guest)
    if name is not None:
        with contextlib.suppress(HostError):  # without an account, no folder tells
            checkout = checkout_of(at.account.projects_dir / name[1])
    return quiet.Other(process.guest, process.pid, name is not None, checkout)


def _leftovers(at: Surroundings) -> list[Diagnosis]:
    return [standing.leftovers(len(orphans.find(inventory.take(at.account))))]


CHECKS: dict[str, Check] = {
    "testbed.toml": _configuration,
    "processor": _processor,
    "KVM": _kvm,
    "memory": _memory,
    "disk": _disks,
    "tools": programs.tools,
    "account": _account,
    "user ids": _user_ids,
    "user namespaces": _namespaces,
    "folders": _folders,
    "ssh key": _key,
    "libvirt sockets": _sockets,
    "libvirt session": _session,
    "box": _box,
    "ports": _ports,
    "lock": _lock,
    "power": _power,
    "other machines": _others,
    "leftovers": _leftovers,
}
"""In the order of the table; the name stands in a line only where a check itself fails."""


def _existing(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def _json(path: Path) -> dict[str, Any]:
    """Return a JSON file's object, empty where there is none to be read."""
    try:
        value = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
