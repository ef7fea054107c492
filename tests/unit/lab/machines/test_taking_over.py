# SPDX-License-Identifier: Apache-2.0
"""Work that a killed command left half done is ended, waited for, or made again."""

import os
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.libvirt import Domains, for_each
from testbed.edge.hypervisor.vagrant import Vagrant
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines import taking_over
from testbed.lab.machines.project import Project
from testbed.lab.machines.taking_over import broken_copies, end_left, settled
from testbed.model.errors import HostError, MachineError

IMAGE = bytes(range(256)) * 10_000
COPY = "testbed-a_vagrant_box_image_0_1_box.img"


class Libvirt(Domains):
    """Domains whose states are told one after the other; each question takes one."""

    told: list[str]
    jobs: list[str]

    def _virsh(self, *argv: str, timeout_s: float = 60) -> str:
        if argv[0] == "list":
            state = self.told.pop(0) if len(self.told) > 1 else self.told[0]
            return f" 1   tb-client   {state}\n"
        if argv[0] == "domjobinfo":
            if not self.jobs:
                raise HostError("it is not running")
            return f"Job type:         {self.jobs.pop(0)}\n"
        raise HostError("exit status 1", detail=f"error: {argv[0]}")


def libvirt(account: Account, told: list[str], jobs: list[str]) -> Libvirt:
    domains = Libvirt(account, "tb-")
    object.__setattr__(domains, "told", told)
    object.__setattr__(domains, "jobs", jobs)
    return domains


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("testbed.lab.machines.taking_over", "testbed.edge.hypervisor.libvirt"):
        clock = SimpleNamespace(**{**vars(time), "sleep": lambda _: time.sleep(0.001)})
        monkeypatch.setattr(f"{module}.time", clock)


@pytest.mark.parametrize(
    ("told", "jobs", "expected"),
    [
        (["running"], [], "running"),
        (["paused"], ["None"], "paused"),
        (["paused", "paused", "saved"], ["Unbounded", "Unbounded"], "saved"),
        (["paused", "running"], ["Unbounded"], "running"),
    ],
)
def test_a_machine_that_is_being_saved_is_waited_for(
    account: Account, told: list[str], jobs: list[str], expected: str
) -> None:
    assert settled(libvirt(account, told, jobs)) == {"client": expected}


@pytest.mark.parametrize(
    ("action", "state", "jobs"),
    [("save", "saved", []), ("save", "saved", ["Unbounded"]), ("start", "running", ["None"]),
     ("resume", "running", [])],
)  # fmt: skip
def test_a_failure_is_none_where_the_machine_is_as_it_should_be(
    account: Account, action: str, state: str, jobs: list[str]
) -> None:
    for_each(["client"], action, libvirt(account, [state], jobs))


@pytest.mark.parametrize(("action", "state"), [("save", "running"), ("start", "shut off")])
def test_a_failure_is_one_where_it_is_not(account: Account, action: str, state: str) -> None:
    with pytest.raises(MachineError) as caught:
        for_each(["client"], action, libvirt(account, [state], []))
    assert caught.value.detail.startswith("error: ")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "pool").mkdir()
    path = tmp_path / "box.img"
    path.write_bytes(IMAGE)
    return path


def old(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    os.utime(path, (1, 1))
    return path


@pytest.mark.parametrize(
    ("content", "whole"),
    [(IMAGE, True), (IMAGE[:-1], False), (b"", False), (IMAGE[:-9] + bytes(9), False)],
    ids=["whole", "a byte less", "empty", "as long and not to the end"],
)
def test_half_a_copy_of_the_box_is_noticed(image: Path, content: bytes, *, whole: bool) -> None:
    pool = image.parent / "pool"
    old(pool / COPY, content)
    old(pool / "testbed-b_vagrant_box_image_0_1_box.img", b"another box's")
    assert broken_copies(pool, "testbed-a", image) == ([] if whole else [COPY])


def test_a_copy_that_grows_is_waited_for(image: Path) -> None:
    pool = image.parent / "pool"
    (pool / COPY).write_bytes(IMAGE[:100])
    threading.Timer(0.2, lambda: (pool / COPY).write_bytes(IMAGE)).start()
    assert broken_copies(pool, "testbed-a", image) == []
    assert (pool / COPY).read_bytes() == IMAGE


def test_a_copy_that_grows_for_ever_is_not(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(taking_over, "COPY_LIMIT_S", 0.1)
    (image.parent / "pool" / COPY).write_bytes(b"")
    assert broken_copies(image.parent / "pool", "testbed-a", image) == [COPY]


def test_a_vagrant_that_is_left_is_ended_and_told(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    ended: list[str] = []
    left: Any = SimpleNamespace(
        what="vagrant up", process=SimpleNamespace(pid=17), end=lambda: ended.append("it")
    )
    project = Project(account, tmp_path)
    end_left(project, Terminal(0))
    assert (ended, capsys.readouterr().err) == ([], "")
    monkeypatch.setattr(Project, "left", lambda _: left)
    end_left(project, Terminal(0))
    assert ended == ["it"]
    assert (
        "`vagrant up` (process 17) still ran for a command that was killed: it is ended now"
        in capsys.readouterr().err
    )


def test_half_a_box_in_vagrants_hands_is_deleted(account: Account, tmp_path: Path) -> None:
    vagrant = Vagrant(account, tmp_path)
    boxes = account.data_dir / "vagrant.d/boxes"
    folder = boxes / "testbed-a/0/libvirt"
    assert not vagrant.has_box("testbed-a")
    folder.mkdir(parents=True)
    (folder / "box.img").touch()
    assert not vagrant.has_box("testbed-a")
    assert not (boxes / "testbed-a").exists()
    folder.mkdir(parents=True)
    for name in ("box.img", "metadata.json"):
        (folder / name).touch()
    assert vagrant.has_box("testbed-a")
    assert vagrant.box_image("testbed-a") == folder / "box.img"
