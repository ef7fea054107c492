# SPDX-License-Identifier: Apache-2.0
"""From a recipe to a disk that boots by itself, without root and without loop devices.

Debian's packages become a tree (mmdebstrap, in a user namespace); the tree becomes
an ext4 partition written in place (mke2fs -d); kernel and initrd go to a FAT
partition with syslinux. Everything is a plain file until qemu-img packs it.
"""

import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.computer import host, lasting, user_namespaces
from testbed.edge.computer.account import Account
from testbed.edge.output import journal
from testbed.edge.output.terminal import Terminal
from testbed.model.config import BoxConfig
from testbed.model.errors import HostError, MachineError

ARCHITECTURE = "x86_64"
TRUSTED = Path("/etc/apt/trusted.gpg.d")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MBR_CODE = Path("/usr/lib/syslinux/mbr/mbr.bin")
MIB = 1024 * 1024
BOOT_START_MIB, BOOT_MIB, ROOT_MIB = 1, 63, 4032
DISK_ID = "0x74657374"  # chosen by nobody: two builds are alike


@dataclass(frozen=True)
class ImageBuilder:
    """Builds one disk in `work`, a folder of `account`'s that holds `recipe/`."""

    account: Account
    terminal: Terminal
    work: Path
    source: BoxConfig

    def build(self) -> Path:
        """Return the path of the packed qcow2 image; about two minutes without KVM.

        Raises HostError where mmdebstrap would make a box of another architecture.
        """
        if platform.machine() != ARCHITECTURE:
            raise HostError(
                f"this computer is {platform.machine()}, and the box is built on x86-64 alone",
                hint="use a computer with an Intel or AMD CPU",
            )
        with self.terminal.step("box: unpacking Debian packages", expect_s=80):
            self._tree()
        with self.terminal.step("box: writing the disk", expect_s=20):
            self._disk()
        with self.terminal.step("box: packing the image", expect_s=10):
            self._run("qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd",
                      "disk.raw", "box.img", package="qemu-utils")  # fmt: skip
        return self.work / "box.img"

    def _run(self, tool: str, *argv: str, package: str) -> None:
        path = host.find(tool, package=package)
        environment = self.account.environment({"TMPDIR": str(self.work)})
        words = ["env", f"TMPDIR={self.work}", path, *argv]
        journal.on_host(self.account.command(words), self.work)
        said = self.work / "words"
        with said.open("wb") as output, lasting.noted(
            self.account, words, self.work / lasting.NOTE, tool,
            cwd=self.work, environment=environment, output=output,
        ) as process:  # fmt: skip
            status = process.wait()
        if status != 0:
            lines = said.read_text(encoding="utf-8", errors="replace").splitlines()
            log = "\n".join(lines[-25:])
            raise MachineError(
                f"the box could not be built: {tool} failed", hint=_advice(log), detail=log
            )

    def _tree(self) -> None:
        recipe = self.work / "recipe"
        packages = ",".join(_lines(recipe / "packages.txt"))
        excludes = [f"--dpkgopt=path-exclude={p}" for p in _lines(recipe / "excluded-paths.txt")]
        mirror = [self.source.mirror] if self.source.mirror else []
        self._run(
            "mmdebstrap", "--mode=unshare", "--variant=minbase", "--format=directory",
            *self._keyrings(), f"--include={packages}", *excludes,
            "--aptopt=APT::Install-Recommends \"false\"", "--dpkgopt=force-unsafe-io",
            "--essential-hook=tar-in recipe/files.tar /",
            "--customize-hook=mkdir -p \"$1/opt/testbed\"",
            "--customize-hook=upload recipe/authorized_keys /root/authorized_keys",
            "--customize-hook=tar-in recipe/own-arms.tar /opt/testbed",
            "--customize-hook=" + (recipe / "setup.sh").read_text(),
            "--customize-hook=copy-out /boot .",
            "--customize-hook=copy-out /usr/share/testbed/packages.txt .",
            self.source.suite, "tree", *mirror, package="mmdebstrap",
        )  # fmt: skip

    def _keyrings(self) -> list[str]:
        """Return the options that name Debian's keys, and those that this computer's apt trusts.

        The package debian-archive-keyring of Ubuntu 22.04 is older than Debian 12. So the recipe
        has its two keys, which sign 13, too.
        """
        keys = self.work / "recipe/keys"
        for path in (*TRUSTED.glob("*.asc"), *TRUSTED.glob("*.gpg")):
            shutil.copy(path, keys)
        own = [KEYRING] if KEYRING.exists() else []
        return [f"--keyring={place}" for place in (*own, keys)]

    def _disk(self) -> None:
        """Lay out the boot and root partitions on a plain sparse file."""
        disk = self.work / "disk.raw"
        with disk.open("wb") as file:
            file.truncate((BOOT_START_MIB + BOOT_MIB + ROOT_MIB) * MIB)
        # mke2fs runs as the namespace's root, another user to this file. The folder
        # cannot be listed and its name cannot be guessed, so nobody else finds it.
        disk.chmod(0o666)
        root_start = BOOT_START_MIB + BOOT_MIB
        layout = (
            f"label: dos\nlabel-id: {DISK_ID}\nunit: sectors\n"
            f"start={BOOT_START_MIB}MiB, size={BOOT_MIB}MiB, type=c, bootable\n"
            f"start={root_start}MiB, size={ROOT_MIB}MiB, type=83\n"
        )
        host.run([host.find("sfdisk", package="fdisk"), "--quiet", str(disk)], stdin=layout)
        self._run("mmdebstrap", "--unshare-helper",
                  "/sbin/mke2fs", "-q", "-t", "ext4", "-d", "tree",
                  "-E", f"offset={root_start * MIB},lazy_itable_init=0,root_owner=0:0",
                  "-O", "^has_journal", "-m", "0", "-L", "testbed", "disk.raw", f"{ROOT_MIB}M",
                  package="mmdebstrap")  # fmt: skip
        self._boot_partition(disk)

    def _boot_partition(self, disk: Path) -> None:
        boot = self.work / "boot.fat"
        with boot.open("wb") as file:
            file.truncate(BOOT_MIB * MIB)
        self.account.own(boot)
        self._run("mkfs.vfat", "-F", "16", "-n", "BOOT", "boot.fat", package="dosfstools")
        kernel = one(self.work / "boot", "vmlinuz-*")
        initrd = one(self.work / "boot", "initrd.img-*")
        config = self.work / "recipe/syslinux.cfg"
        for source, name in ((kernel, "vmlinuz"), (initrd, "initrd.img"), (config, "syslinux.cfg")):
            self._run("mcopy", "-i", "boot.fat", str(source), f"::{name}", package="mtools")
        self._run("syslinux", "--install", "boot.fat", package="syslinux")
        with disk.open("r+b") as out, boot.open("rb") as image:
            out.write(MBR_CODE.read_bytes()[:440])
            out.seek(BOOT_START_MIB * MIB)
            shutil.copyfileobj(image, out, MIB)

    def remove_tree(self) -> None:
        """Delete the tree, whose files belong to the namespace's users."""
        if (self.work / "tree").exists():
            helper = host.find("mmdebstrap", package="mmdebstrap")
            argv = [helper, "--unshare-helper", "find", "tree", "-mindepth", "1", "-delete"]
            host.run(self.account.command(argv), cwd=self.work, check=False)


def _lines(path: Path) -> list[str]:
    lines = (line.strip() for line in path.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def one(folder: Path, pattern: str) -> Path:
    """Return the one file of `folder` that fits `pattern`."""
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise MachineError(
            f"expected one {pattern} in the box, found {len(found)}",
            hint="a mirror may have been between two states: `testbed box build` again",
        )
    return found[0]


NO_NAMESPACE = (
    "unshare the user namespace", "unshare() failed", "unshare syscall failed", "setgid failed",
    "uid_map", "subuid", "newuidmap",
)  # fmt: skip
"""mmdebstrap's words where it gets no user namespace, or one without rights."""


def _advice(log: str) -> str:
    if "NO_PUBKEY" in log:
        return f"the mirror's key is unknown: put the key of a mirror of your own into {TRUSTED}"
    if "Could not resolve" in log or "Failed to fetch" in log or "Connection" in log:
        return "no package mirror answers: check the network, or set [box] mirror in testbed.toml"
    if "No space left" in log:
        return "the disk is full: the build needs 6 GB in TMPDIR (default /var/tmp)"
    if any(words in log for words in NO_NAMESPACE):
        if (hindrance := user_namespaces.hindrance()) is not None:
            return f"user namespaces are forbidden ({hindrance.setting}): {hindrance.fix}"
        return "unprivileged user namespaces are needed: ./lab sets them up (package uidmap)"
    return "the last lines above are the tool's own; `testbed -v box build` shows the command"
