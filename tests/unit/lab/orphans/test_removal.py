# SPDX-License-Identifier: Apache-2.0
"""`doctor --orphans`: what is told, what is removed, and what is left alone."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer.account import Account
from testbed.lab.machines import processes
from testbed.lab.machines.processes import Process
from testbed.lab.orphans.orphans import Orphan
from testbed.lab.orphans.removal import Removal
from testbed.model.errors import HostError
from tests.unit.factories.ids import project_id
from tests.unit.factories.left_over import GONE, LeftOver


def run(testbed: Callable[..., Any], *words: str) -> Any:
    return testbed("doctor", "--orphans", *words)


def test_looking_removes_nothing(
    there: LeftOver, checkout: Path, testbed: Callable[..., Any]
) -> None:
    assert checkout.is_dir()
    there.define(GONE, running=True)
    folder = there.claim(GONE, "/nowhere/bed")
    said = run(testbed)
    assert said.status == 0
    assert said.out == (
        f"machine tb{GONE}-client: its checkout /nowhere/bed is gone\n"
        f"  → virsh -c qemu:///session 'destroy tb{GONE}-client; undefine tb{GONE}-client "
        "--managed-save --snapshots-metadata'\n"
        f"project {GONE}: its checkout /nowhere/bed is gone\n"
        f"  → rm -r {folder}\n"
    )
    assert "`testbed doctor --orphans --remove` removes all of it" in said.err
    assert folder.is_dir()
    assert there.asked() == []


def test_removing_leaves_what_is_anothers(
    there: LeftOver, checkout: Path, tmp_path: Path, testbed: Callable[..., Any]
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "Vagrantfile").touch()
    there.define(GONE, running=True)
    for id_ in (project_id(checkout), project_id(other), "0000dd"):
        there.define(id_)
    gone = there.claim(GONE, "/nowhere/bed")
    kept = [there.claim(project_id(one), one) for one in (other, checkout)]
    kept.append(there.claim("0000dd", None))
    pool = there.pool
    mine = [pool / f"tb{project_id(one)}-client.img" for one in (other, checkout)]
    for path in (*mine, pool / "debian.img", pool / f"tb{GONE}-client.img"):
        path.touch()
    said = run(testbed, "--remove")
    assert said.status == 0
    assert said.out.splitlines() == [
        f"removed machine tb{GONE}-client: its checkout /nowhere/bed is gone",
        f"removed disk tb{GONE}-client.img: its checkout /nowhere/bed is gone",
        f"removed project {GONE}: its checkout /nowhere/bed is gone",
    ]
    assert "not saying whose they are: 1 of the folders" in said.err
    assert not gone.exists()
    assert all(path.exists() for path in (*kept, *mine, pool / "debian.img"))
    assert not (pool / f"tb{GONE}-client.img").exists()
    assert there.asked() == [
        f"destroy tb{GONE}-client",
        f"undefine tb{GONE}-client --managed-save --snapshots-metadata",
    ]


def test_what_destroying_could_not_remove(
    there: LeftOver, checkout: Path, testbed: Callable[..., Any]
) -> None:
    """`down --destroy` removes the folder last, and sends people here when something is left."""
    there.define(project_id(checkout))
    assert run(testbed).out.startswith(
        f"machine tb{project_id(checkout)}-client: no checkout's settings know it\n"
    )


def test_what_cannot_be_removed_is_told_and_the_rest_goes(
    there: LeftOver, testbed: Callable[..., Any]
) -> None:
    there.define(GONE)
    folder = there.claim(GONE, "/nowhere/bed")
    (there.folder / "refuse").touch()
    said = run(testbed, "--remove", "--json")
    assert said.status == 3
    rows = json.loads(said.out)["orphans"]
    assert [(row["kind"], row["removed"]) for row in rows] == [
        ("machine", False), ("project", True),
    ]  # fmt: skip
    assert rows[0]["error"].endswith("error: it is locked")
    assert "1 of 2 could not be removed" in said.err
    assert not folder.exists()


def test_nothing_is_an_orphan_where_libvirt_does_not_answer(
    there: LeftOver, testbed: Callable[..., Any],
    tool: Callable[[str, str], Path],
) -> None:  # fmt: skip
    folder = there.claim(GONE, "/nowhere/bed")
    tool("virsh", "echo error: no socket >&2; exit 1")
    said = run(testbed, "--remove")
    assert (said.status, said.out) == (3, "")
    assert "error: no socket" in said.err
    assert folder.is_dir()


def test_nothing_left(there: LeftOver, testbed: Callable[..., Any]) -> None:
    said = run(testbed)
    assert (said.status, said.out) == (0, "")
    assert "nothing left by earlier crashes or deleted checkouts" in said.err
    assert '"orphans": []' in run(testbed, "--json").out


@pytest.mark.parametrize("words", ["--remove", "--boot --orphans", "--remove --boot"])
def test_words_that_do_not_go_together(testbed: Callable[..., Any], words: str) -> None:
    said = testbed("doctor", *words.split())
    assert (said.status, said.out) == (2, "")


# Removing one by one


def removal(account: Account, *, active: bool = True) -> Removal:
    return Removal(account, account.data_dir / "pool" if active else None)


def test_commands_to_type(there: LeftOver, tmp_path: Path) -> None:
    pool = there.pool
    disk = Orphan("disk", "tb0000cc-client.img", "", path=pool / "tb0000cc-client.img")
    assert removal(there.account).command(disk) == (
        "virsh -c qemu:///session 'vol-delete tb0000cc-client.img --pool testbed'"
    )
    assert removal(there.account, active=False).command(disk) == f"rm {disk.path}"
    saved = Orphan("saved state", "x", "", path=tmp_path / "a b.save")
    assert removal(there.account).command(saved) == f"rm '{tmp_path / 'a b.save'}'"
    build = Orphan("build", "b", "", path=tmp_path / "testbed-box-b")
    assert removal(there.account).command(build) == f"rm -rf {build.path}"
    (tmp_path / "testbed-box-b/tree").mkdir(parents=True)
    assert removal(there.account).command(build) == (
        f"mmdebstrap --unshare-helper find {build.path}/tree -mindepth 1 -delete; "
        f"rm -rf {build.path}"
    )
    roots = replace(there.account, name="testbed")
    assert removal(roots).command(build) == f"rm -rf {build.path}"
    assert (
        removal(roots)
        .command(disk)
        .startswith("setpriv --reuid=testbed --regid=testbed --init-groups --reset-env virsh -c")
    )
    process = Process(4711, there.account.uid, "qemu-system-x86", ("qemu",), 1, 1)
    assert (
        removal(there.account).command(Orphan("process", "p", "", process=process)) == "kill 4711"
    )


def test_a_disk_goes_by_libvirt_so_that_its_pool_knows(there: LeftOver) -> None:
    path = there.pool / "tb0000cc-client.img"
    path.touch()
    removal(there.account).remove(Orphan("disk", path.name, "", path=path))
    assert there.asked() == [f"vol-delete {path.name} --pool testbed"]
    removal(there.account, active=False).remove(Orphan("disk", path.name, "", path=path))
    assert not path.exists()


def test_a_half_built_tree_is_emptied_by_its_owners(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path]
) -> None:
    tool("mmdebstrap", f'echo "$@" > {tmp_path}/asked; shift; "$@"')
    tree = tmp_path / "testbed-box-b/tree"
    (tree / "etc").mkdir(parents=True)
    removal(account).remove(Orphan("build", "b", "", path=tree.parent))
    assert (tmp_path / "asked").read_text() == (
        f"--unshare-helper find {tree} -mindepth 1 -delete\n"
    )
    assert not tree.parent.exists()
    removal(account).remove(Orphan("build", "b", "", path=tree.parent))  # somebody was faster


def test_what_the_system_refuses(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(HostError, match="cannot be removed: Permission denied"):
        removal(account).remove(Orphan("saved state", "x", "", path=tmp_path / "x.save"))


DEAF = (
    "import signal, time\n"
    "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    "print('ready', flush=True)\n"
    "time.sleep(60)\n"
)


@pytest.fixture
def sleeper() -> Any:
    process = subprocess.Popen([sys.executable, "-c", DEAF], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()


def test_a_process_that_does_not_listen_is_made_to_end(
    account: Account, sleeper: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.lab.orphans.removal.PATIENCE_S", 0.2)
    lost = Process(sleeper.pid, account.uid, "sh", ("sh",), processes._started(sleeper.pid), 1)
    removal(account).remove(Orphan("process", "p", "", process=lost))
    assert sleeper.wait(timeout=5) == -9


def test_a_process_that_took_its_id_lives_on(account: Account, sleeper: Any) -> None:
    other = Process(sleeper.pid, account.uid, "sh", ("sh",), 1, 1)
    removal(account).remove(Orphan("process", "p", "", process=other))
    assert sleeper.poll() is None
