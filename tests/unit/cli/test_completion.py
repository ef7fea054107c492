# SPDX-License-Identifier: Apache-2.0
"""The Tab key: verbs, options and the names in the checkout, in three shells, and at once."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.cli.test_cli import loaded

SHELLS = ("bash", "zsh", "fish")
ENTRY = "import sys; sys.argv[0] = 'testbed'; from testbed.cli import main; main()"
RUNS = ["20250101T000000Z-aaaaaa", "20250102T000000Z-bbbbbb"]


@pytest.fixture
def with_runs(checkout: Path) -> Path:
    """A checkout with two runs, and a folder that is none."""
    for name in RUNS:
        (checkout / "results" / name).mkdir(parents=True)
        (checkout / "results" / name / "plan.json").write_text("{}")
    (checkout / "results/no-run").mkdir()
    return checkout


def asked(shell: str, line: str) -> dict[str, str]:
    """Return the environment in which a shell asks what may follow `line`."""
    words = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(line.count(" "))},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
        "fish": {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
    }
    return {**os.environ, "_TESTBED_COMPLETE": f"complete_{shell}", **words[shell]}


def said(shell: str, line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ENTRY], cwd=folder, env=asked(shell, line), check=False,
        capture_output=True, text=True,
    )  # fmt: skip


def offered(line: str, folder: Path) -> list[str]:
    """Return what the Tab key offers after `line`, one a line, as bash wants it."""
    return said("bash", line, folder).stdout.split()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("testbed be", ["bench"]),
        ("testbed box ", ["build", "show", "remove"]),
        ("testbed bench --un", ["--until-precise"]),
        ("testbed bench --profile ", ["fair", "original"]),
        ("testbed bench --arms net", ["netfilter", "netfilter-logging"]),
        ("testbed bench --arms netfilter,xd", ["netfilter,xdp", "netfilter,xdp-bounded-csum"]),
        ("testbed bench --arms none,xdp,n", ["none,xdp,netfilter", "none,xdp,netfilter-logging"]),
        ("testbed check --arms no", ["none"]),
        ("testbed bench --resume l", ["latest"]),
        ("testbed report ", [*RUNS[::-1], "published"]),
        ("testbed report 20250102T000000Z-bbbbbb 20250101", RUNS[:1]),
        ("testbed compare 2025", RUNS[::-1]),
        ("testbed compare 20250101T000000Z-aaaaaa 20250102", RUNS[1:]),
        ("testbed ssh ", ["client", "server"]),
        ("testbed handout --lang ", ["en", "ko"]),
        ("testbed handout --sample 20250102", RUNS[1:]),
    ],
)
def test_what_is_offered(with_runs: Path, line: str, names: list[str]) -> None:
    assert offered(line, with_runs) == names


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_is_told(with_runs: Path, shell: str) -> None:
    for line, name in (
        ("testbed do", "doctor"), ("testbed bench --see", "--seed"), ("testbed ssh ser", "server"),
        ("testbed bench --arms netfilter-", "netfilter-logging"),
        ("testbed report 20250101", RUNS[0]),
    ):  # fmt: skip
        done = said(shell, line, with_runs)
        assert (done.returncode, done.stderr) == (0, "")
        assert name in done.stdout


@pytest.mark.parametrize("shell", SHELLS)
def test_what_a_shell_has_to_read(tmp_path: Path, shell: str) -> None:
    environment = {**os.environ, "_TESTBED_COMPLETE": f"source_{shell}"}
    done = subprocess.run(
        [sys.executable, "-c", ENTRY], cwd=tmp_path, env=environment, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert "_TESTBED_COMPLETE=complete_" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, check=True, text=True)


def test_a_real_bash(with_runs: Path, tool: Callable[[str, str], Path]) -> None:
    tool("testbed", f'exec {sys.executable} -c "{ENTRY}" "$@"')
    script = (
        'eval "$(_TESTBED_COMPLETE=source_bash testbed)"\n'
        "COMP_WORDS=(testbed ssh cl) COMP_CWORD=2\n"
        "complete -p testbed\n_testbed_completion testbed\n"
        'echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "-c", script], cwd=with_runs, check=True, capture_output=True, text=True
    )
    assert done.stdout.splitlines() == [
        "complete -o default -F _testbed_completion testbed", "client",
    ]  # fmt: skip


def test_nothing_is_offered_where_nothing_is(tmp_path: Path, checkout: Path) -> None:
    assert offered("testbed compare ", checkout) == []
    done = said("bash", "testbed bench --arms nothing-like-it", tmp_path)
    assert (done.stdout.split(), done.stderr) == ([], "")


def test_a_press_loads_next_to_nothing(with_runs: Path) -> None:
    words = asked("bash", "testbed report 2025")
    chosen = {name: words[name] for name in ("_TESTBED_COMPLETE", "COMP_WORDS", "COMP_CWORD")}
    there = loaded(with_runs, before=f"os.environ |= {chosen!r}")
    heavy = {"pandas", "matplotlib", "jinja2", "fabric", "paramiko", "filelock", "rich", "vagrant"}
    assert "testbed" in there
    assert there & heavy == set()
