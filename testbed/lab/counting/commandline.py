# SPDX-License-Identifier: Apache-2.0
"""The command line of the counting machine's QEMU: one CPU, always emulated, its flags pinned.

Not Vagrant's: this machine lives only while a command counts. Its QEMU ends with the command,
even on SIGKILL, and what stays is one disk file with the saved state in it.
"""

import json
import os
import tarfile
from dataclasses import dataclass
from pathlib import Path

from testbed.edge import host
from testbed.lab.box import Box
from testbed.lab.settings import LAB_MACS, MGMT_MAC
from testbed.model.errors import HostError

CPU = "max"


@dataclass(frozen=True)
class Ports:
    """Ports of 127.0.0.1: the guest's SSH, and the two ends of the link."""

    ssh: int
    link_guest: int
    link_host: int


def qemu_path() -> str:
    """Return QEMU's path; raises HostError where it is not installed."""
    return host.find("qemu-system-x86_64", package="qemu-system-x86")


def backing(box: Box) -> str:
    """Return the disk image inside the box file, as QEMU names it: it need not be unpacked.

    Raises HostError when the box is damaged.
    """
    try:
        with tarfile.open(box.box) as tar:
            member = tar.getmember("box.img")
    except (OSError, tarfile.TarError, KeyError) as error:
        raise HostError(
            f"{box.box} is damaged: {error}", hint="`testbed box remove`, then `testbed box build`"
        ) from error
    inner = {"driver": "file", "filename": str(box.box)}
    place = {"offset": member.offset_data, "size": member.size}
    image = {"driver": "qcow2", "file": {"driver": "raw", **place, "file": inner}}
    return "json:" + json.dumps(image)


def command(
    disk: Path,
    ports: Ports,
    *,
    name: str,
    memory_mb: int,
    nic_model: str,
    monitor_fd: int,
    restore: str | None = None,
    plugin: str | None = None,
) -> list[str]:
    """Return the command line; `restore` names a saved state, `plugin` is a file and arguments."""
    argv = [
        host.find("setpriv", package="util-linux"), "--pdeathsig", "KILL", qemu_path(),
        "-name", f"guest={name}",
        "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "1",
        "-m", str(memory_mb), "-display", "none", "-nodefaults", "-no-reboot",
        "-drive", f"if=virtio,cache=unsafe,format=qcow2,file={str(disk).replace(',', ',,')}",
        "-chardev", f"socket,id=monitor,fd={monitor_fd}", "-mon", "chardev=monitor,mode=control",
        "-serial", "null",
        "-netdev", f"socket,id=lab,udp=127.0.0.1:{ports.link_host},"
        f"localaddr=127.0.0.1:{ports.link_guest}",
        "-device", f"{nic_model},netdev=lab,mac={LAB_MACS['server']}",
        "-netdev", f"user,id=mgmt,restrict=on,hostfwd=tcp:127.0.0.1:{ports.ssh}-:22",
        "-device", f"virtio-net-pci,netdev=mgmt,mac={MGMT_MAC},romfile=",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]  # fmt: skip
    if restore is not None:
        argv += ["-loadvm", restore]
    if plugin is not None:
        argv += ["-plugin", plugin]
    return argv


def machine_name(project_id: str) -> str:
    """Return the machine's name, under which `--orphans` and `down --destroy` look for it."""
    return f"testbed-count-{project_id}-{os.getpid()}"
