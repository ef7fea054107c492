# SPDX-License-Identifier: Apache-2.0
"""`pip install` of the wheel gives the command with all that it needs: built, installed, run."""

import os
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hatch_build import Data
from testbed.edge.files.lab_folder import PARTS, VERSION
from tests import PROJECT

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DATA = "testbed/data/"
SOME = ("guest/agent.py", "guest/arms/xdp/arm.toml", "guest/box/setup.sh", "counter/counter.c",
        "templates/report.html.j2", "templates/handout/en.toml", "Vagrantfile", "lab",
        "results/sample/plan.json", "docs/arms.md")  # fmt: skip


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built here and without the package index."""
    folder = tmp_path_factory.mktemp("wheel")
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that pip put it into; its libraries are those of this environment."""
    folder = tmp_path_factory.mktemp("site-packages")
    words = ["--disable-pip-version-check", "--no-deps", "--no-index", "--no-compile", "--target"]
    argv = [sys.executable, "-m", "pip", "install", "-q", *words, str(folder), str(wheel)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def run(installed: Path, where: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a command line with the installed package, and nothing of this checkout."""
    environment = {**os.environ, "PYTHONPATH": str(installed), "NO_COLOR": "1"}
    argv = [sys.executable, "-m", "testbed", *words]
    return subprocess.run(
        argv, cwd=where, env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_has_what_a_lab_folder_is_made_of(wheel: Path) -> None:
    names = {
        name.removeprefix(DATA)
        for name in zipfile.ZipFile(wheel).namelist()
        if name.startswith(DATA)
    }
    assert [part for part in SOME if part not in names] == []
    parts = [
        part for part in PARTS if part in names or any(n.startswith(f"{part}/") for n in names)
    ]
    assert parts == list(PARTS)
    assert not any("__pycache__" in name or name.endswith((".ko", ".o")) for name in names)


def test_the_list_of_parts_is_that_of_the_build() -> None:
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert tuple(wheel["hooks"]["custom"]["parts"]) == PARTS


def test_an_editable_install_has_none_of_it() -> None:
    """A checkout's own files are used there; a copy in the environment would grow old."""
    hook, built = Data("", {"parts": ["lab"]}, *[None] * 4, "wheel"), {"force_include": {}}
    hook.initialize("editable", built)
    assert built == {"force_include": {}}
    hook.initialize("standard", built)
    assert built == {"force_include": {"lab": "testbed/data/lab"}}


def test_from_the_wheel_to_a_page(installed: Path, tmp_path: Path) -> None:
    outside = run(installed, tmp_path, "status")
    assert (outside.returncode, outside.stdout) == (2, "")
    assert "is no lab folder, and is in none\n  → `testbed init DIR` makes one" in outside.stderr

    made = run(installed, tmp_path, "init", "mylab")
    folder = tmp_path / "mylab"
    assert (made.returncode, made.stdout) == (0, "mylab\n"), made.stderr
    assert "cd mylab" in made.stderr
    assert (folder / VERSION).is_file()
    for name in SOME:
        original = PROJECT / name
        assert (folder / name).read_bytes() == original.read_bytes()
        assert (folder / name).stat().st_mode & stat.S_IXUSR == (
            original.stat().st_mode & stat.S_IXUSR
        ), name

    page = folder / "results/sample/report.html"
    page.unlink()
    reported = run(installed, folder, "report", "sample")
    assert reported.returncode in (0, 7), reported.stderr
    assert reported.stdout == f"{page}\n"
    assert page.stat().st_size > 50_000


def test_a_wheel_without_its_data_says_so(installed: Path, tmp_path: Path) -> None:
    data = installed / "testbed/data"
    data.rename(data.with_name("gone"))
    try:
        said = run(installed, tmp_path, "init", "mylab")
    finally:
        data.with_name("gone").rename(data)
    assert said.returncode == 3
    assert "testbed: this installation of testbed lacks its data: " in said.stderr
    assert "\n  → install it again: " in said.stderr
    assert not (tmp_path / "mylab").exists()
