# SPDX-License-Identifier: Apache-2.0
"""The doctor on a real computer, beside machines that run."""

import json
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.lab.machines import processes
from testbed.lab.machines.project import Project

from .conftest import Testbed, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]


def trials() -> list[str]:
    """Return the machines to throw away that run."""
    names = [process.guest for process in processes.machines()]
    return [name for name in names if name.startswith("testbed-doctor-")]


def test_nothing_is_a_problem_where_the_machines_run(testbed: Testbed) -> None:
    """Only a real computer has the ports, the session and the box that it looks at."""
    said = testbed.run("doctor", "--json")
    lines = {line["name"]: line for line in json.loads(said.stdout)["checks"]}
    assert [line for line in lines.values() if line["level"] == "problem"] == []
    assert said.returncode == 0
    for name in ("ports", "box", "libvirt session", "memory"):
        assert lines[name]["level"] == "ok", lines[name]
    assert lines["ports"]["found"].endswith("held by our machines")
    assert [line for line in lines.values() if "could not be looked at" in line["found"]] == []


def test_a_machine_to_throw_away(testbed: Testbed) -> None:
    """Only a real QEMU boots it."""
    said = testbed.run("doctor", "--boot", "--json", timeout_s=700)
    assert json.loads(said.stdout)["checks"][-1]["name"] == "boot"
    assert json.loads(said.stdout)["checks"][-1]["level"] == "ok"
    assert trials() == []


def test_a_machine_to_throw_away_ends_with_a_killed_command(testbed: Testbed) -> None:
    """Only a real QEMU could outlive its command."""
    process = testbed.start("doctor", "--boot")
    wait_for(lambda: trials() == [f"testbed-doctor-{process.pid}"], limit_s=60)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: trials() == [], limit_s=5)


def test_an_orphan_is_told_from_the_living(testbed: Testbed, tmp_path: Path) -> None:
    """Only a real libvirt knows who is there.

    Other leftovers on this computer are not the tests' to remove: so no `--remove` here.
    """
    gone = Project(Account.current(), tmp_path / "gone")
    gone.claim()
    said = json.loads(testbed.run("doctor", "--orphans", "--json").stdout)
    commands = {orphan["name"]: orphan["command"] for orphan in said["orphans"]}
    own = Account.current().project_id(testbed.checkout)
    assert [name for name in commands if own in name] == []
    subprocess.run(shlex.split(commands[gone.path.name]), check=True)
    assert not gone.path.exists()
