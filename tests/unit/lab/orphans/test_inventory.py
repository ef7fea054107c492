# SPDX-License-Identifier: Apache-2.0
"""Leftovers as they lie on a disk and in a pretended libvirt: each is seen as what it is."""

import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.computer.identity import CLAIM, checkout_of
from testbed.edge.hypervisor.session import Session
from testbed.lab.machines import box
from testbed.lab.machines.processes import Process
from testbed.lab.machines.project import Project
from testbed.lab.orphans import inventory, orphans
from testbed.lab.orphans.orphans import OLD_S
from tests.unit.factories.ids import project_id
from tests.unit.factories.left_over import GONE, LeftOver


def test_a_checkout_claims_the_folder_of_its_machines(account: Account, checkout: Path) -> None:
    mine = Project(account, checkout)
    mine.claim()
    written = (mine.path / CLAIM).stat()
    mine.claim()
    assert (mine.path / CLAIM).stat() == written
    assert checkout_of(mine.path) == checkout.resolve()
    assert inventory.fate(checkout, mine.path) == "living"


def test_the_session(there: LeftOver) -> None:
    there.define(GONE, running=True)
    session = Session(there.account)
    (only,) = session.domains()
    assert (only.name, only.running, only.saved) == (f"tb{GONE}-client", True, False)
    assert session.version() == "9.0.0"
    assert session.pool_folder("testbed") is None
    (there.folder / "pools").write_text("default\ntestbed\n")
    assert session.pool_folder("testbed") == there.pool


def test_an_image_of_a_box_that_is_built_is_no_leftover(there: LeftOver) -> None:
    """Machines that libvirt alone makes rest on it; Vagrant need not hold the box."""
    for recipe in ("0123456789ab", "ba9876543210"):
        (there.pool / f"testbed-{recipe}_box_00112233aabb.img").write_bytes(b"image")
    built = there.account.data_dir / "boxes/0123456789ab"
    built.mkdir()
    (built / "box.json").write_text("{}")
    found = orphans.find(inventory.take(there.account))
    assert [one.name for one in found] == ["testbed-ba9876543210_box_00112233aabb.img"]


def test_a_machine_that_vanishes_while_it_is_looked_at(there: LeftOver) -> None:
    (there.folder / "domains").write_text("tb0000cc-client\n")
    (only,) = Session(there.account).domains()
    assert only.xml == ""


@pytest.mark.parametrize(
    ("record", "fate"),
    [(None, "unknown"), ("relative", "unknown"), ("/nowhere/bed", "gone"), ("/", "gone"),
     ("/media/stick/bed", "unknown"), ("/etc/passwd/bed", "gone")],
)  # fmt: skip
def test_what_became_of_a_checkout(there: LeftOver, record: str | None, fate: str) -> None:
    there.claim(GONE, record)
    (only,) = inventory.take(there.account).projects
    assert only.fate == fate


def test_a_living_checkout_under_another_id_proves_nothing(there: LeftOver, checkout: Path) -> None:
    there.claim(GONE, checkout)
    there.claim(project_id(checkout), checkout)
    fates = {one.id: one.fate for one in inventory.take(there.account).projects}
    assert fates == {GONE: "unknown", project_id(checkout): "living"}


def test_a_checkout_that_may_not_be_looked_at(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    assert inventory.fate(checkout, checkout / GONE) == "unknown"


def test_projects_of_another_data_folder(tmp_path: Path, checkout: Path) -> None:
    far = tmp_path / "far/projects"
    assert inventory._far(far / GONE) == "unknown"  # perhaps a disk that is not there
    far.mkdir(parents=True)
    assert inventory._far(far / GONE) == "gone"
    (far / GONE).mkdir()
    assert inventory._far(far / GONE) == "unknown"
    (far / GONE / "checkout").write_text(str(checkout.with_name("no such checkout")))
    assert inventory._far(far / GONE) == "gone"


def test_what_a_disk_rests_on(tmp_path: Path) -> None:
    path = tmp_path / "disk.img"
    name = b"/pool/box.img"
    head = b"QFI\xfb" + (3).to_bytes(4, "big") + (64).to_bytes(8, "big")
    path.write_bytes((head + len(name).to_bytes(4, "big")).ljust(64, b"\0") + name + b"more")
    assert inventory._volume(path) == orphans.Volume(path, "/pool/box.img")
    path.write_bytes(b"QFI\xfb" + bytes(60))
    assert inventory._volume(path) == orphans.Volume(path, "")
    path.write_bytes(b"raw")
    assert inventory._volume(path) == orphans.Volume(path, "")
    path.unlink()
    assert inventory._volume(path) == orphans.Volume(path, "", readable=False)


def test_builds_in_progress_are_told_from_killed_ones(there: LeftOver) -> None:
    scratch = there.scratch
    for folder in (scratch / "testbed-box-a", scratch / "testbed-box-b", scratch / "other"):
        folder.mkdir()
    (scratch / "testbed-box-link").symlink_to(scratch / "other")
    (there.account.data_dir / "boxes/0123456789ab.00.new").mkdir()
    (there.account.data_dir / "boxes/0123456789ab").mkdir()
    long_ago = time.time() - 2 * OLD_S
    os.utime(scratch / "testbed-box-b", (long_ago, long_ago))
    with box.in_use(scratch / "testbed-box-a"):
        found = {one.path.name: one for one in inventory.take(there.account).scratch}
    assert set(found) == {"0123456789ab.00.new", "testbed-box-a", "testbed-box-b"}
    assert found["testbed-box-a"].held
    assert not found["testbed-box-b"].held
    assert found["testbed-box-b"].age_s > OLD_S > found["0123456789ab.00.new"].age_s
    assert not box.is_in_use(scratch / "testbed-box-a")


def test_a_trial_machine_names_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    argv = [("qemu", "-name", f"guest=testbed-doctor-{pid}") for pid in (os.getpid(), dead.pid)]
    running = [Process(7, 0, "qemu-system-x86", words, 2**60, 1) for words in argv]
    assert inventory._ended(running) == {dead.pid}
    before = [replace(one, started=1) for one in running]
    assert inventory._ended(before) == {dead.pid, os.getpid()}, "this one took the dead one's id"
