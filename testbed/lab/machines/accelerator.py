# SPDX-License-Identifier: Apache-2.0
"""KVM where it works, emulation where it does not: found out by trying.

/dev/kvm may exist, answer the API version and still never run a kernel. So the
probe boots the box's own kernel, lets it start /bin/true as init and waits for the
panic that follows; a kernel that gets there runs on this KVM. How long that takes is
no matter, as long as its console says more and more: a KVM inside of another one is slow.
"""

import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.kvm_words import BUSY, kvm_failure
from testbed.lab.machines.box import Box
from testbed.model.errors import HostError

SILENCE_S = 20.0
"""A kernel says something each second, even where it is slow; on a KVM that does not work, nothing.
Measured: the longest silence of an emulated boot on two busy cores is 6 s.
"""
BOOT_LIMIT_S = 180.0
"""Emulation gets there within half a minute: a KVM that needs so long is of no use."""
LOOK_EVERY_S = 0.1
GOT_THERE = "Attempted to kill init"
DEVICE = Path("/dev/kvm")


@dataclass(frozen=True)
class Accelerator:
    """The way to run the guests' CPUs (`kvm` or `emulation`) and the reason."""

    name: str
    reason: str

    @property
    def driver(self) -> str:
        """libvirt's word for it."""
        return "kvm" if self.name == "kvm" else "qemu"

    @property
    def cpu_mode(self) -> str:
        """The CPU model that goes with it."""
        return "host-passthrough" if self.name == "kvm" else "maximum"


def emulating(reason: str) -> str:
    """Return the warning for machines without KVM; `reason` is an Accelerator's."""
    return f"no KVM: {reason}. Emulating the CPUs: slower, same code."


def choose(wanted: str, account: Account, box: Box) -> Accelerator:
    """Return the accelerator for `wanted` (auto, kvm or emulation).

    Raises HostError when KVM is asked for and does not work.
    """
    if wanted == "emulation":
        return Accelerator("emulation", "asked for in testbed.toml")
    problem = _problem(account, box)
    if problem is None:
        return Accelerator("kvm", f"proved by booting Linux {box.kernel}")
    if wanted == "kvm":
        raise HostError(
            f"KVM does not work here: {problem}",
            hint='set accelerator = "auto" in testbed.toml to run under emulation',
        )
    return Accelerator("emulation", problem)


def _problem(account: Account, box: Box) -> str | None:
    problem = no_device() or no_right(account)
    if problem is not None:
        return problem
    known = recall(account, box)
    if known is not None:
        return known or None
    problem = boot(account, box, silence_s=SILENCE_S, limit_s=BOOT_LIMIT_S)
    if BUSY not in (problem or ""):  # the one who has it may give it back any time
        remember(account, box, problem or "")
    return problem


def no_device() -> str | None:
    """Return why there is nothing to try, None where there is."""
    return None if DEVICE.exists() else f"there is no {DEVICE}"


def no_right(account: Account) -> str | None:
    """Return why this account cannot try it, None where it can."""
    test = account.command(["test", "-r", str(DEVICE), "-a", "-w", str(DEVICE)])
    if host.run(test, check=False).returncode == 0:
        return None
    return f"{DEVICE} exists, but {account.name or 'this user'} may not use it"


def recall(account: Account, box: Box) -> str | None:
    """Return what a trial with this box found since the host's boot: why not, or "" if it works.

    None where it was not tried.
    """
    try:
        text = _memory(account).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return text.removeprefix(_key(box)) if text.startswith(_key(box)) else None


def remember(account: Account, box: Box, problem: str) -> None:
    """Keep what a trial found, as `recall` returns it."""
    account.write(_memory(account), _key(box) + problem)


def forget(account: Account, box: Box) -> str | None:
    """Forget that KVM works; return when that was found out (local time).

    None where that is not what is remembered; then nothing is forgotten.
    """
    if recall(account, box) != "":
        return None
    found = time.localtime(_memory(account).stat().st_mtime)
    _memory(account).unlink()
    return time.strftime("%d %B, %H:%M", found)


def _memory(account: Account) -> Path:
    return account.data_dir / "kvm-probe"


def _key(box: Box) -> str:
    return f"{box.recipe} {_boot_id()}\n"


class StillBooting(Exception):
    """The time was up, and the kernel still made progress."""


def boot(account: Account, box: Box, *, silence_s: float, limit_s: float) -> str | None:
    """Boot the box's kernel as far as its first process; None when it gets there, else why not.

    It is given up when its console says nothing new for `silence_s`, or after `limit_s`.
    """
    try:
        return try_boot(account, box, silence_s=silence_s, limit_s=limit_s)
    except StillBooting:
        return f"{DEVICE} works, but a kernel needs more than {limit_s:g} s to boot on it"


def try_boot(account: Account, box: Box, *, silence_s: float, limit_s: float) -> str | None:
    """Do as `boot`, but raise StillBooting when the kernel still makes progress at `limit_s`."""
    with tempfile.TemporaryDirectory(prefix="testbed-kvm-") as folder:
        account.own(Path(folder))
        console = Path(folder) / "testbed-kvm-console.log"
        words = Path(folder) / "words"
        with words.open("wb") as output:
            argv = account.command(_command(box, console))
            with host.beside(argv, output=output) as process:
                ended = _follow(process, console, silence_s, limit_s)
        said = _text(console)
        if GOT_THERE in said:
            return None
        if not ended:
            more = " more" if said else ""
            return (
                f"{DEVICE} exists, but a kernel that was booted on it said nothing{more} for "
                f"{min(silence_s, limit_s):g} s"
            )
        if (refusal := kvm_failure(_text(words))) is not None:
            return f"{DEVICE} exists, but {refusal}"
        last = (_text(words).strip().splitlines() or ["QEMU ended early"])[-1]
        return f"{DEVICE} exists, but no kernel boots on it ({last})"


def _follow(
    process: "subprocess.Popen[str]", console: Path, silence_s: float, limit_s: float
) -> bool:
    """Wait for QEMU's end; False where its console fell silent.

    Raises StillBooting when it speaks until `limit_s`.
    """
    began = heard = time.monotonic()
    size = 0
    while process.poll() is None:
        now = time.monotonic()
        if (grown := _size(console)) != size:
            size, heard = grown, now
        if now - heard >= silence_s:
            return False
        if now - began >= limit_s:
            if size:
                raise StillBooting
            return False
        time.sleep(LOOK_EVERY_S)
    return True


def _command(box: Box, console: Path) -> list[str]:
    """Return QEMU's command line; the kernel's decompressor speaks, too, so that it is heard of.

    It ends with this program (--pdeathsig), even on SIGKILL.
    """
    return [
        host.find("setpriv", package="util-linux"), "--pdeathsig", "KILL",
        host.find("qemu-system-x86_64", package="qemu-system-x86"),
        "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-no-reboot",
        "-display", "none", "-serial", f"file:{console}",
        "-kernel", str(box.folder / "vmlinuz"), "-initrd", str(box.folder / "initrd.img"),
        "-append", "earlyprintk=ttyS0 console=ttyS0 rdinit=/bin/true panic=-1",
    ]  # fmt: skip


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(os.getpid())
