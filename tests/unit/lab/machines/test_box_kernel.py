# SPDX-License-Identifier: Apache-2.0
"""A box with a kernel of one's own: another box for every package, and none for one that is bad."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.output.terminal import Terminal
from testbed.lab.kernels.own_kernel import package_of
from testbed.lab.machines import box as module
from testbed.lab.machines import host_facts, image
from testbed.lab.machines.box import BoxStore
from testbed.model.config import BoxConfig
from testbed.model.errors import ConfigError
from tests.unit.factories import kernel_packages
from tests.unit.factories.kernel_packages import RELEASE


class Builder:
    """In place of ImageBuilder: it keeps what it was told to build of."""

    recipes: list[str]

    def __init__(self, _account: Account, _terminal: Terminal, work: Path, _: BoxConfig) -> None:
        self.work = work

    def build(self) -> Path:
        """Return an image with that kernel."""
        Builder.recipes.append((self.work / "recipe/setup.sh").read_text())
        (self.work / "box.img").write_bytes(b"image")
        (self.work / "boot").mkdir()
        for name in ("vmlinuz", "initrd.img"):
            (self.work / f"boot/{name}-{RELEASE}").write_bytes(b"")
        (self.work / "packages.txt").write_text("bash 5.2\n")
        return self.work / "box.img"

    def remove_tree(self) -> None:
        """Nothing of this one belongs to another user."""


@pytest.fixture
def store(
    account: Account, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> BoxStore:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setattr(image, "ImageBuilder", Builder)
    monkeypatch.setattr(Builder, "recipes", [], raising=False)
    monkeypatch.setattr(module, "BUILD_BYTES", 1)
    kernel, headers = kernel_packages.image(checkout), kernel_packages.headers(checkout)
    source = BoxConfig(kernel=kernel.name, kernel_headers=(headers.name,))
    return BoxStore(account, checkout, source)


def test_another_package_is_another_box_and_none_is_the_box_of_always(store: BoxStore) -> None:
    plain = BoxStore(store.account, store.checkout)
    names = {plain.recipe(), store.recipe()}
    kernel_packages.image(store.checkout, options={"HZ": "1000"})
    names.add(store.recipe())
    installer = store.checkout / "guest/own-kernel/install.sh"
    installer.write_text(installer.read_text() + "\n")
    names.add(store.recipe())
    assert len(names) == 4
    assert plain.recipe() in names


def test_the_built_box_tells_its_kernels_package(store: BoxStore) -> None:
    box = store.build(Terminal(-1))
    assert box == store.find()
    known = package_of(box.folder, box.kernel)
    assert known is not None
    assert known.package == f"linux-image-{RELEASE}"
    assert [known.sha256, *known.headers] == list(store.own_kernel.digests()[:2])  # type: ignore[union-attr]
    assert "DPkg::Chroot-Directory" in Builder.recipes[0]


def test_a_run_tells_the_package_of_the_box_that_its_machines_were_made_of(
    store: BoxStore,
) -> None:
    machines: Any = SimpleNamespace(boxes=store)
    assert host_facts._kernel_package(machines, None) is None
    box = store.build(Terminal(-1))
    found = host_facts._kernel_package(machines, box.name)
    assert found is not None
    assert found["sha256"] == store.own_kernel.digests()[0]  # type: ignore[union-attr]
    assert host_facts._kernel_package(machines, "testbed-another") is None


def test_the_distributions_box_is_built_as_ever(store: BoxStore) -> None:
    box = BoxStore(store.account, store.checkout).build(Terminal(-1))
    assert Builder.recipes == [(store.checkout / "guest/box/setup.sh").read_text()]
    assert not (box.folder / "kernel.json").exists()
    assert set(json.loads((box.folder / "box.json").read_text())) == {
        "recipe", "size_bytes", "built_utc", "kernel", "sha256",
    }  # fmt: skip


def test_nothing_is_built_of_a_kernel_that_does_not_fit(store: BoxStore) -> None:
    kernel_packages.image(store.checkout, options={"E1000": None})
    with pytest.raises(ConfigError, match="does not fit the box"):
        store.build(Terminal(-1))
    assert Builder.recipes == []
    (store.checkout / store.source.kernel).unlink()
    with pytest.raises(ConfigError, match="there is no such file"):
        store.find()
