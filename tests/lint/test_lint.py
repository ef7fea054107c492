# SPDX-License-Identifier: Apache-2.0
"""The linters, as tests: what they find is a failure with their own words.

Without a tool its test is skipped, or fails in CI and in `./lab test`: `need` says which.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.conftest import lacking, need

PROJECT = Path(__file__).resolve().parents[2]
LONGEST = 260
# Longer than one idea should be, each with the reason why it is not split.
KNOWN_LONG = {
    "guest/server.py": "one conversation, state by state, without a second file in the guest",
    "tests/unit/factories/run_factory.py": "one whole run directory, written file by file",
    "tests/unit/guest/test_client_server.py": "one conversation over sockets, from all its sides",
    "tests/unit/arms/test_rewrite.py": "one C header, against a model in Python",
    "tests/unit/guest/test_snapshot.py": "one program of the guests and what it reads",
    "tests/unit/analysis/page/test_report.py": "one page, read from all its sides",
    "tests/unit/lab/machines/test_box.py": "recipe, build and find share their fixtures",
    "tests/unit/lab/guests/test_cleanup.py": "one invariant, from a step to the whole command",
    "tests/unit/cli/test_cli.py": "every verb's words and exit codes",
    "tests/unit/edge/guests/test_guest.py": "one class, and all that a remote side may say",
    "tests/unit/lab/machines/test_machines.py": "one decision table, its fixtures are its rows",
    "tests/unit/lab/experiment/test_trial_order.py": "the golden order of a trial, in one place",
    "tests/unit/factories/fakes.py": "two pretended machines, which know each other's commands",
}
WIDEST = 15
# More modules directly in one package than one look takes in, each with the reason.
KNOWN_WIDE = {
    "testbed/analysis/findings": "a check a module, in the order that its __init__ lists",
    "tests/unit/factories": "what tests make their worlds of, looked up by name",
}
SOURCES = {".py", ".sh", ".c", ".h", ".toml", ".j2", ".css", ".service", ".network", ".link",
           ".conf", ".mk"}  # fmt: skip
# Measured values, unchanged: no place for a comment. The README beside them names the licence.
MEASURED = {".txt", ".csv"}
NAMED = {"lab", ".ci/run", "Vagrantfile", "Makefile"}
SPDX = re.compile(r"SPDX-License-Identifier: [\w.\-]+( (OR|AND) [\w.\-]+)*")


@cache
def tracked() -> tuple[str, ...]:
    """Return every file that is in git, or will be: not ignored and not deleted."""
    git = ["git", "-c", f"safe.directory={PROJECT}", "-C", str(PROJECT), "ls-files", "-z"]
    argv = [*git, "--cached", "--others", "--exclude-standard", "--deduplicate"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(name for name in done.stdout.split("\0") if name and (PROJECT / name).is_file())


def installed(name: str) -> str:
    """Return the path of a tool that comes with the project's `test` extra."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    return found or lacking(f"{name} is missing: pip install -e '.[test]'")


def passes(*argv: str, **environment: str) -> None:
    done = subprocess.run(
        argv, cwd=PROJECT, capture_output=True, text=True, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


def test_ruff() -> None:
    passes(installed("ruff"), "check", "--quiet", ".")


def test_types_of_the_tool() -> None:
    passes(installed("mypy"))


def test_types_of_the_guests_programs() -> None:
    """They run on the guests' Python and have no package, so each is a file of its own."""
    programs = sorted(name for name in tracked() if re.fullmatch(r"guest/\w+\.py", name))
    assert "guest/client.py" in programs
    argv = ("--strict", "--python-version", "3.10", "--config-file", os.devnull)
    passes(installed("mypy"), *argv, *programs, MYPYPATH="guest")


def test_layers() -> None:
    passes(installed("lint-imports"))


def shell_scripts() -> list[str]:
    """Return every file that a shell runs, by its name or by its first line."""
    found = []
    for name in tracked():
        with (PROJECT / name).open("rb") as file:
            first = file.readline()
        if name.endswith(".sh") or re.match(
            rb"#!\s*/bin/(ba|da)?sh\b|#!/usr/bin/env (ba)?sh", first
        ):
            found.append(name)
    return found


def test_shell_scripts() -> None:
    tool = need("shellcheck", "shellcheck")
    scripts = shell_scripts()
    assert {"lab", ".ci/run", "guest/box/setup.sh", "guest/setup/server.sh"} <= set(scripts)
    passes(tool, "--external-sources", *scripts)


def test_c_beside_the_arms_is_formatted() -> None:
    """The arms' own C has a test in tests/unit/arms/test_arm_sources.py."""
    tool = need("clang-format", "clang-format")
    sources = [
        name for name in tracked() if re.fullmatch(r"(tests/unit/)?(counter|guest)/\w+\.[ch]", name)
    ]
    assert {"counter/counter.c", "guest/receiver.c"} <= set(sources)
    style = f"--style=file:{PROJECT / 'guest/arms/.clang-format'}"
    passes(tool, style, "--dry-run", "-Werror", *sources)


def test_every_source_names_its_licence() -> None:
    without = []
    for name in tracked():
        if Path(name).suffix not in SOURCES and name not in NAMED and Path(name).name not in NAMED:
            continue
        text = (PROJECT / name).read_text(encoding="utf-8")
        if text and not SPDX.search("\n".join(text.splitlines()[:5])):
            without.append(name)
    assert without == []


@pytest.mark.parametrize(
    ("folder", "licence"),
    [
        ("testbed/", "Apache-2.0"),
        ("guest/arms/xdp/", "GPL-2.0-only|Apache-2.0"),
        ("counter/", "GPL-2.0-or-later"),
    ],
)
def test_licences_are_the_right_ones(folder: str, licence: str) -> None:
    names = [name for name in tracked() if name.startswith(folder)]
    assert names
    for name in names:
        text = (PROJECT / name).read_text(encoding="utf-8")
        if text and Path(name).suffix not in MEASURED:
            top = "\n".join(text.splitlines()[:5])
            assert re.search(rf"SPDX-License-Identifier: ({licence})\b", top), name


def test_no_module_grows_beyond_one_idea() -> None:
    python = [name for name in tracked() if name.endswith(".py")]
    lengths = {name: len((PROJECT / name).read_text().splitlines()) for name in python}
    too_long = {name for name, lines in lengths.items() if lines > LONGEST}
    assert too_long - set(KNOWN_LONG) == set(), "split it, or say in KNOWN_LONG why not"
    assert set(KNOWN_LONG) - too_long == set(), "no longer long: take it off KNOWN_LONG"


def test_no_package_becomes_a_landing_with_too_many_doors() -> None:
    """A limit on lines alone turns one idea into files told apart by synonyms."""
    modules = [Path(name) for name in tracked() if re.fullmatch(r"(testbed|tests)/.*\.py", name)]
    doors = Counter(path.parent.as_posix() for path in modules if path.name != "__init__.py")
    too_wide = {package for package, count in doors.items() if count > WIDEST}
    assert too_wide - set(KNOWN_WIDE) == set(), "make rooms of it, or say in KNOWN_WIDE why not"
    assert set(KNOWN_WIDE) - too_wide == set(), "no longer wide: take it off KNOWN_WIDE"
