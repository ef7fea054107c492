# SPDX-License-Identifier: Apache-2.0
"""The box: another one exactly when its recipe is another, and never half a one."""

import hashlib
import json
import re
import shutil
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.edge.computer import user_namespaces
from testbed.edge.computer.account import Account
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines import box as module
from testbed.lab.machines import image
from testbed.lab.machines.box import Box, BoxStore
from testbed.model.config import BoxConfig
from testbed.model.errors import ExitCode, HostError, MachineError
from tests import PROJECT

RECIPE = PROJECT / "guest/box"
FACTS = {
    "recipe": "0123456789ab", "size_bytes": 400_000_000, "built_utc": "2025-01-01T00:00:00+00:00",
    "kernel": "6.1.0-1-amd64", "sha256": "00",
}  # fmt: skip


@pytest.fixture
def store(account: Account, checkout: Path) -> BoxStore:
    return BoxStore(account, checkout)


def lines(name: str) -> list[str]:
    return image._lines(RECIPE / name)


# The recipe


def test_every_package_is_a_package_name() -> None:
    """One comma-separated option takes them all, so a stray comma or blank would be a package."""
    packages = lines("packages.txt")
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) for name in packages)
    assert len(set(packages)) == len(packages)
    needed = {"linux-image-amd64", "linux-headers-amd64", "openssh-server", "qemu-guest-agent",
              "gcc", "make", "clang", "libbpf-dev", "bpftool", "python3", "sysstat", "ethtool",
              "iproute2", "nftables"}  # fmt: skip
    assert needed <= set(packages)


def test_every_excluded_path_is_one() -> None:
    paths = lines("excluded-paths.txt")
    assert all(re.fullmatch(r"(\*/lib)?/[^\s'\",;$`]+", path) for path in paths)
    assert len(set(paths)) == len(paths)
    assert not any("ethernet/intel" in path or "virtio" in path for path in paths)


@pytest.mark.parametrize(
    "name", ["packages.txt", "excluded-paths.txt", "setup.sh", "syslinux.cfg", "files/etc/fstab"]
)
def test_a_changed_file_is_another_box(store: BoxStore, name: str) -> None:
    before = store.recipe()
    path = store.recipe_dir / name
    path.write_text(path.read_text() + "\n")
    assert store.recipe() != before


def test_any_file_of_the_recipe_counts(store: BoxStore) -> None:
    seen = {store.recipe()}
    files = sorted(path for path in store.recipe_dir.rglob("*") if path.is_file())
    for path in files:
        path.write_bytes(path.read_bytes() + b"\n")
        seen.add(store.recipe())
    assert len(seen) == len(files) + 1
    (store.recipe_dir / "files/etc/new").write_text("")
    seen.add(store.recipe())
    (store.recipe_dir / "files/etc/fstab").unlink()
    seen.add(store.recipe())
    assert len(seen) == len(files) + 3


def test_a_file_at_another_place_or_with_another_mode_is_another_box(store: BoxStore) -> None:
    files = store.recipe_dir / "files"
    first = store.recipe()
    (files / "etc/hosts").rename(files / "etc/systemd/hosts")
    moved = store.recipe()
    assert moved != first
    (files / "etc/systemd/hosts").chmod(0o755)
    assert store.recipe() != moved


def test_mirror_key_and_builder_count(
    store: BoxStore, account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = store.recipe()
    mirror = BoxConfig(mirror="http://mirror/debian")
    assert BoxStore(account, store.checkout, mirror).recipe() != first
    assert BoxStore(account, store.checkout, BoxConfig(suite="trixie")).recipe() != first
    key = account.data_dir / "ssh/id_ed25519.pub"
    old = key.read_text()
    key.write_text("ssh-ed25519 BBBB testbed\n")
    assert store.recipe() != first
    key.write_text(old)
    assert store.recipe() == first
    (tmp_path / "image.py").write_text("# another builder\n")
    monkeypatch.setattr(image, "__file__", str(tmp_path / "image.py"))
    assert store.recipe() != first


def test_nothing_else_counts(store: BoxStore, account: Account, tmp_path: Path) -> None:
    first = store.recipe()
    assert re.fullmatch(r"[0-9a-f]{12}", first)
    for path in store.recipe_dir.rglob("*"):
        if path.is_file():
            path.touch()
    (store.checkout / "guest/client.py").write_text("")
    (store.checkout / "testbed.toml").write_text("[bench]\ntrials = 3\n")
    copy = tmp_path / "another checkout"
    shutil.copytree(store.checkout, copy)
    assert store.recipe() == BoxStore(account, copy).recipe() == first


# What is built, and what is not


def built(store: BoxStore) -> Path:
    folder = store.account.data_dir / "boxes" / store.recipe()
    folder.mkdir(parents=True)
    (folder / "testbed.box").write_bytes(b"box")
    (folder / "box.json").write_text(json.dumps(FACTS))
    return folder


def test_a_built_box_is_found(store: BoxStore) -> None:
    assert store.find() is None
    folder = built(store)
    found = store.find()
    assert found == Box(folder=folder, **FACTS)  # type: ignore[arg-type]
    assert (found.name, found.box) == ("testbed-0123456789ab", folder / "testbed.box")
    assert store.build(Terminal(-1)) == found


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"{}", b'{"recipe": "x"}',
     json.dumps({**FACTS, "more": 1}).encode()],
)  # fmt: skip
def test_a_damaged_box_is_not_built(store: BoxStore, content: bytes) -> None:
    (built(store) / "box.json").write_bytes(content)
    assert store.find() is None


def test_a_box_whose_image_is_gone_is_not_built(store: BoxStore) -> None:
    (built(store) / "testbed.box").unlink()
    assert store.find() is None


def test_the_key_is_made_once_and_is_private(account: Account, checkout: Path) -> None:
    shutil.rmtree(account.data_dir / "ssh")
    store = BoxStore(account, checkout)
    public = store.public_key()
    assert public.startswith("ssh-ed25519 ")
    assert stat.S_IMODE(store.private_key.stat().st_mode) == 0o600
    assert BoxStore(account, checkout).public_key() == public


# Building, with a builder that writes small files


class Builder:
    """In place of ImageBuilder: four small files, or a failure in the middle."""

    fails = False
    seen: Path

    def __init__(
        self, _account: Account, _terminal: Terminal, work: Path, source: BoxConfig
    ) -> None:
        self.work, self.source = work, source
        Builder.seen = work

    def build(self) -> Path:
        """Return the disk, or fail with half of it there."""
        assert (self.work / "recipe/authorized_keys").read_text() == "ssh-ed25519 AAAA testbed\n"
        (self.work / "box.img").write_bytes(b"image")
        if Builder.fails:
            raise MachineError("the box could not be built: mmdebstrap failed")
        (self.work / "boot").mkdir()
        (self.work / "boot/vmlinuz-6.1.0-9-amd64").write_bytes(b"kernel")
        (self.work / "boot/initrd.img-6.1.0-9-amd64").write_bytes(b"initrd")
        (self.work / "packages.txt").write_text("bash 5.2\n")
        return self.work / "box.img"

    def remove_tree(self) -> None:
        """Nothing of this one belongs to another user."""


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(image, "ImageBuilder", Builder)
    monkeypatch.setattr(Builder, "fails", False)
    monkeypatch.setattr(module, "BUILD_BYTES", 1)
    return folder


def test_building(store: BoxStore, scratch: Path) -> None:
    box = store.build(Terminal(-1))
    assert box == store.find()
    assert (box.kernel, box.recipe) == ("6.1.0-9-amd64", store.recipe())
    assert box.packages.read_text() == "bash 5.2\n"
    assert (box.folder / "vmlinuz").read_bytes() == b"kernel"
    assert (box.folder / "initrd.img").read_bytes() == b"initrd"
    assert box.size_bytes == box.box.stat().st_size
    with tarfile.open(box.box) as tar:
        assert tar.getnames() == ["metadata.json", "box.img"]
        metadata = json.load(tar.extractfile("metadata.json"))  # type: ignore[arg-type]
    assert (metadata["provider"], metadata["format"]) == ("libvirt", "qcow2")
    assert list(scratch.iterdir()) == []
    assert [path.name for path in box.folder.parent.iterdir()] == [box.recipe]


def test_a_failed_build_leaves_nothing(store: BoxStore, scratch: Path) -> None:
    Builder.fails = True
    with pytest.raises(MachineError):
        store.build(Terminal(-1))
    assert store.find() is None
    assert list(scratch.iterdir()) == []
    assert list((store.account.data_dir / "boxes").iterdir()) == []


def test_a_damaged_box_is_built_again(store: BoxStore, scratch: Path) -> None:
    (built(store) / "box.json").write_text("{")
    box = store.build(Terminal(-1))
    assert (box, list(scratch.iterdir())) == (store.find(), [])


def test_the_overlay_belongs_to_root(
    store: BoxStore, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tarfile.TarInfo] = []
    build = Builder.build

    def look(self: Builder) -> Path:
        with tarfile.open(self.work / "recipe/files.tar") as tar:
            found.extend(tar)
        return build(self)

    monkeypatch.setattr(Builder, "build", look)
    (store.recipe_dir / "files/etc/hosts").chmod(0o600)
    store.build(Terminal(-1))
    assert {(m.uid, m.gid, m.uname, m.gname) for m in found} == {(0, 0, "root", "root")}
    modes = {m.name: (m.isdir(), m.mode) for m in found}
    assert modes["./etc"] == (True, 0o755)
    assert modes["./etc/hosts"] == (False, 0o644)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("place", ["boxes", "scratch"])
def test_too_little_disk_names_the_place(
    store: BoxStore, scratch: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setattr(module, "BUILD_BYTES", 6 * 1024**3)

    def usage(path: Path) -> Any:
        return SimpleNamespace(free=1_234_000_000 if Path(path).name == place else 10**12)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(HostError) as caught:
        store.build(Terminal(-1))
    folder = scratch if place == "scratch" else store.account.data_dir / "boxes"
    assert caught.value.message == (
        f"too little disk: {folder} has 1.2 GB free, the box's build needs 6 GB"
    )
    assert caught.value.hint == "free some room, or point TMPDIR at a larger disk"
    assert caught.value.exit_code is ExitCode.HOST


def test_remove(store: BoxStore, scratch: Path) -> None:
    assert store.remove() == []
    box = store.build(Terminal(-1))
    older = box.folder.with_name("older")
    older.mkdir()
    assert store.remove() == sorted([box.folder, older])
    assert (store.find(), list(scratch.iterdir())) == (None, [])


# What the builder says of its tools


def built_in_vain(account: Account, tmp_path: Path) -> MachineError:
    """Build an image of the real recipe with tools that fail; return the error."""
    shutil.copytree(RECIPE, tmp_path / "recipe")
    with pytest.raises(MachineError) as caught:
        image.ImageBuilder(account, Terminal(-1), tmp_path, BoxConfig()).build()
    return caught.value


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        ("E: Failed to fetch http://x", "no package mirror answers: check the network, or set "
         "[box] mirror in testbed.toml"),
        ("newuidmap: write to uid_map failed", "unprivileged user namespaces are needed: ./lab "
         "sets them up (package uidmap)"),
        ("E: E: setgid failed: Operation not permitted", "unprivileged user namespaces are needed: "
         "./lab sets them up (package uidmap)"),
        ("cp: No space left on device\nE: unshared command failed", "the disk is full: the build "
         "needs 6 GB in TMPDIR (default /var/tmp)"),
        ("E: Failed to fetch http://x GPG error: … NO_PUBKEY 6ED0E7B82643E131", "the mirror's key "
         "is unknown: put the key of a mirror of your own into /etc/apt/trusted.gpg.d"),
        ("mke2fs: bad\nE: unshared command failed", "the last lines above are the tool's own; "
         "`testbed -v box build` shows the command"),
        ("something else", "the last lines above are the tool's own; `testbed -v box build` shows "
         "the command"),
    ],
)  # fmt: skip
def test_a_tool_that_fails_is_quoted_with_advice(
    account: Account, tool: Callable[[str, str], Path], tmp_path: Path, words: str, advice: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(user_namespaces, "PROC", tmp_path / "proc")
    tool("mmdebstrap", f"echo '{words}' >&2; exit 1")
    error = built_in_vain(account, tmp_path)
    assert error.message == "the box could not be built: mmdebstrap failed"
    assert (error.hint, error.detail) == (advice, words)
    assert error.exit_code is ExitCode.MACHINE


def test_apparmor_forbids_the_build(
    account: Account, tool: Callable[[str, str], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """As on Ubuntu 24.04 without mmdebstrap's profile: the fix is the doctor's."""
    tool("mmdebstrap", "echo 'E: E: setgid failed: Operation not permitted' >&2; exit 25")
    monkeypatch.setattr(user_namespaces, "PROC", tmp_path)
    monkeypatch.setattr(user_namespaces, "PROFILE", tmp_path / "none")
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/kernel/apparmor_restrict_unprivileged_userns").write_text("1\n")
    error = built_in_vain(account, tmp_path)
    found = user_namespaces.hindrance()
    assert found is not None
    assert error.hint == f"user namespaces are forbidden ({found.setting}): {found.fix}"
    assert error.exit_code is ExitCode.MACHINE


def test_debians_keys_come_along(
    account: Account, tool: Callable[[str, str], Path], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Ubuntu 22.04 has none of Debian 12; a mirror of one's own has a key of its own."""
    tool("mmdebstrap", 'for word; do echo "$word"; done >&2; exit 1')
    (tmp_path / "trusted").mkdir()
    (tmp_path / "trusted/mine.gpg").write_bytes(b"a key")
    monkeypatch.setattr(image, "TRUSTED", tmp_path / "trusted")
    monkeypatch.setattr(image, "KEYRING", tmp_path / "none")
    built_in_vain(account, tmp_path)
    said = (tmp_path / "words").read_text().splitlines()
    keys = tmp_path / "recipe/keys"
    assert [word for word in said if "keyring" in word] == [f"--keyring={keys}"]
    assert {path.name for path in keys.iterdir()} == {"debian-12.asc", "mine.gpg"}


def test_no_box_of_another_architecture(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image.platform, "machine", lambda: "aarch64")
    with pytest.raises(HostError, match="is aarch64, and the box is built on x86-64 alone") as said:
        image.ImageBuilder(account, Terminal(-1), tmp_path, BoxConfig()).build()
    assert said.value.exit_code is ExitCode.HOST
    assert list(tmp_path.glob("*.raw")) == []


def test_one_kernel(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"expected one vmlinuz-\* in the box, found 0"):
        image.one(tmp_path, "vmlinuz-*")
    (tmp_path / "vmlinuz-1").touch()
    assert image.one(tmp_path, "vmlinuz-*") == tmp_path / "vmlinuz-1"
    (tmp_path / "vmlinuz-2").touch()
    with pytest.raises(MachineError, match="found 2"):
        image.one(tmp_path, "vmlinuz-*")


def test_a_box_that_was_changed_is_not_given_to_vagrant(store: BoxStore, tmp_path: Path) -> None:
    digest = hashlib.sha256(b"the box").hexdigest()
    box = Box(folder=tmp_path, **{**FACTS, "sha256": digest})
    box.box.write_bytes(b"the box")
    store.verify(box)
    box.box.write_bytes(b"another")
    with pytest.raises(MachineError) as caught:
        store.verify(box)
    assert caught.value.message == f"the box {box.box} is not what was built here"
    assert digest in caught.value.detail
