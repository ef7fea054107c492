# SPDX-License-Identifier: Apache-2.0
"""The command line of the counting machine's QEMU: one CPU, always emulated, its flags pinned.

Not Vagrant's: this machine lives only while a command counts. Its QEMU ends with the command,
even on SIGKILL, and what stays is one disk file with the saved state in it.
"""

import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.computer import host
from testbed.lab.machines.box import Box
from testbed.lab.machines.machines_json import LAB_MACS, MGMT_MAC
from testbed.model.errors import HostError

FLAGS = (
    "ssse3", "sse4.1", "sse4.2", "popcnt", "aes", "pclmulqdq", "movbe", "xsave", "xsaveopt",
    "xgetbv1", "avx", "avx2", "f16c", "fma", "rdrand", "fsgsbase", "bmi1", "bmi2", "smep", "smap",
    "erms", "adx", "clflushopt", "clwb", "umip", "rdtscp", "pdpe1gb", "abm", "sse4a",
    "3dnowprefetch", "arat",
)  # fmt: skip
CPU = ",".join(("qemu64", *(f"+{flag}" for flag in FLAGS), "-svm"))
"""Not `max`, which has other flags in every version of QEMU: by them the kernel chooses how it
copies. These are what QEMU 7.2 emulates of a usual server's; a kernel takes it for an AMD CPU.
"""


STEADY = "nokaslr cgroup.memory=nokmem"
"""Added to the box's own kernel parameters. Addresses are then the same in every boot. And with the
memory controller's accounting of kernel objects, freeing a socket buffer takes 23 instructions more
when it shares its page with an accounted one, which is chance.
"""


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


def kernel_parameters(checkout: Path) -> str:
    """Return what the kernel is booted with: as the box boots by itself, and `STEADY`.

    Raises HostError when the box's recipe names none.
    """
    recipe = checkout / "guest/box/syslinux.cfg"
    for line in recipe.read_text().splitlines():
        if line.strip().startswith("APPEND "):
            return f"{line.strip().removeprefix('APPEND ')} {STEADY}"
    raise HostError(f"{recipe} has no line APPEND", hint="`git checkout` brings it back")


def booting(box: Box, parameters: str) -> list[str]:
    """Return the options that boot the box's kernel directly, with parameters of our own."""
    kernel, initrd = box.folder / "vmlinuz", box.folder / "initrd.img"
    return ["-kernel", str(kernel), "-initrd", str(initrd), "-append", parameters]


def command(
    disk: Path,
    ports: Ports,
    *,
    name: str,
    memory_mb: int,
    nic_model: str,
    monitor_fd: int,
    console: Path,
    boot: Sequence[str],
    restore: str | None = None,
    plugin: str | None = None,
) -> list[str]:
    """Return the command line.

    `boot` is what `booting` returns; `restore` names a saved state, `plugin` is a file with its
    arguments.
    """
    argv = [
        host.find("setpriv", package="util-linux"), "--pdeathsig", "KILL", qemu_path(),
        "-name", f"guest={name}",
        "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", CPU, "-smp", "1",
        "-m", str(memory_mb), "-display", "none", "-nodefaults", "-no-reboot",
        "-drive", f"if=virtio,cache=unsafe,format=qcow2,file={str(disk).replace(',', ',,')}",
        "-chardev", f"socket,id=monitor,fd={monitor_fd}", "-mon", "chardev=monitor,mode=control",
        "-serial", f"file:{str(console).replace(',', ',,')}",
        "-netdev", f"socket,id=lab,udp=127.0.0.1:{ports.link_host},"
        f"localaddr=127.0.0.1:{ports.link_guest}",
        "-device", f"{nic_model},netdev=lab,mac={LAB_MACS['server']}",
        "-netdev", f"user,id=mgmt,restrict=on,hostfwd=tcp:127.0.0.1:{ports.ssh}-:22",
        "-device", f"virtio-net-pci,netdev=mgmt,mac={MGMT_MAC},romfile=",
        "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
        *boot,
    ]  # fmt: skip
    if restore is not None:
        argv += ["-loadvm", restore]
    if plugin is not None:
        argv += ["-plugin", plugin]
    return argv
