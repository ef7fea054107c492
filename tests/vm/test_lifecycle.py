# SPDX-License-Identifier: Apache-2.0
"""Machines that are saved: `up` does the difference, also after a kill."""

import time

import pytest

from .conftest import Testbed, read_json

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
TRIALS = ("--rate", "1000", "--duration", "2", "--trials", "2", "--no-count")


def boot_ids(testbed: Testbed) -> dict[str, str]:
    asked = "cat /proc/sys/kernel/random/boot_id"
    return {role: testbed.guest(role, asked) for role in ("client", "server")}


def plan(testbed: Testbed) -> str:
    return testbed.run("up", "--dry-run").stdout


@pytest.mark.vagrant
def test_a_vagrant_that_outlived_its_command_was_taken_over(testbed: Testbed) -> None:
    """Only a real Vagrant goes on by itself when its `up` is killed."""
    assert "`vagrant up" in testbed.first_up
    assert "still ran for a command that was killed: it is ended now" in testbed.first_up


def killed(testbed: Testbed, verb: str, after_s: float) -> None:
    """SIGKILL a command in the middle; the same one again works, and nothing is left of it."""
    process = testbed.start(verb)
    time.sleep(after_s)
    process.kill()
    process.communicate()
    again = testbed.run(verb, environment={"LANG": "de_DE.UTF-8", "LANGUAGE": "de"})
    assert again.returncode == 0
    assert '"orphans": []' in testbed.run("doctor", "--orphans", "--json").stdout


def test_saved_machines_go_on_with_right_clocks(testbed: Testbed) -> None:
    """Only a real guest's clock stands still while it is saved."""
    before = boot_ids(testbed)
    killed(testbed, "down", 1.5)
    assert testbed.run("status").stdout.split()[:4] == ["client", "saved", "server", "saved"]
    assert plan(testbed) == "restore client and server: its state was saved\n"
    assert testbed.run("bench", "--xdp").returncode == 4
    killed(testbed, "up", 1)
    assert plan(testbed) == "nothing: both machines run, set up\n"
    assert boot_ids(testbed) == before
    for role in before:
        assert abs(float(testbed.guest(role, "date +%s.%N")) - time.time()) < 5
    assert testbed.run("bench", "--xdp", *TRIALS).returncode in (0, 7)
    facts = read_json(testbed.latest / "facts/host.json")
    assert facts["resumes"] >= 1 and facts["resumed_utc"] > facts["booted_utc"]
    assert "went on from a saved state" in (testbed.latest / "report.html").read_text()
