# SPDX-License-Identifier: Apache-2.0
"""Arms that do not build or load: a clear error, the right exit code; and plain Vagrant."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from .conftest import Testbed

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]


def copy_of(arm: Path, to: Path, file: str, old: str, new: str) -> None:
    """Copy an arm under the folder's name, with a text in one file replaced."""
    shutil.copytree(arm, to)
    for name, there, then in (("arm.toml", f'"{arm.name}"', f'"{to.name}"'), (file, old, new)):
        text = (to / name).read_text()
        assert there in text
        (to / name).write_text(text.replace(there, then, 1))


BEYOND = {
    "forks": ("f() {{ f | f & }}; f; sleep 100", "it wanted more than 256 processes at once"),
    "memory": ("python3 -c 'x = [str(1) * 1000000 for i in range(4000)]'", "MB of memory"),
    "prints": ("yes", "it printed more than 1 MiB"),
    "spoils": ("echo >> ../include/rewrite.h; ls ../xdp >&2; id -u >&2; exit 1", "\n590"),
}


def test_builds_that_fail_spoil_no_other(testbed: Testbed, tmp_path: Path) -> None:
    """Only a real kernel keeps a build from the others' files, and within these bounds.

    The other bounds are tried in tests/unit.
    """
    arms = testbed.checkout / "guest/arms"
    for name, (line, _) in BEYOND.items():
        build = f'build = [["sh", "-c", "{line}"]]'
        copy_of(arms / "none", tmp_path / name, "arm.toml", "build = []", build)
    code = "int broken = ;\n#include"
    copy_of(arms / "netfilter", tmp_path / "module", "redirect_nf.c", "#include", code)
    said = {**{name: said for name, (_, said) in BEYOND.items()},
            "module": "error: expected expression"}  # fmt: skip
    places = [str(tmp_path / name) for name in said]
    done = testbed.run("check", "--arms", ",".join([*places, "none"]))
    assert done.returncode == 6, done.stderr
    for name, words in said.items():
        _, found, its = done.stderr.partition(f"--- arm {name} does not build")
        assert found and words in its.split("--- arm ")[0], name
    assert "../include/rewrite.h: Permission denied" in done.stderr
    assert "cannot access '../xdp'" in done.stderr
    assert "none: same work as the reference" in done.stdout
    assert "Traceback" not in done.stderr
    assert testbed.left_over() == []


def test_a_students_program_that_the_verifier_rejects(testbed: Testbed) -> None:
    """Only a real verifier finds the bound that is missing."""
    assert testbed.run("handout", "--starter", "rejected", "--instructor").returncode == 0
    source = testbed.checkout / "rejected/my-xdp/redirect.bpf.c"
    text = source.read_text()
    bound = "data + sizeof(*ethernet) + sizeof(*headers) <= end &&\n\t    "
    assert bound in text
    source.write_text(text.replace(bound, ""))
    words = ("bench", "--arms", "rejected/my-xdp", "--trials", "1", "--no-count")
    done = testbed.run(*words)
    assert done.returncode == 6, done.stderr
    assert "arm my-xdp does not load" in done.stderr
    assert "invalid access to packet" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (testbed.latest / "manifest.json").exists()
    assert testbed.left_over() == []


@pytest.mark.vagrant
def test_plain_vagrant_works_on_the_same_machines(testbed: Testbed) -> None:
    """Only the real Vagrant tells whether it finds the machines as its own."""
    vagrant = shutil.which("vagrant")
    assert vagrant is not None
    home = testbed.checkout / "not-touched"
    environment = {**os.environ, "VAGRANT_HOME": str(home)}
    boot_id = testbed.guest("server", "cat /proc/sys/kernel/random/boot_id")
    for words, expected in (
        (["status"], "running (libvirt)"),
        (["ssh", "server", "-c", "hostname; sudo id -u"], "server\n0\n"),
        (["up"], "Bringing machine 'server' up"),
        (["provision", "server"], "Running provisioner: shell"),
    ):
        done = subprocess.run(
            [vagrant, *words], cwd=testbed.checkout, env=environment, text=True,
            capture_output=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert expected in done.stdout.replace("\r", "")
    assert testbed.guest("server", "cat /proc/sys/kernel/random/boot_id") == boot_id
    assert ", 0% packet loss" in testbed.guest("client", "ping -c 2 -i 0.2 10.0.1.2")
    assert not (home / "boxes").exists() or not any((home / "boxes").iterdir())
