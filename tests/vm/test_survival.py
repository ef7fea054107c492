# SPDX-License-Identifier: Apache-2.0
"""One run to which everything happens: each time a clear error, and the run goes on afterwards.

Each harm is done in the middle of a trial with the XDP program attached. The first cuts the run
off in its second block; the others cut off its going on, so that each costs one trial.
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import Testbed, interrupt, read_json, wait_for
from .harm import (
    RESUME,
    WORDS,
    Survivor,
    domain,
    gro,
    in_guest,
    libvirt_daemon,
    mends,
    on_a_disk_of,
    process_of,
)
from .test_experiment import trials

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def run(testbed: Testbed) -> Survivor:
    """The run that all of these tests share."""
    return Survivor(testbed)


@dataclass(frozen=True)
class Harm:
    """Harm done in a machine, the words about it, and the way to undo it."""

    role: str
    line: str
    said: str
    undo: str = "true"


HARMS = {
    "the connection is cut": Harm(
        "client", "pkill -KILL -f 'sshd.*root@notty'", "client: the connection broke"
    ),
    "the client hangs": Harm("client", "pkill -STOP -x testbed-client", "client: no end after"),
    "the server hangs": Harm("server", "pkill -STOP -x testbed-server", "testbed-server died"),
    # Without swap a kernel may take minutes to this point; here it is told to choose its victim.
    "out of memory": Harm(
        "server",
        "echo 1000 > /proc/$(pgrep -x testbed-server)/oom_score_adj; echo f > /proc/sysrq-trigger",
        "Out of memory: Killed process",
    ),
    "its disks are full": Harm(
        "server",
        "for disk in /run /; do fallocate -l $(df --output=avail -B1 $disk | tail -n 1) $disk/full;"
        " dd if=/dev/zero bs=4k >> $disk/full; done",
        "No space left on device",
        undo="rm -f /full /run/full",
    ),
}


def test_a_second_command_is_told_who_is_at_work_and_ctrl_c_ends_the_first(run: Survivor) -> None:
    """Only a real run takes the time in which another command, and then Ctrl-C, can meet it."""
    process = run.start()
    second = run.testbed.run("up")
    assert second.returncode == 3
    assert f"`testbed bench` (process {process.pid})" in second.stderr
    interrupt(process)
    run.ended(process, limit_s=60)
    assert process.returncode == 130
    assert run.testbed.left_over() == []
    assert gro(run.testbed) == "on"
    assert run.testbed.run("report").returncode in (0, 7)
    assert run.path is not None and "INCOMPLETE" in (run.path / "report.html").read_text()


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_harm_from_inside(run: Survivor, harm: Harm) -> None:
    """Only a real guest hangs, runs out of memory or disk, or is cut off."""
    try:
        process = run.start()
        in_guest(run.testbed, harm.role, harm.line)
        words = run.ended(process)
    finally:
        run.testbed.guest(harm.role, harm.undo)
    assert process.returncode == 5
    assert harm.said in words
    assert run.testbed.left_over() == []


def test_the_machine_is_paused(run: Survivor) -> None:
    """Only a real machine stands still with its connection open, as one without memory does."""
    process = run.start()
    domain(run.testbed, "suspend", "server")
    words = run.ended(process)
    assert process.returncode == 5
    assert "server: the connection broke" in words
    assert "no sign of life for 30 s: paused, or cut off" in words
    assert "server   paused" in run.testbed.run("status").stdout
    mends(run.testbed, "resume server: it is paused\n")


@pytest.mark.parametrize("role", ["client", "server"])
def test_a_qemu_is_killed(run: Survivor, role: str) -> None:
    """Only a real disk has what a guest had written before its power was cut."""
    host_key = "cat /etc/ssh/ssh_host_ed25519_key.pub"
    before = run.testbed.guest(role, f"sync; {host_key}")  # no kernel writes all it has at once
    process = run.start()
    os.kill(process_of(run.testbed, role), signal.SIGKILL)
    words = run.ended(process)
    assert process.returncode == 5
    assert f"testbed: {role}: the connection broke during: " in words
    mends(run.testbed, f"start {role}: it is shut off\n")
    assert run.testbed.guest(role, host_key) == before  # its own disk, not a new one


def test_a_kernel_panics(run: Survivor) -> None:
    """Only a real kernel panics.

    Noticed at once, and told as the arm's doing that was loaded; the server is shut off.

    A machine that somebody starts again by hand has lost its set-up, and gets it back.
    """
    process = run.start()
    panic = "sleep 1; echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger"
    in_guest(run.testbed, "server", panic)
    words = run.ended(process, limit_s=30)
    assert process.returncode == 6
    assert re.search("arm xdp: the server's kernel panicked (while it was loaded|in its `)", words)
    assert "Kernel panic - not syncing: sysrq triggered crash" in words
    assert "the server was shut off: `testbed up` starts it again" in words
    domain(run.testbed, "start", "server")
    again = "server started again by hand"
    wait_for(lambda: again in run.testbed.run("up", "--dry-run").stdout, limit_s=240)
    assert run.testbed.run("up").returncode == 0
    address = run.testbed.guest("server", "ip netns exec sslab-ns ip -4 -br address")
    assert "10.0.1.2/24" in address
    assert run.testbed.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"


def test_it_is_killed_and_goes_on_beside_a_dead_libvirt_and_a_hung_mpstat(run: Survivor) -> None:
    """Only real daemons die beside a trial. The run is whole, and what it lacks is told."""
    assert run.path is not None
    killed = run.start()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert gro(run.testbed) == "off"  # nobody was left to switch it on; the next one does
    run.log_bytes = (run.path / "testbed.log").stat().st_size
    process = run.start()
    os.kill(libvirt_daemon(), signal.SIGKILL)
    in_guest(run.testbed, "server", "pkill -STOP -x mpstat")
    _, said = process.communicate(timeout=120)
    assert process.returncode in (0, 7), said
    assert f"`testbed bench` (process {killed.pid}) was killed; its leftovers" in said
    assert all(path.read_bytes() == content for path, content in run.first_block.items())
    assert [(row["block"], row["arm"]) for row in trials(run.path)] == [
        ("1", "none"), ("1", "xdp"), ("2", "xdp"), ("2", "none"),
    ]  # fmt: skip
    manifest = read_json(run.path / "manifest.json")
    assert manifest["status"] == "complete"
    assert [one["block"] for one in manifest["resumed"]] == [2] * (run.harmed + 1)
    findings = read_json(run.path / "derived/findings.json")["findings"]
    told = [f"{f['code']}: {f['statement']}" for f in findings if f["verdict"] != "VALID"]
    assert any(line.startswith("complete: raw/02-xdp/mpstat.json: line ") for line in told), told
    for role in ("client", "server"):
        words = f"interleaved: the {role} was booted again during the run, which went on with block"
        assert any(line.startswith(words) for line in told), told
    assert not any(line.startswith("clock") for line in told)  # it began anew, between two blocks
    for path in run.path.glob("raw/0*/before.json"):
        assert read_json(path)["gro"]["lab0"] is False, path
    assert gro(run.testbed) == "on"
    assert run.testbed.left_over() == []
    assert "client   running" in run.testbed.run("status").stdout
    assert run.testbed.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"


def test_a_pause_too_short_to_be_noticed_is_found(testbed: Testbed) -> None:
    """Only a real guest's clocks tell that it stood still."""
    run = Survivor(testbed)
    process = run.start()
    domain(testbed, "suspend", "server")
    time.sleep(2)
    domain(testbed, "resume", "server")
    _, said = process.communicate(timeout=120)
    assert process.returncode == 7, said
    assert run.path is not None
    findings = read_json(run.path / "derived/findings.json")["findings"]
    (told,) = (f for f in findings if (f["code"], f["verdict"]) == ("clock", "INVALID"))
    assert (told["scope"]["arm"], told["scope"]["block"]) == ("xdp", 2)


def test_the_disk_fills_up_while_results_are_written(testbed: Testbed, tmp_path: Path) -> None:
    """Only a real file system fills up.

    A small one in place of results/, full once the first block is done, in a mount namespace.
    """
    results = testbed.checkout / "results"
    script = f"""
        cd {shlex.quote(str(testbed.checkout))} || exit
        (
            until [ -e results/latest/raw/01-xdp/trial.json ]; do sleep 0.1; done
            dd if=/dev/zero of=results/filler bs=4k
        ) 2>/dev/null &
        testbed() {{ {shlex.quote(sys.executable)} -m testbed "$@"; }}
        testbed {shlex.join(WORDS)}; echo "exit code $?"
        rm results/filler
        testbed {shlex.join(RESUME)}; echo "exit code $?"
        cp -a results/latest/. {shlex.quote(str(tmp_path))}
    """
    done = subprocess.run(
        on_a_disk_of(32, results, ["sh", "-c", script]), capture_output=True, text=True,
        timeout=400, check=False,
    )  # fmt: skip
    print(done.stdout, done.stderr)
    assert done.stdout.splitlines()[0] == "exit code 3"
    assert "cannot be written: No space left on device" in done.stderr
    assert (
        "1 of 2 blocks are done, and `testbed bench --resume latest` does the rest" in done.stderr
    )
    assert done.stdout.splitlines()[-1] in ("exit code 0", "exit code 7")
    assert "Traceback" not in done.stderr
    assert read_json(tmp_path / "manifest.json")["status"] == "complete"
    assert [row["block"] for row in trials(tmp_path)] == ["1", "1", "2", "2"]
    assert testbed.left_over() == []
