# SPDX-License-Identifier: Apache-2.0
"""`./lab` on computers whose distribution has Vagrant, and has none: what it would install."""

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import PROJECT

REAL = ("bash", "sh", "sed", "cut", "cat", "awk", "grep", "sha256sum", "readlink", "dirname",
        "mktemp", "tail", "rm", "mkdir", "ln", "env", "setpriv")  # fmt: skip
FAKES = {
    # Everything is installed except for what is named in `missing`.
    "dpkg-query": 'grep -qx "$4" {folder}/missing || echo ok installed',
    "apt-cache": 'if grep -qx "$2" {folder}/known; then echo "$2 | 1"; fi',
    "apt-get": 'echo "apt-get $*" >> {folder}/asked; [ "$1" != update ] || '
    "cat {folder}/after-update >> {folder}/known",
    "id": "echo 1000",
    "uname": "echo x86_64",
    "sudo": 'exec "$@"',
    "usermod": ":",
    "useradd": ":",
}


@dataclass(frozen=True)
class Computer:
    """A checkout on a computer of the test's own, and what is asked of apt there."""

    folder: Path
    checkout: Path

    def lab(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.checkout / "lab", *words], capture_output=True, text=True, check=False,
            env={"PATH": str(self.folder / "bin"), "TMPDIR": str(self.folder), "HOME": "/nowhere"},
        )  # fmt: skip

    def tell(self, name: str, *packages: str) -> None:
        (self.folder / name).write_text("".join(f"{one}\n" for one in packages))

    @property
    def installed(self) -> list[str]:
        """The packages that apt was asked for, and `update`."""
        lines = (self.folder / "asked").read_text().splitlines()
        return [word for line in lines for word in line.split()[1:] if not word.startswith("-")
                and word != "install"]  # fmt: skip

    def fake(self, name: str, script: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    """One that lacks Vagrant alone, of a distribution that has it; .venv is up to date."""
    made = Computer(tmp_path, tmp_path / "checkout")
    for folder in ("bin", "checkout/.venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    for name in REAL:
        found = shutil.which(name)
        assert found is not None, name
        (tmp_path / "bin" / name).symlink_to(found)
    for name, script in FAKES.items():
        made.fake(name, script.format(folder=tmp_path))
    for name in ("lab", "pyproject.toml"):
        shutil.copy(PROJECT / name, made.checkout)
    python = "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
    (tmp_path / "bin/python3").symlink_to(python)
    version = subprocess.run([python, "--version"], capture_output=True, text=True, check=True)
    digest = hashlib.sha256((made.checkout / "pyproject.toml").read_bytes()).hexdigest()
    stamp = f"{digest[:16]} {version.stdout.strip()} {os.path.realpath(made.checkout)}\n"
    (made.checkout / ".venv/.testbed-main").write_text(stamp)
    testbed = made.checkout / ".venv/bin/testbed"
    testbed.write_text(f'#!/bin/sh\necho "testbed $*" >> {tmp_path}/ran\n')
    testbed.chmod(0o755)
    made.tell("missing", "vagrant", "vagrant-libvirt")
    made.tell("known", "vagrant", "vagrant-libvirt")
    for name in ("after-update", "asked"):
        made.tell(name)
    return made


def test_a_distribution_that_has_vagrant(computer: Computer) -> None:
    done = computer.lab("setup")
    assert done.returncode == 0, done.stderr
    assert computer.installed == ["update", "vagrant"]


def test_a_distribution_without_vagrant_is_asked_for_nothing(computer: Computer) -> None:
    """Nor is `apt-get update` run each time, which wants a password."""
    computer.tell("known")
    done = computer.lab("setup")
    assert (done.returncode, computer.installed) == (0, []), done.stderr


def test_what_a_distribution_has_may_be_known_only_after_the_update(computer: Computer) -> None:
    computer.tell("known")
    computer.tell("after-update", "vagrant")
    computer.tell("missing", "vagrant", "vagrant-libvirt", "mtools")
    done = computer.lab("setup")
    assert (done.returncode, "installing: mtools vagrant\n" in done.stderr) == (0, True)
    assert computer.installed == ["update", "mtools", "vagrant"]


@pytest.mark.parametrize("by", ["option", "file"])
def test_who_wants_libvirt_alone_gets_no_vagrant(computer: Computer, by: str) -> None:
    words = ["--provider", "libvirt"] if by == "option" else []
    if by == "file":
        (computer.checkout / "testbed.toml").write_text(
            '[machines]\nprovider = "libvirt"  # mine\n'
        )
    computer.fake("vagrant", f"echo vagrant >> {computer.folder}/ran; exit 1")
    assert computer.lab(*words, "setup").returncode == 0
    assert computer.installed == []
    assert computer.lab(*words, "up", "--timings").returncode == 0
    told = " --provider libvirt" if by == "option" else ""
    assert (computer.folder / "ran").read_text() == f"testbed up{told} --timings\n"


def test_who_wants_vagrant_is_told_where_there_is_none(computer: Computer) -> None:
    computer.tell("known")
    done = computer.lab("--provider", "vagrant", "setup")
    assert done.returncode == 3
    assert "this distribution has no package of Vagrant" in done.stderr


@pytest.mark.parametrize(("provider", "code"), [("auto", 0), ("vagrant", 3)])
def test_a_plugin_that_cannot_be_installed(computer: Computer, provider: str, code: int) -> None:
    """The makers' Vagrant is there; its plugin is compiled, which may fail."""
    computer.fake("vagrant", '[ "$2" != install ]')
    done = computer.lab("--provider", provider, "setup")
    assert done.returncode == code, done.stderr
    assert "Vagrant's libvirt plugin could not be installed" in done.stderr
    assert ("libvirt alone will make the machines" in done.stderr) == (provider == "auto")


@pytest.mark.parametrize("words", [("--provider",), ("--provider", "virtualbox")])
def test_an_unknown_provider(computer: Computer, words: tuple[str, ...]) -> None:
    done = computer.lab(*words)
    assert done.returncode == 2
    assert "--provider is auto, vagrant or libvirt" in done.stderr


def test_the_whole_of_lab_hands_the_provider_on_and_writes_nothing(computer: Computer) -> None:
    before = sorted(path.name for path in computer.checkout.iterdir())
    assert computer.lab("--provider", "libvirt").returncode == 0
    ran = (computer.folder / "ran").read_text().splitlines()
    assert ran == ["testbed up --provider libvirt", "testbed bench --both"]
    assert sorted(path.name for path in computer.checkout.iterdir()) == before


@pytest.mark.parametrize(("there", "taken"), [
    (("libharfbuzz-subset0", "bpftool", "linux-headers-amd64", "chromium"), "Debian"),
    (("libharfbuzz0b", "linux-tools-generic", "linux-headers-generic", "chromium-browser"),
     "Ubuntu 22.04"),
])  # fmt: skip
def test_packages_by_the_names_that_a_distribution_has(
    computer: Computer, there: tuple[str, ...], taken: str
) -> None:
    other = ("libharfbuzz-subset0", "bpftool", "linux-headers-amd64", "chromium", "libharfbuzz0b",
             "linux-tools-generic", "linux-headers-generic", "chromium-browser")  # fmt: skip
    computer.tell("missing", *other)
    computer.tell("known", *there)
    stamp = computer.checkout / ".venv/.testbed-main"
    stamp.rename(stamp.with_name(".testbed-test"))
    done = computer.lab("--provider", "libvirt", "setup", "test")
    assert done.returncode == 0, done.stderr
    assert sorted(computer.installed) == sorted(["update", *there]), taken


def test_the_tests_are_told_the_provider(computer: Computer) -> None:
    stamp = computer.checkout / ".venv/.testbed-main"
    stamp.rename(stamp.with_name(".testbed-test"))
    python = computer.checkout / ".venv/bin/python"
    python.write_text(f'#!/bin/sh\necho "$TESTBED_PROVIDER" >> {computer.folder}/ran\n')
    python.chmod(0o755)
    assert computer.lab("--provider", "libvirt", "test", "-k", "x").returncode == 0
    assert (computer.folder / "ran").read_text() == "libvirt\n"
