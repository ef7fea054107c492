# SPDX-License-Identifier: Apache-2.0
"""The man page: what the command line is now, in roff that no tool has a word against."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from testbed.cli import manual
from testbed.cli.app import app
from testbed.model.errors import ExitCode
from tests import PROJECT
from tests.conftest import need


def rendered() -> str:
    """Return the page as a reader sees it, without bold."""
    argv = ["groff", "-man", "-Tutf8", "-P-c", "-P-b", "-P-u", "-rLL=100n", str(manual.PAGE)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_the_page_is_that_of_this_command_line() -> None:
    written = manual.PAGE.read_text(encoding="ascii")
    assert written == manual.page(), "write it anew: python -m testbed.cli.manual"


def test_groff_has_nothing_to_say() -> None:
    need("groff", "groff-base")
    argv = ["groff", "-man", "-Tutf8", "-ww", "-z", str(manual.PAGE)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_every_verb_option_and_exit_code_is_there() -> None:
    page = rendered()
    command: Any = typer.main.get_command(app)
    verbs = {**command.commands, **command.commands["box"].commands}
    del verbs["box"]
    for verb in verbs:
        assert re.search(rf"^ +testbed (box )?{verb}( |$)", page, re.MULTILINE)
    for one in (command, *verbs.values()):
        for option in (name for param in one.params for name in param.opts):
            assert option in page or not option.startswith("-")
    status = page.partition("EXIT STATUS")[2].partition("FILES")[0]
    assert re.findall(r"^ +(\d+)  ", status, re.MULTILINE) == [str(int(code)) for code in ExitCode]
    for section in ("NAME", "SYNOPSIS", "FILES", "ENVIRONMENT", "EXAMPLES", "SEE ALSO"):
        assert re.search(rf"^{section}$", page, re.MULTILINE)


def test_the_list_of_verbs_has_whole_summaries() -> None:
    """Click cuts a summary that is longer than its column, and ends it with dots."""
    said = CliRunner().invoke(app, ["--help"], terminal_width=80).output
    listed = said.partition("Commands:\n")[2].splitlines()
    assert len(listed) > 10
    assert [line for line in listed if not line.endswith((".", "?"))] == []
    assert [line for line in listed if line.endswith("...")] == []


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("a-b", r"a\-b"), (".x", r"\&.x"), ("'x", r"\&'x"), ("a\\b", r"a\eb"),
        ("`up`", r"\fBup\fR"),
        ("±", r"\[u00B1]"), ("two\n  lines", "two lines"),
    ],
)  # fmt: skip
def test_what_would_be_a_command_to_roff_is_text(text: str, printed: str) -> None:
    assert manual.roff(text) == printed


def test_setting_up_links_it_to_where_man_looks(tmp_path: Path) -> None:
    found = re.search(r"^link_manual\(\) \{\n(.*?)^\}", (PROJECT / "lab").read_text(), re.M | re.S)
    assert found
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/testbed.1").write_text("the page\n")
    for _ in range(2):
        subprocess.run(["bash", "-ec", found[1]], cwd=tmp_path, check=True)
    assert (tmp_path / ".venv/share/man/man1/testbed.1").read_text() == "the page\n"
