# SPDX-License-Identifier: Apache-2.0
"""A machine to throw away: waited for without guessing, and gone with its command."""

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.lab.doctor import boot
from testbed.lab.machines.accelerator import Accelerator
from testbed.lab.machines.box import Box
from testbed.model.errors import HostError, MachineError

EMULATED = Accelerator("emulation", "no /dev/kvm")
# In place of QEMU: finds the forwarded port in its words, and does one thing there.
QEMU = """
import os, re, socket, sys, time
open(os.path.join(os.path.dirname(sys.argv[1]), "pid"), "w").write(str(os.getpid()))
print("its console", flush=True)
behaviour = open(os.path.join(os.path.dirname(sys.argv[1]), "behaviour")).read()
if behaviour == "dies":
    print("Kernel panic", flush=True)
    sys.exit(3)
port = int(re.search(r"hostfwd=tcp:127.0.0.1:(\\d+)-:22", " ".join(sys.argv))[1])
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
time.sleep(0.2)
server.bind(("127.0.0.1", port))
server.listen()
for number in range(10**6):
    link, _ = server.accept()
    if behaviour == "answers" and number >= 2:
        link.sendall(b"SSH-2.0-OpenSSH_9.2\\r\\n")
        time.sleep(60)
    if behaviour == "slow":
        time.sleep(0.6)
        link.sendall(b"SSH-2.0-OpenSSH_9.2\\r\\n")
        time.sleep(60)
    if behaviour == "silent":
        time.sleep(60)
    link.close()
"""


@pytest.fixture
def box(tmp_path: Path) -> Box:
    folder = tmp_path / "a, b"
    folder.mkdir()
    (tmp_path / "box.img").write_bytes(b"x" * 1000)
    with tarfile.open(folder / "testbed.box", "w") as tar:
        tar.add(tmp_path / "box.img", "box.img")
    return Box("0123456789ab", folder, 1, "2025", "6.1.0", "00")


@pytest.fixture
def qemu(tmp_path: Path, tool: Callable[[str, str], Path]) -> Callable[[str], Path]:
    """A function that puts a pretended QEMU on the path; returns where its process id will be."""

    def make(behaviour: str) -> Path:
        (tmp_path / "qemu.py").write_text(QEMU)
        (tmp_path / "behaviour").write_text(behaviour)
        tool("qemu-system-x86_64", f'exec {sys.executable} {tmp_path}/qemu.py {tmp_path}/x "$@"')
        return tmp_path / "pid"

    return make


def is_gone(pid_file: Path) -> bool:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.kill(int(pid_file.read_text()), 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_the_command_line(box: Box) -> None:
    words = boot.command(box, EMULATED, 40001, 4711)
    line = " ".join(words)
    assert words[1:3] == ["--pdeathsig", "KILL"]
    assert "-name guest=testbed-doctor-4711" in line
    assert "-accel tcg -cpu max" in line
    assert "-m 512" in line
    assert "-snapshot" in words  # nothing of it stays
    assert "user,id=mgmt,restrict=on,hostfwd=tcp:127.0.0.1:40001-:22" in words
    assert not any("bridge" in word or "0.0.0.0" in word for word in words)
    (image,) = (word for word in words if "format=qcow2" in word)
    assert f"file.file.filename={box.folder.parent}/a,, b/testbed.box" in image
    offset = int(image.partition("file.offset=")[2].partition(",")[0])
    assert offset % 512 == 0
    assert box.box.read_bytes()[offset : offset + 1000] == b"x" * 1000
    assert "file.size=1000," in image
    assert "-accel kvm -cpu host" in " ".join(boot.command(box, Accelerator("kvm", ""), 1, 1))


def test_it_answers_after_two_refusals(
    account: Account, box: Box, qemu: Callable[[str], Path]
) -> None:
    pid = qemu("answers")
    took_s = boot.seconds_to_ssh(account, box, EMULATED, 20)
    assert 0.2 < took_s < 10
    assert is_gone(pid)


def test_a_slow_sshd_is_waited_for(account: Account, box: Box, qemu: Callable[[str], Path]) -> None:
    """Under emulation it takes seconds to speak, and longer when it is asked again meanwhile."""
    qemu("slow")
    assert 0.6 < boot.seconds_to_ssh(account, box, EMULATED, 20) < 10


def test_it_ends_early(account: Account, box: Box, qemu: Callable[[str], Path]) -> None:
    pid = qemu("dies")
    start = time.monotonic()
    with pytest.raises(MachineError, match=r"ended after \d.* \(exit status 3\)") as caught:
        boot.seconds_to_ssh(account, box, EMULATED, 60)
    assert time.monotonic() - start < 10
    assert caught.value.detail == "its console\nKernel panic"
    assert is_gone(pid)


@pytest.mark.parametrize("behaviour", ["silent", "refuses"])
def test_it_does_not_answer(
    account: Account, box: Box, qemu: Callable[[str], Path], behaviour: str
) -> None:
    pid = qemu(behaviour)
    with pytest.raises(MachineError, match=r"did not answer SSH within 1\.5 s") as caught:
        boot.seconds_to_ssh(account, box, EMULATED, 1.5)
    assert caught.value.detail == "its console"
    assert is_gone(pid)


def test_a_box_that_is_damaged(account: Account, box: Box) -> None:
    box.box.write_bytes(b"no tar")
    with pytest.raises(HostError, match="is damaged") as caught:
        boot.seconds_to_ssh(account, box, EMULATED, 1)
    assert "`testbed box build`" in caught.value.hint


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_ends_with_a_command_that_is_killed(
    box: Box, qemu: Callable[[str], Path], number: signal.Signals
) -> None:
    pid = qemu("silent")
    argv = boot.command(box, EMULATED, 40001, 1)
    argv[argv.index("--pdeathsig") - 1] = shutil.which("setpriv") or "setpriv"
    code = f"import subprocess, time\nsubprocess.Popen({argv!r})\ntime.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    parent.send_signal(number)
    parent.wait()
    assert is_gone(pid)
