# SPDX-License-Identifier: Apache-2.0
"""The table: as wide as the terminal, with commands whole, coloured where that is wanted."""

import io

import pytest

from testbed.edge.output.terminal import coloured
from testbed.lab.doctor import table
from testbed.lab.doctor.diagnosis import Diagnosis, ok

COMMAND = "`echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor`"
LINES = [
    ok("cores", "2 for 2 virtual CPUs"),
    Diagnosis("governor", "warning", " ".join(["word"] * 30), f"{COMMAND}, and then look again"),
]


def test_a_pipe_gets_each_line_whole() -> None:
    assert table.lines(LINES, None, colour=False) == [
        "ok       cores     2 for 2 virtual CPUs",
        f"warning  governor  {LINES[1].found}",
        f"         → {LINES[1].fix}",
    ]


def test_a_terminal_gets_lines_that_fit_and_commands_that_can_be_copied() -> None:
    found = table.lines(LINES, 80, colour=False)
    assert [line for line in found if len(line) > 80 and COMMAND not in line] == []
    assert any(COMMAND in line for line in found)
    assert all(line.startswith(" " * 19 + "word") for line in found[2:4])
    assert found[-1] == "           and then look again"


def test_colours_take_no_room() -> None:
    plain, painted = (table.lines(LINES, 80, colour=colour) for colour in (False, True))
    assert painted[0] == f"\x1b[32mok      \x1b[0m{plain[0][8:]}"
    assert painted[1].startswith("\x1b[33mwarning \x1b[0m")


def test_what_there_is_of_each_level() -> None:
    problems = [Diagnosis("a", "problem", "b", "c")] * 2
    assert table.summary([*LINES, *problems]) == "2 problems, 1 warning, 1 ok"
    assert table.summary([]) == ""
    assert table.lines([], 80, colour=True) == []


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("wish", "there"), [("", True), ("1", False)])
def test_colours_go_to_a_terminal_that_wants_them(
    monkeypatch: pytest.MonkeyPatch, wish: str, there: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", wish)
    assert coloured(Screen()) is there
    assert coloured(io.StringIO()) is False
