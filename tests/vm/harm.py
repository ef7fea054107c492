# SPDX-License-Identifier: Apache-2.0
"""What is done to a run and to its machines by the tests of survival."""

import contextlib
import os
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.libvirt import virsh
from testbed.lab.machines.leftovers import machine_processes

from .conftest import Testbed, wait_for

# By this seed the second block begins with XDP. GRO is off while it lasts.
WORDS = (
    "bench", "--xdp", "--trials", "2", "--rate", "1000", "--duration", "4", "--seed", "5",
    "--no-gro",
)  # fmt: skip
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


def in_guest(testbed: Testbed, role: str, harm: str) -> None:
    """Do harm to a machine from inside, by a process that outlives the login that it may end."""
    words = ["systemd-run", "--quiet", "--collect", "sh", "-c", harm]
    with contextlib.suppress(subprocess.TimeoutExpired):
        testbed.run("ssh", role, "--", *words, timeout_s=20)


def gro(testbed: Testbed) -> str:
    """Return "on" or "off": the switch on the server's NIC."""
    said = testbed.guest("server", "ethtool -k lab0 | grep ^generic-receive-offload:")
    return said.split()[1]


def process_of(testbed: Testbed, role: str) -> int:
    """Return the id of a machine's QEMU."""
    there = machine_processes(testbed.prefix)
    (pid,) = (p for p, name in there.items() if name == testbed.prefix + role)
    return pid


def domain(testbed: Testbed, action: str, role: str) -> None:
    """Have libvirt do something to a machine behind the tool's back."""
    virsh(Account.current(), [action, testbed.prefix + role], 30)


def mends(testbed: Testbed, planned: str) -> None:
    """Bring the machines up again, as it was planned; nothing is left of the trial."""
    assert testbed.run("up", "--dry-run").stdout.startswith(planned)
    assert testbed.run("up").returncode == 0
    assert testbed.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"


def libvirt_daemon() -> int:
    """Return the id of the session daemon of the account that the machines belong to."""
    uid = str(Account.current().uid)
    argv = ["pgrep", "-u", uid, "-x", "libvirtd|virtqemud"]
    return int(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()[0])


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
