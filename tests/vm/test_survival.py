# SPDX-License-Identifier: Apache-2.0
"""One run to which everything happens: each time a clear error, and the run goes on afterwards.

Each harm is done in the middle of a trial with the XDP program attached. The first cuts the run
off in its second block; the others cut off its going on, so that each costs one trial.
"""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from testbed.edge.account import Account, project_id
from testbed.edge.libvirt import virsh
from testbed.lab.remains import machine_processes

from .conftest import Testbed, interrupt, read_json, wait_for
from .test_experiment import trials

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
# By this seed the second block begins with XDP.
WORDS = ("bench", "--xdp", "--trials", "2", "--rate", "1000", "--duration", "4", "--seed", "5")
RESUME = ("bench", "--resume", "latest")


@dataclass
class Survivor:
    """A run whose first block is done, and whose second is cut off again and again."""

    testbed: Testbed
    path: Path | None = None
    first_block: dict[Path, bytes] = field(default_factory=dict)
    harmed: int = 0
    log_bytes: int = 0

    def start(self) -> subprocess.Popen[str]:
        """Start the run, or go on with it, up to the traffic of the second block's XDP trial."""
        before = self.testbed.latest
        process = self.testbed.start(*(RESUME if self.path else WORDS))

        def ended() -> bool:
            return process.poll() is not None

        if self.path is None:
            wait_for(lambda: self.testbed.latest != before or ended(), limit_s=120)
            self.path = self.testbed.latest
        wait_for(lambda: self._in_the_trial() or ended(), limit_s=240)
        assert not ended(), process.communicate()[1]
        return process

    def _in_the_trial(self) -> bool:
        """Whether the log, since the last harm, has the word `go` to the client in that trial."""
        assert self.path is not None
        log = (self.path / "testbed.log").read_bytes()[self.log_bytes :].decode()
        _, found, after = log.partition("  block 2  xdp ")
        return bool(found) and "client: the agent's go" in after

    def ended(self, process: subprocess.Popen[str], limit_s: float = 120) -> str:
        """Return what a command said that was cut off; nothing of it is left and nothing lost."""
        assert self.path is not None
        _, said = process.communicate(timeout=limit_s)
        print(f"-> {process.returncode}\n{said}")
        assert "Traceback" not in said
        assert not (self.path / "manifest.json").exists()
        assert "1 of 2 blocks are done, and `testbed bench --resume latest` does the rest" in said
        files = {path: path.read_bytes() for path in self.path.glob("raw/01-*/*")}
        assert len({path.parent for path in files}) == 2
        assert files == (self.first_block or files)
        self.first_block = files
        self.harmed += 1
        self.log_bytes = (self.path / "testbed.log").stat().st_size
        return said


@pytest.fixture(scope="module")
def run(testbed: Testbed) -> Survivor:
    """The run that all of these tests share."""
    return Survivor(testbed)


def in_guest(testbed: Testbed, role: str, harm: str) -> None:
    """Do harm to a machine from inside, by a process that outlives the login that it may end."""
    words = ["systemd-run", "--quiet", "--collect", "sh", "-c", harm]
    with contextlib.suppress(subprocess.TimeoutExpired):
        testbed.run("ssh", role, "--", *words, timeout_s=20)


def process_of(testbed: Testbed, role: str) -> int:
    """Return the id of a machine's QEMU."""
    prefix = f"tb{project_id(testbed.checkout)}-"
    (pid,) = (p for p, name in machine_processes(prefix).items() if name == prefix + role)
    return pid


def domain(testbed: Testbed, action: str, role: str) -> None:
    """Have libvirt do something to a machine behind the tool's back."""
    name = f"tb{project_id(testbed.checkout)}-{role}"
    virsh(Account.current(), [action, name], 30)


@dataclass(frozen=True)
class Harm:
    """What is done in a machine, what is said of it, and what it takes to undo it."""

    role: str
    line: str
    said: str
    undo: str = "true"


HARMS = {
    "the connection is cut": Harm(
        "client", "pkill -KILL -f 'sshd.*root@notty'", "client: the connection broke"
    ),
    "the client hangs": Harm("client", "pkill -STOP -x testbed-client", "client: no end after"),
    "the server dies": Harm("server", "pkill -KILL -x testbed-server", "testbed-server died"),
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


@pytest.mark.parametrize("harm", HARMS.values(), ids=HARMS)
def test_harm_from_inside(run: Survivor, harm: Harm) -> None:
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
    """As a machine is whose computer takes its memory away; its connection stays open."""
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
    host_key = "cat /etc/ssh/ssh_host_ed25519_key.pub"
    before = run.testbed.guest(role, host_key)
    process = run.start()
    os.kill(process_of(run.testbed, role), signal.SIGKILL)
    words = run.ended(process)
    assert process.returncode == 5
    assert f"testbed: {role}: the connection broke during: " in words
    mends(run.testbed, f"start {role}: it is shut off\n")
    assert run.testbed.guest(role, host_key) == before  # its own disk, not a new one


def test_a_kernel_panics(run: Survivor) -> None:
    """Noticed at once: its connection stays open, and nothing more comes."""
    process = run.start()
    panic = "sleep 1; echo 1 > /proc/sys/kernel/sysrq; echo c > /proc/sysrq-trigger"
    in_guest(run.testbed, "server", panic)
    words = run.ended(process, limit_s=30)
    assert process.returncode == 5
    assert "its kernel panicked" in words
    assert "Kernel panic - not syncing: sysrq triggered crash" in words
    mends(run.testbed, "stop server: it runs and does not answer\n")


def mends(testbed: Testbed, planned: str) -> None:
    """Bring the machines up again, as it was planned; nothing is left of the trial."""
    assert testbed.run("up", "--dry-run").stdout.startswith(planned)
    assert testbed.run("up").returncode == 0
    assert testbed.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"


def test_ctrl_c(run: Survivor) -> None:
    process = run.start()
    interrupt(process)
    run.ended(process, limit_s=60)
    assert process.returncode == 130
    assert run.testbed.left_over() == []
    assert run.testbed.run("report").returncode in (0, 7)
    assert run.path is not None and "INCOMPLETE" in (run.path / "report.html").read_text()


def test_it_is_killed_and_goes_on_beside_a_dead_libvirt_and_a_hung_mpstat(run: Survivor) -> None:
    """The last of these: what ends no trial. The run is whole, and what it lacks is told."""
    assert run.path is not None
    killed = run.start()
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    run.log_bytes = (run.path / "testbed.log").stat().st_size
    process = run.start()
    os.kill(libvirt_daemon(), signal.SIGKILL)
    in_guest(run.testbed, "server", "pkill -STOP -x mpstat")
    _, said = process.communicate(timeout=120)
    assert process.returncode in (0, 7), said
    assert f"`testbed bench` (process {killed.pid}) was ended before it could" in said
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
    assert run.testbed.left_over() == []
    assert "client   running" in run.testbed.run("status").stdout
    assert run.testbed.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"


def libvirt_daemon() -> int:
    """Return the id of the session daemon of the account that the machines belong to."""
    uid = str(Account.current().uid)
    argv = ["pgrep", "-u", uid, "-x", "libvirtd|virtqemud"]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[0])


def test_a_pause_too_short_to_be_noticed_is_found(testbed: Testbed) -> None:
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
    """A small one in place of results/, full once the first block is done, in a mount namespace."""
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


def on_a_disk_of(megabytes: int, folder: Path, argv: Sequence[str]) -> list[str]:
    """Return `argv` made to run where `folder` is a file system of its own.

    Only root may mount. In a namespace of his own anybody is root, and is himself again in one
    more inside of it.
    """
    folder.mkdir(exist_ok=True)
    mount = shlex.join(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)])
    again, user = list(argv), ["unshare", "--mount"]
    if os.geteuid() != 0:
        user = ["unshare", "--user", "--map-root-user", "--mount"]
        ids = (f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}")
        again = ["unshare", "--user", *ids, "--", *argv]
    return [*user, "sh", "-c", f"{mount} && {shlex.join(again)}"]
