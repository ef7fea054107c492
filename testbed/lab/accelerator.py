# SPDX-License-Identifier: Apache-2.0
"""KVM where it works, emulation where it does not: found out by trying.

/dev/kvm may exist, answer the API version and still never run a kernel. So the
probe boots the box's own kernel, lets it start /bin/true as init and waits for the
panic that follows; a kernel that gets there within the limit runs on this KVM.
"""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from testbed.edge import host
from testbed.edge.account import Account
from testbed.lab.box import Box
from testbed.model.errors import HostError

PROBE_LIMIT_S = 20
DEVICE = Path("/dev/kvm")


@dataclass(frozen=True)
class Accelerator:
    """What runs the guests' CPUs (`kvm` or `emulation`) and why."""

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
    problem = boot(account, box, PROBE_LIMIT_S)
    account.write(_memory(account), _key(box) + (problem or ""))
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


def _memory(account: Account) -> Path:
    return account.data_dir / "kvm-probe"


def _key(box: Box) -> str:
    return f"{box.recipe} {_boot_id()}\n"


def boot(account: Account, box: Box, limit_s: float) -> str | None:
    """Boot the box's kernel as far as its first process; None when it gets there."""
    with tempfile.NamedTemporaryFile(prefix="testbed-kvm-", suffix=".log") as log:
        account.own(Path(log.name))
        argv = [
            host.find("qemu-system-x86_64", package="qemu-system-x86"),
            "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-no-reboot",
            "-display", "none", "-serial", f"file:{log.name}",
            "-kernel", str(box.folder / "vmlinuz"), "-initrd", str(box.folder / "initrd.img"),
            "-append", "console=ttyS0 rdinit=/bin/true panic=-1",
        ]  # fmt: skip
        try:
            result = host.run(account.command(argv), timeout_s=limit_s, check=False)
        except HostError:
            return f"{DEVICE} exists, but a kernel did not boot on it within {limit_s:g} s"
        said = Path(log.name).read_text(errors="replace")
        if "Attempted to kill init" in said:
            return None
        words = (result.stderr.strip().splitlines() or ["QEMU ended early"])[-1]
        return f"{DEVICE} exists, but no kernel boots on it ({words})"


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return str(os.getpid())
