# SPDX-License-Identifier: Apache-2.0
"""A throw-away machine from the box: does one start here, and how long does that take?

Plain QEMU, without libvirt and Vagrant, so that a machine that does not come up can be told from
one that they do not bring up. It boots from inside the box file, writes to nothing that stays,
reaches no network, and ends with the command, however that ends.
"""

import contextlib
import os
import select
import socket
import subprocess
import tarfile
import tempfile
import time
from pathlib import Path
from typing import IO, Any

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.lab.machines.accelerator import Accelerator
from testbed.lab.machines.box import Box
from testbed.lab.machines.machines_json import MGMT_MAC
from testbed.model.errors import HostError, MachineError

MEMORY_MB = 512
AGAIN_S = 4.0
"""Another connection is opened after this: QEMU tries one that the guest did not see ever later."""
AT_ONCE = 3
"""Connections that wait: an emulated sshd takes seconds to speak, and longer with each more."""
REFUSED_S = 0.2
"""Pause after a refusal: the guest's network is up, its sshd is not yet."""
LAST_LINES = 8


def seconds_to_ssh(account: Account, box: Box, chosen: Accelerator, limit_s: float) -> float:
    """Return the seconds from starting a machine until its sshd speaks; then remove it.

    Raises MachineError with the console's last words when it ends early or takes longer than
    `limit_s`.
    """
    port = host.free_port()
    argv = account.command(command(box, chosen, port, os.getpid()))
    with tempfile.TemporaryFile() as console:
        start = time.monotonic()
        with host.beside(argv, output=console) as process:
            if _speaks(process, port, start + limit_s):
                return time.monotonic() - start
            status = process.poll()
        took_s = time.monotonic() - start
        raise MachineError(
            f"the trial machine did not answer SSH within {limit_s:g} s"
            if status is None
            else f"the trial machine ended after {took_s:.1f} s (exit status {status})",
            hint="its console's last words are above; `testbed box show` tells what it booted",
            detail=_tail(console),
        )


def command(box: Box, chosen: Accelerator, port: int, owner: int) -> list[str]:
    """Return QEMU's command line.

    `owner`, this command's process id, is in the machine's name, so that `--orphans` can tell one
    whose command is dead. The kernel ends it with its parent (--pdeathsig), even on SIGKILL.
    """
    kvm = chosen.name == "kvm"
    offset, size = _image_in(box.box)
    image = (
        f"if=virtio,cache=unsafe,format=qcow2,file.driver=raw,file.offset={offset},"
        f"file.size={size},file.file.driver=file,file.file.filename={_escaped(box.box)}"
    )
    return [
        host.find("setpriv", package="util-linux"),
        "--pdeathsig",
        "KILL",
        host.find("qemu-system-x86_64", package="qemu-system-x86"),
        "-name",
        f"guest=testbed-doctor-{owner}",
        "-machine",
        "pc",
        "-accel",
        "kvm" if kvm else "tcg",
        "-cpu",
        "host" if kvm else "max",
        "-smp",
        "1",
        "-m",
        str(MEMORY_MB),
        "-display",
        "none",
        "-nodefaults",
        "-no-reboot",
        "-snapshot",
        "-drive",
        image,
        "-serial",
        "stdio",
        "-netdev",
        f"user,id=mgmt,restrict=on,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device",
        f"virtio-net-pci,netdev=mgmt,mac={MGMT_MAC},romfile=",
    ]


def _image_in(box: Path) -> tuple[int, int]:
    """Return where in the box file the image begins, and its size: it need not be unpacked."""
    try:
        with tarfile.open(box) as tar:
            member = tar.getmember("box.img")
            return member.offset_data, member.size
    except (OSError, tarfile.TarError, KeyError) as error:
        raise HostError(
            f"{box} is damaged: {error}", hint="`testbed box remove`, then `testbed box build`"
        ) from error


def _escaped(path: Path) -> str:
    return str(path).replace(",", ",,")


def _speaks(process: subprocess.Popen[str], port: int, deadline: float) -> bool:
    """Wait until sshd sends its banner; False when the process ended or the time is up."""
    links: list[socket.socket] = []
    with contextlib.ExitStack() as stack:
        ended = os.pidfd_open(process.pid)
        stack.callback(os.close, ended)
        stack.callback(_close, links)
        open_at = time.monotonic()
        while (now := time.monotonic()) < deadline:
            if now >= open_at:
                link = _connected(port)
                links += [link] if link else []
                open_at = now + (AGAIN_S if link else REFUSED_S)
                if len(links) > AT_ONCE:
                    links.pop(0).close()
            watched: list[Any] = [ended, *links]
            ready, _, _ = select.select(watched, [], [], max(0, min(open_at, deadline) - now))
            if ended in ready:
                return False
            for link in ready:
                if _is_banner(link):
                    return True
                links.remove(link)
                link.close()
                open_at = min(open_at, time.monotonic() + REFUSED_S)
    return False


def _close(links: list[socket.socket]) -> None:
    for link in links:
        link.close()


def _connected(port: int) -> socket.socket | None:
    """Return a connection to the forwarded port; None while QEMU does not listen yet."""
    try:
        return socket.create_connection(("127.0.0.1", port), timeout=AGAIN_S)
    except OSError:
        return None


def _is_banner(link: socket.socket) -> bool:
    """Whether what came is sshd's first word, and not the end of the connection."""
    try:
        return link.recv(4) == b"SSH-"
    except OSError:
        return False


def _tail(console: IO[bytes]) -> str:
    console.seek(0)
    lines = console.read().decode(errors="replace").split("\n")
    return "\n".join([line.rstrip() for line in lines if line.strip()][-LAST_LINES:])
