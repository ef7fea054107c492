# SPDX-License-Identifier: Apache-2.0
"""`testbed init`: a folder to work in, for one who has the package and no checkout."""

import shlex
from pathlib import Path

from testbed import __version__
from testbed.edge.computer import host
from testbed.edge.files import lab_folder
from testbed.edge.files.config_text import commented
from testbed.edge.output.terminal import Terminal
from testbed.lab.doctor.software import SMALL_TOOLS, TOOLS
from testbed.model.config import FILE_NAME
from testbed.model.errors import HostError

IGNORED = """\
__pycache__/
/.testbed/
/.vagrant/
/results/*
!/results/README.md
!/results/sample/
"""
PROVIDER = "vagrant"
"""Chosen, and asked for, by what uses it."""


def init(folder: Path, terminal: Terminal) -> None:
    """Make a lab folder, and say what to do next.

    Raises UsageError for a folder that is not new or empty, HostError when it cannot be made.
    """
    lab_folder.make(folder, __version__, {FILE_NAME: commented(), ".gitignore": IGNORED})
    print(folder)
    if missing := missing_packages():
        terminal.warn(f"packages that are missing: {' '.join(missing)}")
    is_here = folder.resolve() == Path.cwd()
    terminal.say("\n".join((
        "Next:",
        *([] if is_here else [f"  cd {shlex.quote(str(folder))}"]),
        "  ./lab                  # installs what is missing, measures, and makes a report",
        "  testbed report sample  # the page of a run that was measured elsewhere",
    )))  # fmt: skip


def missing_packages() -> list[str]:
    """Return the packages of all programs that are missing here, by their names in Debian."""
    programs = {tool.command[0]: tool.package for tool in TOOLS if tool.name != PROVIDER}
    needed = {**programs, **SMALL_TOOLS}
    return sorted({package for program, package in needed.items() if not _is_there(program)})


def demand_packages() -> None:
    """Raise HostError that names every package that is missing, not the first one alone."""
    if missing := missing_packages():
        raise HostError(
            f"packages are missing: {' '.join(missing)}",
            hint="`./lab setup` installs them, or: sudo apt-get install " + " ".join(missing),
        )


def _is_there(program: str) -> bool:
    try:
        host.find(program, package="")
    except HostError:
        return False
    return True
