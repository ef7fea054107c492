# SPDX-License-Identifier: Apache-2.0
"""What nobody owns is found; what somebody owns, or may own, is left alone."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.hypervisor.session import Domain
from testbed.lab.machines.processes import Process
from testbed.lab.orphans import orphans
from testbed.lab.orphans.orphans import Inventory, Project, Scratch, Volume

DATA = Path("/data/testbed")
POOL = DATA / "pool"
PROJECTS = DATA / "projects"
LIVING, GONE, UNSAID = "0000bb", "0000cc", "0000dd"
IMAGE = POOL / "testbed-0123456789ab_vagrant_box_image_0_1_box.img"


def domain(name: str, folder: Path, *, running: bool = False, disk: Path | None = None) -> Domain:
    xml = f"<source path='{folder}/{name.partition('-')[2]}-console.log'/>"
    return Domain(name, running, False, f"{xml}<source file='{disk}'/>" if disk else xml)


def ours(id_: str, role: str = "client", **facts: Any) -> Domain:
    return domain(f"tb{id_}-{role}", PROJECTS / id_, **facts)


def process(guest: str, *words: str, uid: int = 1000, age_s: float = 9, pid: int = 7) -> Process:
    argv = ("qemu-system-x86_64", "-name", f"guest={guest},x=on", *words)
    return Process(pid, uid, "qemu-system-x86", argv, 1, age_s)


def disk(name: str, backing: Path | str = "") -> Volume:
    return Volume(POOL / name, str(backing))


THERE = Inventory(
    projects_dir=PROJECTS,
    pool=POOL,
    uid=1000,
    projects=(
        Project(LIVING, PROJECTS / LIVING, Path("/home/me/bed"), "living"),
        Project(GONE, PROJECTS / GONE, Path("/home/me/gone"), "gone"),
        Project(UNSAID, PROJECTS / UNSAID, None, "unknown"),
    ),
)


def found(**there: Any) -> dict[str, str]:
    """Return {name: why} of what may go, besides the project whose checkout is gone."""
    orphans_ = orphans.find(replace(THERE, **there))
    return {one.name: one.why for one in orphans_ if one.name != GONE}


def test_the_folder_of_a_checkout_that_is_gone() -> None:
    (only,) = orphans.find(THERE)
    assert (only.kind, only.name, only.path) == ("project", GONE, PROJECTS / GONE)
    assert only.why == "its checkout /home/me/gone is gone"
    assert [one.id for one in orphans.unknown(THERE)] == [UNSAID]


def test_machines_of_a_checkout_that_is_gone() -> None:
    domains = (ours(GONE), ours(GONE, "server", running=True))
    assert found(domains=domains) == dict.fromkeys(
        (f"tb{GONE}-client", f"tb{GONE}-server"), "its checkout /home/me/gone is gone"
    )
    running = {one.name: one.running for one in orphans.find(replace(THERE, domains=domains))}
    assert running[f"tb{GONE}-server"]
    assert not running[f"tb{GONE}-client"]


def test_machines_that_no_settings_know() -> None:
    assert found(domains=(ours("0000ee"),)) == {"tb0000ee-client": "no checkout's settings know it"}


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("id_", [LIVING, UNSAID])
def test_machines_of_a_living_checkout_are_left_alone(id_: str, running: bool) -> None:
    there = {
        "domains": (ours(id_, running=running, disk=POOL / f"tb{id_}-client.img"),),
        "volumes": (disk(f"tb{id_}-client.img"), disk(f"tb{id_}-server.img")),
        "saved": (Path(f"/save/tb{id_}-client.save"), Path(f"/save/tb{id_}-server.save")),
        "processes": (process(f"tb{id_}-server", f"{POOL}/x"),),
    }
    assert found(**there) == {}


@pytest.mark.parametrize(
    "theirs",
    [
        domain("debian", Path("/home/me")),
        domain(f"tb{GONE}-router", PROJECTS / GONE),
        domain(f"my-tb{GONE}-client", PROJECTS / GONE),
        domain(f"tb{GONE}-client", Path("/home/me")),  # the console of ours is in its project
        domain(f"tb{GONE}-client", PROJECTS / LIVING),
        Domain(f"tb{GONE}-client", False, False, "<domain/>"),
        Domain(f"tb{GONE}-client", False, False, ""),  # removed while it was looked at
    ],
    ids=lambda one: f"{one.name} {one.xml[:40]}",
)
def test_machines_that_are_not_ours_are_left_alone(theirs: Domain) -> None:
    assert found(domains=(theirs,)) == {}


def test_machines_of_another_data_folder_are_judged_by_that_one() -> None:
    far = Path("/elsewhere/testbed/projects") / GONE
    domains = (domain(f"tb{GONE}-client", far),)
    assert found(domains=domains) == {}
    assert found(domains=domains, elsewhere={far: "living"}) == {}
    assert found(domains=domains, elsewhere={far: "unknown"}) == {}
    assert found(domains=domains, elsewhere={far: "gone"}) == {f"tb{GONE}-client": f"{far} is gone"}


def test_a_process_without_a_machine() -> None:
    lost = process(f"tb{GONE}-client", f"file={POOL}/x")
    (name,) = found(processes=(lost,))
    assert name == f"tb{GONE}-client (7)"
    assert found(processes=(lost,), domains=(ours(GONE, running=False),)).keys() >= {name}


@pytest.mark.parametrize(
    "theirs",
    [
        process("debian", f"file={POOL}/x"),
        process(f"tb{GONE}-client", f"file={POOL}/x", uid=1001),  # another account's
        process(f"tb{GONE}-client", "file=/elsewhere/x"),  # another data folder's
        process(f"tb{LIVING}-client", f"file={POOL}/x"),
        process(f"tb{UNSAID}-client", f"file={POOL}/x"),
        replace(process(f"tb{GONE}-client", f"file={POOL}/x"), name="python3"),
    ],
    ids=lambda one: f"{one.guest} {one.uid} {one.name}",
)
def test_processes_that_are_not_ours_or_live_are_left_alone(theirs: Process) -> None:
    assert found(processes=(theirs,)) == {}


def test_a_process_that_libvirt_knows_is_no_orphan_by_itself() -> None:
    running = (ours(GONE, running=True),)
    there = found(processes=(process(f"tb{GONE}-client", f"{POOL}/x"),), domains=running)
    assert list(there) == [f"tb{GONE}-client"]  # the machine goes, its process with it


def test_trial_machines_whose_command_is_dead() -> None:
    trials = (process("testbed-doctor-41"), process("testbed-doctor-42", pid=8))
    assert found(processes=trials, ended=frozenset({42})) == {
        "testbed-doctor-42 (8)": "its command has ended"
    }
    log = "file:/tmp/testbed-kvm-x.log"
    kvm = replace(process("", "-serial", log), words=("qemu-system-x86_64", "-serial", log))
    assert found(processes=(kvm,)) == {}
    assert len(found(processes=(replace(kvm, age_s=2 * orphans.OLD_S),))) == 1


def test_saved_states_without_a_machine() -> None:
    saves = tuple(Path(f"/save/{name}.save") for name in (
        f"tb{GONE}-client", "debian", f"tb{LIVING}-client", f"tb{GONE}-router",
    ))  # fmt: skip
    assert list(found(saved=saves)) == [f"tb{GONE}-client.save"]
    assert f"tb{GONE}-client.save" not in found(saved=saves, domains=(ours(GONE),))


def test_disks_that_no_machine_uses() -> None:
    lost = disk(f"tb{GONE}-client.img", IMAGE)
    assert list(found(volumes=(lost,))) == [lost.path.name]
    assert list(found(volumes=(disk("tb0000ee-client.img"),))) == ["tb0000ee-client.img"]
    assert found(volumes=(lost,), domains=(domain("debian", Path("/h"), disk=lost.path),)) == {}
    goes_too = (ours(GONE, disk=lost.path),)
    assert list(found(volumes=(lost,), domains=goes_too)) == [f"tb{GONE}-client", lost.path.name]


@pytest.mark.parametrize(
    "name",
    ["debian.img", f"tb{GONE}-router.img", f"tb{GONE}-client.iso", f"tb{LIVING}-client.img",
     f"tb{UNSAID}-client.img", f"tb{LIVING}-server.img", "testbed-0123_vagrant_box_image_0.img"],
)  # fmt: skip
def test_disks_that_are_not_ours_or_live_are_left_alone(name: str) -> None:
    assert found(volumes=(disk(name),)) == {}


def test_images_of_boxes_that_nothing_rests_on() -> None:
    image = Volume(IMAGE, "")
    assert found(volumes=(image,)) == {IMAGE.name: "no machine and no box uses it"}
    assert found(volumes=(image,), boxes=frozenset({"testbed-0123456789ab"})) == {}
    assert found(volumes=(image,), domains=(domain("debian", Path("/h"), disk=IMAGE),)) == {}
    rests = disk(f"tb{LIVING}-client.img", IMAGE)
    assert found(volumes=(image, rests)) == {}
    assert found(volumes=(image, disk("debian.img", IMAGE))) == {}
    assert found(volumes=(image, Volume(POOL / "debian.img", "", readable=False))) == {}
    goes_too = disk(f"tb{GONE}-client.img", IMAGE)
    assert list(found(volumes=(image, goes_too))) == [goes_too.path.name, IMAGE.name]


def test_builds_that_were_killed() -> None:
    old = 2 * orphans.OLD_S
    builds = (
        Scratch(Path("/var/tmp/testbed-box-a"), old, held=False),
        Scratch(Path("/var/tmp/testbed-box-b"), old, held=True),
        Scratch(Path("/var/tmp/testbed-box-c"), 60, held=False),
    )
    assert list(found(scratch=builds)) == ["testbed-box-a"]


def test_what_rests_on_another_goes_first() -> None:
    there = replace(
        THERE,
        domains=(ours(GONE),),
        volumes=(Volume(IMAGE, ""), disk(f"tb{GONE}-client.img", IMAGE)),
        saved=(Path(f"/save/tb{GONE}-server.save"),),
        scratch=(Scratch(Path("/var/tmp/testbed-box-a"), 1e6, held=False),),
    )
    kinds = [one.kind for one in orphans.find(there)]
    assert kinds == ["machine", "saved state", "disk", "disk", "project", "build"]
