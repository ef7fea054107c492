# SPDX-License-Identifier: Apache-2.0
"""The box: built here from Debian's packages, again only when its recipe changes.

A box is named by a hash over its recipe (guest/box/, the image builder, Debian's release, the
mirror, a kernel of one's own, this machine's public key): an edited recipe is another box.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path

from testbed.edge.computer import host, lasting
from testbed.edge.computer.account import Account
from testbed.edge.output.terminal import Terminal
from testbed.lab.guests.own_arms import own_arms
from testbed.lab.kernels.own_kernel import RECORD, KernelPackage, OwnKernel
from testbed.lab.machines import image
from testbed.model.config import BoxConfig
from testbed.model.errors import HostError, MachineError
from testbed.model.run_files import checksum

BUILD_BYTES = 6 * 1024**3
SCRATCH_PREFIX = "testbed-box-"


@dataclass(frozen=True)
class Box:
    """A built box: `box` is what Vagrant adds; kernel and initrd serve the KVM probe."""

    recipe: str
    folder: Path
    size_bytes: int
    built_utc: str
    kernel: str
    sha256: str

    @property
    def name(self) -> str:
        """The box's name in Vagrant."""
        return f"testbed-{self.recipe}"

    @property
    def box(self) -> Path:
        """The box file."""
        return self.folder / "testbed.box"

    @property
    def packages(self) -> Path:
        """The box's content: a package and its version a line."""
        return self.folder / "packages.txt"


@dataclass(frozen=True)
class BoxStore:
    """The boxes of one account."""

    account: Account
    checkout: Path
    source: BoxConfig = field(default_factory=BoxConfig)

    @property
    def recipe_dir(self) -> Path:
        """The recipe in the checkout."""
        return self.checkout / "guest/box"

    def public_key(self) -> str:
        """Return this machine's public key, made at the first call (mode 0600, no passphrase)."""
        key = self.private_key
        if not key.exists():
            self.account.make_dir(key.parent)
            keygen = host.find("ssh-keygen", package="openssh-client")
            argv = [keygen, "-q", "-t", "ed25519", "-N", "", "-C", "testbed", "-f", str(key)]
            host.run(self.account.command(argv))
        return key.with_suffix(".pub").read_text()

    @property
    def private_key(self) -> Path:
        """The key that opens the guests; it never leaves this machine."""
        return self.account.data_dir / "ssh/id_ed25519"

    @property
    def own_kernel(self) -> OwnKernel | None:
        """The kernel in place of the distribution's, if testbed.toml names one."""
        return OwnKernel.of(self.source, self.checkout)

    def recipe(self) -> str:
        """Return 12 hex digits that change when anything that goes into the box does."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self.recipe_dir.rglob("*") if p.is_file()):
            name = f"{path.relative_to(self.recipe_dir)} {path.stat().st_mode & 0o100}"
            digest.update(name.encode() + b"\0" + path.read_bytes() + b"\0")
        digest.update(Path(image.__file__).read_bytes() + b"\0")
        source = f"{self.source.suite} {self.source.mirror}"
        digest.update(source.encode() + b"\0" + self.public_key().encode())
        if own := self.own_kernel:
            digest.update(" ".join(own.digests()).encode())
        return digest.hexdigest()[:12]

    def find(self) -> Box | None:
        """Return the box of today's recipe, if it is built."""
        folder = self.account.data_dir / "boxes" / self.recipe()
        try:
            box = Box(folder=folder, **json.loads((folder / "box.json").read_text()))
        except (OSError, ValueError, TypeError):
            return None
        return box if box.box.is_file() else None

    def build(self, terminal: Terminal) -> Box:
        """Build the box of today's recipe, or return it when it is there.

        Raises ConfigError for a kernel that does not fit, HostError for too little disk,
        MachineError when a step fails; a half-built box is never left under its final name.
        """
        if (existing := self.find()) is not None:
            return existing
        recipe = self.recipe()
        own = self.own_kernel
        kernel = own.look(terminal) if own else None
        parent = self.account.make_dir(self.account.data_dir / "boxes")
        scratch = scratch_dir()
        for place in (parent, scratch):
            _demand_room(place)
        end_left_builds(self.account, terminal)
        work = Path(tempfile.mkdtemp(prefix=SCRATCH_PREFIX, dir=scratch))
        builder = image.ImageBuilder(self.account, terminal, work, self.source)
        try:
            with in_use(work):
                self._stage(work)
                record = own.stage(work, kernel) if own and kernel else None
                return self._store(builder.build(), parent / recipe, record)
        finally:
            builder.remove_tree()
            shutil.rmtree(work, ignore_errors=True)

    def _stage(self, work: Path) -> None:
        """Copy the recipe to where the account, and its user namespace, can read it."""
        shutil.copytree(self.recipe_dir, work / "recipe")
        (work / "recipe/authorized_keys").write_text(self.public_key())
        with tarfile.open(work / "recipe/files.tar", "w") as tar:
            tar.add(self.recipe_dir / "files", ".", filter=_as_roots)
        (work / "recipe/own-arms.tar").write_bytes(own_arms(self.checkout))
        self.account.own(work)
        work.chmod(0o711)

    def _store(self, disk: Path, folder: Path, own: KernelPackage | None) -> Box:
        work = disk.parent
        new = folder.with_name(f"{folder.name}.{secrets.token_hex(4)}.new")
        self.account.make_dir(new)
        metadata = {"provider": "libvirt", "format": "qcow2", "virtual_size": 4}
        (work / "metadata.json").write_text(json.dumps(metadata))
        with tarfile.open(new / "testbed.box", "w") as tar:
            tar.add(work / "metadata.json", "metadata.json")
            tar.add(disk, "box.img")
        kernel = image.one(work / "boot", "vmlinuz-*")
        shutil.copy(kernel, new / "vmlinuz")
        shutil.copy(image.one(work / "boot", "initrd.img-*"), new / "initrd.img")
        shutil.copy(work / "packages.txt", new / "packages.txt")
        if own is not None:
            (new / RECORD).write_text(own.as_json())
        box = Box(
            recipe=folder.name,
            folder=folder,
            size_bytes=(new / "testbed.box").stat().st_size,
            built_utc=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            kernel=kernel.name.removeprefix("vmlinuz-"),
            sha256=checksum(new / "testbed.box"),
        )
        facts = {name: value for name, value in asdict(box).items() if name != "folder"}
        (new / "box.json").write_text(json.dumps(facts, indent=2) + "\n")
        self.account.own(new)
        shutil.rmtree(folder, ignore_errors=True)
        new.rename(folder)
        return box

    def verify(self, box: Box) -> None:
        """Raise MachineError when a box is not, byte for byte, what was built."""
        if (found := checksum(box.box)) != box.sha256:
            raise MachineError(
                f"the box {box.box} is not what was built here",
                hint="`testbed box remove` and `testbed up` build it anew",
                detail=f"SHA-256 when it was built: {box.sha256}\nnow: {found}",
            )

    def remove(self) -> list[Path]:
        """Delete every box of this account, today's and those of older recipes."""
        parent = self.account.data_dir / "boxes"
        removed = sorted(parent.iterdir()) if parent.exists() else []
        for folder in removed:
            shutil.rmtree(folder)
        return removed


def scratch_dir() -> Path:
    """Return where boxes are built."""
    return Path(os.environ.get("TMPDIR", "/var/tmp"))


def end_left_builds(account: Account, terminal: Terminal) -> None:
    """End what builds a box for a command that was killed, and delete what there is of that."""
    for note in scratch_dir().glob(f"{SCRATCH_PREFIX}*/{lasting.NOTE}"):
        work = note.parent
        if is_in_use(work) or work.stat().st_uid != account.uid:
            continue
        if (found := lasting.left(note, account)) is not None:
            what = f"`{found.what}` (process {found.process.pid})"
            terminal.warn(f"{what} still built a box for a command that was killed: ended now")
            found.end()
        image.ImageBuilder(account, terminal, work, BoxConfig()).remove_tree()
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def in_use(work: Path) -> Iterator[None]:
    """Let everybody see that this folder is being built in; the mark ends with the process."""
    with (work / "in-use").open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX)
        yield


def is_in_use(work: Path) -> bool:
    """Whether a process that still runs is building in this folder."""
    try:
        mark = os.open(work / "in-use", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # no mark, so no build
        return False
    try:
        fcntl.flock(mark, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(mark)
    return False


def _as_roots(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Files of the overlay belong to root in the box, whoever owns the checkout."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
    return member


def _demand_room(place: Path) -> None:
    free = shutil.disk_usage(place).free
    if free < BUILD_BYTES:
        raise HostError(
            f"too little disk: {place} has {free / 1e9:.1f} GB free, the box's build needs "
            f"{BUILD_BYTES / 1e9:.0f} GB",
            hint="free some room, or point TMPDIR at a larger disk",
        )
