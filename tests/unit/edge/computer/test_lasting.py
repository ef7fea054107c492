# SPDX-License-Identifier: Apache-2.0
"""A command that outlives a killed one is found by the note of it, and no other process is."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer import lasting
from testbed.edge.computer.account import Account
from testbed.edge.computer.lasting import NOTE, Lasting, Started, left, noted, read
from testbed.edge.hypervisor.vagrant import Vagrant
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines.box import SCRATCH_PREFIX, end_left_builds

KILLED = """
import os, sys
from pathlib import Path
from testbed.edge.computer.account import Account
from testbed.edge.computer.lasting import noted
folder = Path(sys.argv[1])
if sys.argv[2] == "at once":
    Account.write = lambda *_, **__: os.kill(os.getpid(), 9)
script = "trap : INT; echo $$ > ran; sleep 60 & wait; wait"
with noted(Account(None, folder, os.getuid(), os.getgid()), ["sh", "-c", script], folder / "note",
           "vagrant up", cwd=folder, environment=dict(os.environ), output=sys.stderr.buffer):
    print(flush=True)
    sys.stdin.read()
"""


def started(folder: Path, when: str = "later") -> subprocess.Popen[str]:
    """Start a program that starts a command that lasts."""
    return subprocess.Popen(
        [sys.executable, "-c", KILLED, str(folder), when], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip


def soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[int]:
    """The process id of a command whose program was killed."""
    program = started(tmp_path)
    assert program.stdout is not None
    program.stdout.readline()
    assert soon(lambda: (tmp_path / "ran").exists() and (tmp_path / "ran").read_text() != "")
    program.kill()
    program.communicate()
    pid = int((tmp_path / "ran").read_text())
    yield pid
    if Path(f"/proc/{pid}").exists():
        os.killpg(pid, signal.SIGKILL)


def test_the_note_is_there_while_the_command_runs_and_only_then(
    account: Account, tmp_path: Path
) -> None:
    note = tmp_path / "note"
    with (tmp_path / "out").open("wb") as out, noted(
        account, ["sh", "-c", 'cat note; echo "$$ $LC_ALL $1"', "sh", "a b"], note, "it",
        cwd=tmp_path, environment={**os.environ, "LC_ALL": "de_DE"}, output=out,
    ) as process:  # fmt: skip
        assert process.wait() == 0
    noted_then, words = (tmp_path / "out").read_text().splitlines()
    assert json.loads(noted_then)["process"]["pid"] == process.pid
    assert words == f"{process.pid} C.UTF-8 a b"
    assert not note.exists()


def test_it_never_begins_when_its_program_is_killed_before_the_note(tmp_path: Path) -> None:
    program = started(tmp_path, "at once")
    program.communicate()
    assert program.returncode == -signal.SIGKILL
    time.sleep(0.1)
    assert list(tmp_path.iterdir()) == []


def test_what_was_left_is_found_and_ended_with_its_children(
    orphan: int, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lasting, "PATIENCE_S", 0.2)
    found = left(tmp_path / "note", account)
    assert found is not None
    assert (found.what, found.process.pid) == ("vagrant up", orphan)
    found.end()
    assert left(tmp_path / "note", account) is None
    with pytest.raises(ProcessLookupError):
        assert not soon(lambda: os.killpg(orphan, 0) is not None)


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, process=replace(one.process, ticks=one.process.ticks + 1)),
        lambda one: replace(one, process=replace(one.process, boot="another")),
        lambda one: replace(one, owner=Started.of(os.getpid())),
    ],
    ids=["its id is another's now", "an earlier boot", "its program still runs"],
)
def test_a_process_that_is_not_the_one_is_left_alone(
    orphan: int, account: Account, tmp_path: Path, change: Callable[[Lasting], Lasting]
) -> None:
    found = left(tmp_path / "note", account)
    assert found is not None
    (tmp_path / "note").write_text(json.dumps(asdict(change(found))))
    assert left(tmp_path / "note", account) is None
    assert Path(f"/proc/{orphan}").exists()


def test_only_what_leads_a_group_is_ended_as_one(account: Account, tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as member:
        owner = replace(Started.of(os.getpid()), ticks=0)
        note = Lasting("vagrant up", Started.of(member.pid), owner)
        (tmp_path / "note").write_text(json.dumps(asdict(note)))
        assert left(tmp_path / "note", account) is None
        member.kill()


def test_a_note_cannot_have_somebody_elses_process_ended(
    orphan: int, account: Account, tmp_path: Path
) -> None:
    other = Account("testbed", account.home, account.uid + 1, account.gid)
    assert left(tmp_path / "note", other) is None
    assert Path(f"/proc/{orphan}").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"what": 1, "process": 7, "owner": {}}'])
def test_a_note_that_says_nothing(account: Account, tmp_path: Path, text: str) -> None:
    (tmp_path / "note").write_text(text)
    assert read(tmp_path / "note") is None
    assert left(tmp_path / "note", account) is None


def test_a_build_that_is_left_is_ended_before_the_next(
    orphan: int, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setattr(lasting, "PATIENCE_S", 0.2)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    work = tmp_path / f"{SCRATCH_PREFIX}x"
    work.mkdir()
    (tmp_path / "note").rename(work / NOTE)
    process = Started.of(orphan)
    end_left_builds(account, Terminal(-1))
    assert f"`vagrant up` (process {orphan}) still built a box" in capsys.readouterr().err
    assert not work.exists()
    assert not process.runs
    end_left_builds(account, Terminal(-1))
    assert capsys.readouterr().err == ""


def test_vagrant_is_noted(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    path = tool("vagrant", f'cat {NOTE}; [ "$1" = up ]')

    def words(_: Any, args: list[object]) -> list[str]:
        return [str(path), *map(str, args)]

    monkeypatch.setattr("testbed.edge.hypervisor.python_vagrant.Calls._make_vagrant_command", words)
    mine = Vagrant(account, tmp_path)
    mine.create()
    log = json.loads((tmp_path / "vagrant.log").read_text())
    assert log["what"].startswith("vagrant up")
    assert lasting.left(tmp_path / NOTE, account) is None
    assert not (tmp_path / NOTE).exists()
