# SPDX-License-Identifier: Apache-2.0
"""A lab folder is made whole or not at all, and never over somebody's files."""

import re
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer.checkout import is_checkout
from testbed.edge.files import lab_folder
from testbed.edge.files.config_text import commented
from testbed.lab.machines.box import BoxStore
from testbed.model.config import Config, load
from testbed.model.errors import ExitCode, HostError, RunError, UsageError
from tests import PROJECT
from tests.conftest import Said

Testbed = Callable[..., Said]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed package with its data: few, small, and written by nobody."""
    folder = tmp_path / "site-packages/testbed"
    for part in lab_folder.PARTS:
        path = folder / "data" / part
        if Path(part).suffix or part in ("LICENSE", "Vagrantfile", "lab"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(part)
        else:
            path.mkdir(parents=True)
            (path / "file").write_text(part)
    (folder / "data/guest/arms").mkdir()
    (folder / "data/guest/__pycache__").mkdir()
    (folder / "data/guest/__pycache__/agent.pyc").write_text("compiled")
    (folder / "data/lab").chmod(0o555)
    (folder / "data/Vagrantfile").chmod(0o444)
    monkeypatch.setattr(lab_folder, "PACKAGE", folder)
    return folder


def test_it_has_every_part_and_belongs_to_its_user(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "a/b/mine"
    lab_folder.make(folder, "0.1.0", {"testbed.toml": "# nothing\n"})
    assert all((folder / part).exists() for part in lab_folder.PARTS)
    assert is_checkout(folder)
    assert not (folder / "guest/__pycache__").exists()
    modes = {name: stat.S_IMODE((folder / name).stat().st_mode) for name in ("lab", "Vagrantfile")}
    assert modes == {"lab": 0o755, "Vagrantfile": 0o644}
    assert (folder / "testbed.toml").read_text() == "# nothing\n"
    assert (folder / lab_folder.VERSION).read_text() == "0.1.0\n"


@pytest.mark.parametrize("there", ["nothing", "git"])
def test_an_empty_folder_will_do(package: Path, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    if there == "git":
        (folder / ".git").mkdir()
    lab_folder.make(folder, "0.1.0", {})
    assert is_checkout(folder)


@pytest.mark.parametrize("there", ["a file", "a lab folder", "not a folder", "a dead link"])
def test_what_is_there_is_left_alone(package: Path, tmp_path: Path, there: str) -> None:
    folder = tmp_path / "mine"
    if there == "not a folder":
        folder.write_text("mine")
    elif there == "a dead link":
        folder.symlink_to("nowhere")
    else:
        folder.mkdir()
        name = lab_folder.VERSION if there == "a lab folder" else "thesis.tex"
        (folder / name).write_text("0.1.0")
    before = sorted(tmp_path.rglob("mine*"))
    said = {
        "a file": r"is not empty: thesis\.tex$",
        "a lab folder": "is a lab folder already",
        "not a folder": "is there, and no folder",
        "a dead link": "is there, and no folder",
    }
    with pytest.raises(UsageError, match=said[there]) as raised:
        lab_folder.make(folder, "0.1.0", {})
    assert raised.value.exit_code is ExitCode.USAGE
    assert "new or empty" in raised.value.hint
    assert sorted(tmp_path.rglob("mine*")) == before


@pytest.mark.parametrize("was_there", [False, True])
def test_a_disk_that_is_full_leaves_nothing(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, was_there: bool
) -> None:
    folder = tmp_path / "mine"
    if was_there:
        (folder / ".git").mkdir(parents=True)
    copy = lab_folder.shutil.copyfile

    def full(source: Path, target: Path) -> Any:
        if source.name == "lab":
            raise OSError(28, "No space left on device")
        return copy(source, target)

    monkeypatch.setattr(lab_folder.shutil, "copyfile", full)
    with pytest.raises(HostError, match="cannot be made: No space left on device"):
        lab_folder.make(folder, "0.1.0", {})
    assert folder.exists() == was_there
    assert [path.name for path in folder.glob("*")] == ([".git"] if was_there else [])


def test_a_wheel_without_its_data(package: Path, tmp_path: Path) -> None:
    (package / "data/Vagrantfile").unlink()
    (package / "data/counter/file").unlink()
    (package / "data/counter").rmdir()
    with pytest.raises(HostError, match=r"lacks its data: .* no Vagrantfile, counter$") as raised:
        lab_folder.make(tmp_path / "mine", "0.1.0", {})
    assert raised.value.exit_code is ExitCode.HOST
    assert not (tmp_path / "mine").exists()
    assert "pip install" in raised.value.hint


def test_another_versions_folder_is_not_used(testbed: Testbed, checkout: Path) -> None:
    assert testbed("status").status == 0, "a checkout has no note"
    (checkout / lab_folder.VERSION).write_text("0.0.9\n")
    said = testbed("status")
    assert said.status == 2
    assert f"{checkout} was made by testbed 0.0.9, and this is testbed " in said.err
    assert "`testbed init DIR` makes a new one" in said.err
    with pytest.raises(RunError):
        lab_folder.demand_version(checkout, "0.1.0")
    lab_folder.demand_version(checkout, "0.0.9")


def test_init_says_what_comes_next(
    testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = testbed("init", "my lab")
    assert (said.status, said.out) == (0, "my lab\n")
    assert "packages that are missing: " in said.err
    assert {"qemu-utils", "mtools"} <= set(said.err.splitlines()[0].split())
    assert "\n  cd 'my lab'\n  ./lab " in said.err
    assert load(tmp_path / "my lab") == Config()
    assert testbed("init", "my lab").status == 2


def test_up_names_every_package_that_is_missing(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not the first alone, for a user would install one, and meet the next."""
    monkeypatch.setattr(BoxStore, "find", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    said = testbed("up")
    assert said.status == 3
    first, hint = said.err.splitlines()
    assert {"libvirt-clients", "mmdebstrap", "qemu-system-x86", "qemu-utils", "mtools"} <= {
        *first.removeprefix("testbed: packages are missing: ").split()
    }
    assert hint.startswith("  → `./lab setup` installs them, or: sudo apt-get install ")


SCRIPT = """
fail() { echo "$1 $2"; exit "$1"; }
say() { echo "$*"; }
testbed=none
find_project() {
%s
}
find_project "$1" && echo "$testbed"
"""


@pytest.mark.parametrize(
    ("kind", "there", "status", "said"),
    [
        ("main", True, 0, "/testbed\n"),
        ("main", False, 3, "3 there is no testbed on the PATH\n"),
        ("test", True, 2, "2 a folder of `testbed init` has no tests\n"),
        ("pdf", True, 0, "packet-hook-testbed[pdf]"),
    ],
)
def test_the_script_in_it_uses_the_testbed_that_is_installed(
    tmp_path: Path, kind: str, there: bool, status: int, said: str
) -> None:
    found = re.search(
        r"^find_project\(\) \{.*?\n(.*?)^\}", (PROJECT / "lab").read_text(), re.M | re.S
    )
    assert found
    if there:
        (tmp_path / "testbed").write_text("#!/bin/sh\n")
        (tmp_path / "testbed").chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "-euc", SCRIPT % found[1], "lab", kind], capture_output=True, text=True,
        env={"PATH": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert done.returncode == status
    assert said in done.stdout


def test_the_first_testbed_toml_says_the_defaults(tmp_path: Path) -> None:
    text = commented()
    assert all(line.startswith("#") or not line for line in text.splitlines())
    head, _, body = text.partition("\n\n")
    assert "docs/configuration.md" in head
    keys = [line.removeprefix("# ") for line in body.splitlines() if " = " in line or "# [" in line]
    assert len(keys) > 30
    (tmp_path / "testbed.toml").write_text("\n".join(keys))
    assert load(tmp_path) == Config()
