# SPDX-License-Identifier: Apache-2.0
"""Machines that are saved, killed, started again by hand, or panic: `up` mends, runs go on."""

import contextlib
import os
import signal
import time
from pathlib import Path

import pytest

from testbed.edge.account import project_id
from testbed.lab.remains import machine_processes

from .conftest import Testbed, read_json, wait_for
from .test_experiment import trials
from .test_faults import measuring

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
TRIALS = ("--rate", "1000", "--duration", "5", "--trials", "2")


def boot_ids(testbed: Testbed) -> dict[str, str]:
    asked = "cat /proc/sys/kernel/random/boot_id"
    return {role: testbed.guest(role, asked) for role in ("client", "server")}


def process_of(testbed: Testbed, role: str) -> int:
    """Return the id of a machine's QEMU."""
    prefix = f"tb{project_id(testbed.checkout)}-"
    (pid,) = (p for p, name in machine_processes(prefix).items() if name == prefix + role)
    return pid


def plan(testbed: Testbed) -> str:
    return testbed.run("up", "--dry-run").stdout


def test_saved_machines_go_on_with_right_clocks(testbed: Testbed) -> None:
    before = boot_ids(testbed)
    assert testbed.run("down").returncode == 0
    assert testbed.run("status").stdout.split()[:4] == ["client", "saved", "server", "saved"]
    assert plan(testbed) == "restore client and server: its state was saved\n"
    assert testbed.run("bench", "--xdp").returncode == 4
    assert testbed.run("up").returncode == 0
    assert plan(testbed) == "nothing: both machines run, set up\n"
    assert boot_ids(testbed) == before
    for role in before:
        assert abs(float(testbed.guest(role, "date +%s.%N")) - time.time()) < 5
    assert testbed.run("bench", "--xdp", *TRIALS).returncode in (0, 7)
    facts = read_json(testbed.latest / "facts/host.json")
    assert facts["resumes"] >= 1 and facts["resumed_utc"] > facts["booted_utc"]
    assert "went on from a saved state" in (testbed.latest / "report.html").read_text()


def broken_in_the_second_block(testbed: Testbed, harm: str, role: str) -> tuple[int, str, Path]:
    """Begin a run, do harm to a machine in its second block; return how it ended, and the run."""
    before = testbed.latest
    process = testbed.start("bench", "--xdp", *TRIALS)
    wait_for(lambda: testbed.latest != before, limit_s=120)
    run = testbed.latest
    wait_for(lambda: len(list(run.glob("raw/01-*/trial.json"))) == 2, limit_s=240)
    wait_for(lambda: measuring(testbed, before), limit_s=60)
    if harm == "kill":
        os.kill(process_of(testbed, role), signal.SIGKILL)
    else:
        with contextlib.suppress(Exception):
            testbed.run("ssh", role, "--", "sh", "-c", f"({harm}) >/dev/null 2>&1 &", timeout_s=20)
    _, said = process.communicate(timeout=100)
    assert "Traceback" not in said
    assert not (run / "manifest.json").exists()
    return process.returncode, said, run


def goes_on(testbed: Testbed, run: Path) -> None:
    """Finish a run that was cut off, and prove that its first block is what it was."""
    first = {path: path.read_bytes() for path in run.glob("raw/01-*/*.json")}
    done = testbed.run("bench", "--resume", "latest", timeout_s=400)
    assert done.returncode in (0, 7), done.stderr
    manifest = read_json(run / "manifest.json")
    assert manifest["status"] == "complete"
    assert [one["block"] for one in manifest["resumed"]] == [2]
    assert all(path.read_bytes() == content for path, content in first.items())
    assert [row["block"] for row in trials(run)] == ["1", "1", "2", "2"]
    assert testbed.left_over() == []


def test_a_killed_machine_and_the_run_that_goes_on(testbed: Testbed) -> None:
    key = testbed.guest("client", "cat /etc/ssh/ssh_host_ed25519_key.pub")
    status, said, run = broken_in_the_second_block(testbed, "kill", "client")
    assert status == 5, said
    assert "client: the connection broke" in said
    assert plan(testbed).startswith("start client: it is shut off\n")
    assert testbed.run("up").returncode == 0
    assert testbed.guest("client", "cat /etc/ssh/ssh_host_ed25519_key.pub") == key  # its own disk
    goes_on(testbed, run)


def test_a_panic_is_noticed_at_once(testbed: Testbed) -> None:
    panic = "sleep 1; echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger"
    status, said, run = broken_in_the_second_block(testbed, panic, "server")
    assert status == 5, said
    assert "its kernel panicked" in said
    assert "Kernel panic - not syncing: sysrq triggered crash" in said
    assert "stop server: it runs and does not answer" in plan(testbed)
    assert testbed.run("up").returncode == 0
    goes_on(testbed, run)


def test_a_machine_started_again_by_hand_is_set_up(testbed: Testbed) -> None:
    before = boot_ids(testbed)["server"]
    testbed.run("ssh", "server", "--", "systemctl", "reboot")
    deadline = time.monotonic() + 240
    while "started again by hand" not in (said := plan(testbed)):
        assert time.monotonic() < deadline, said
        time.sleep(2)
    assert "server started again by hand" in said
    assert testbed.run("up").returncode == 0
    assert boot_ids(testbed)["server"] != before
    assert "10.0.1.2/24" in testbed.guest("server", "ip netns exec sslab-ns ip -4 -br address")
    assert plan(testbed) == "nothing: both machines run, set up\n"


def test_machines_that_are_shut_down_and_what_is_removed_is_gone(testbed: Testbed) -> None:
    """Last in its file: another pair is made afterwards, in the same place."""
    prefix = f"tb{project_id(testbed.checkout)}-"
    assert testbed.run("down", "--halt").returncode == 0
    assert testbed.run("status").stdout.split()[:3] == ["client", "shut", "off"]
    assert plan(testbed) == "start client and server: it is shut off\n"
    stopped = testbed.run("bench", "--both")
    assert stopped.returncode == 4
    assert "run `testbed up` first" in stopped.stderr
    done = testbed.run("down", "--destroy")
    assert done.returncode == 0, done.stderr
    assert machine_processes(prefix) == {}
    states = testbed.run("status").stdout.split()
    assert states == ["client", "not", "created", "server", "not", "created"]
    assert plan(testbed) == "create client and server: it does not exist\n"
    assert testbed.run("up", timeout_s=600).returncode == 0
