# SPDX-License-Identifier: Apache-2.0
"""Arms that do not build or load, commands that meet: a clear error, the right exit code."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Testbed, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]
Edit = Callable[[str, str, str], None]


def test_a_module_that_does_not_compile(testbed: Testbed, edited: Edit) -> None:
    """Before that its build tries to change the shared headers, and sees no other arm."""
    edited("guest/arms/netfilter/redirect_nf.c", "#include", "int broken = ;\n#include")
    harm = "echo >> ../include/rewrite.h; ls ../xdp >&2; id -u >&2; make"
    edited(
        "guest/arms/netfilter/arm.toml", 'build = [["make"]]', f'build = [["sh", "-c", "{harm}"]]'
    )
    done = testbed.run("bench", "--netfilter", "--trials", "1", "--no-count")
    assert done.returncode == 6
    assert "arm netfilter does not build" in done.stderr
    assert "error: expected expression" in done.stderr
    assert "../include/rewrite.h: Permission denied" in done.stderr
    assert "cannot access '../xdp'" in done.stderr
    assert "\n590" in done.stderr
    assert "Traceback" not in done.stderr
    assert testbed.left_over() == []


BEYOND = {
    "forks": ("f() {{ f | f & }}; f; sleep 100", "it wanted more than 256 processes at once"),
    "memory": ("python3 -c 'x = [str(1) * 1000000 for i in range(4000)]'", "MB of memory"),
    "prints": ("yes", "it printed more than 1 MiB"),
}


def test_builds_beyond_their_bounds_end_no_other(testbed: Testbed, tmp_path: Path) -> None:
    """These bounds a real kernel keeps; the others are tried in tests/unit."""
    arm = (testbed.checkout / "guest/arms/none/arm.toml").read_text()
    for name, (line, _) in BEYOND.items():
        (tmp_path / name).mkdir()
        build = f'build = [["sh", "-c", "{line}"]]'
        text = arm.replace('name = "none"', f'name = "{name}"').replace("build = []", build)
        (tmp_path / name / "arm.toml").write_text(text)
    places = [str(tmp_path / name) for name in BEYOND]
    done = testbed.run("check", "--arms", ",".join([*places, "none"]))
    assert done.returncode == 6, done.stderr
    for name, (_, said) in BEYOND.items():
        assert f"--- arm {name} does not build: " in done.stderr
        assert said in done.stderr
    assert "none: same work as the reference" in done.stdout
    assert "Traceback" not in done.stderr
    assert testbed.left_over() == []


def test_a_program_that_the_verifier_rejects(testbed: Testbed, edited: Edit) -> None:
    edited(
        "guest/arms/xdp/redirect.bpf.c", "return XDP_PASS;",
        "return *(volatile int *)(long)(ctx->data + 100000);",
    )  # fmt: skip
    done = testbed.run("bench", "--xdp", "--trials", "1", "--no-count")
    assert done.returncode == 6, done.stderr
    assert "arm xdp does not load" in done.stderr
    assert "invalid access to packet" in done.stderr or "R1" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (testbed.latest / "manifest.json").exists()
    assert testbed.left_over() == []


def test_a_second_command_is_told_who_is_at_work(testbed: Testbed) -> None:
    before = testbed.latest
    process = testbed.start("bench", "--xdp", "--trials", "1", "--no-count")
    wait_for(lambda: testbed.latest != before, limit_s=180)
    second = testbed.run("up")
    process.communicate(timeout=400)
    assert second.returncode == 3
    assert f"`testbed bench` (process {process.pid})" in second.stderr


def test_plain_vagrant_works_on_the_same_machines(testbed: Testbed) -> None:
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
