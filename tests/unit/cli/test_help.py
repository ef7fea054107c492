# SPDX-License-Identifier: Apache-2.0
"""`--help`: every summary whole, on one line of 80 columns, wrapped where there are fewer."""

import re
from typing import Any

import pytest
import typer

from testbed.cli.app import app, first_sentence

GROUPS: tuple[tuple[str, ...], ...] = ((), ("box",))


def commands(*group: str) -> dict[str, Any]:
    found: Any = typer.main.get_command(app)
    for name in group:
        found = found.commands[name]
    return dict(found.commands)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("columns", [52, 60, 80])
def test_every_summary_is_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    group: tuple[str, ...], columns: int,
) -> None:  # fmt: skip
    monkeypatch.setenv("COLUMNS", str(columns))
    command: Any = typer.main.get_command(app)
    command([*group, "--help"], standalone_mode=False)
    listed = capsys.readouterr().out.partition("Commands:\n")[2]
    words = " ".join(listed.split())
    assert "..." not in words and "…" not in words
    assert max(map(len, listed.splitlines())) <= columns
    for name, command in commands(*group).items():
        assert f"{name} {first_sentence(command.help)}" in words
    if columns == 80:
        assert len(listed.splitlines()) == len(commands(*group)), "a line each"


@pytest.mark.parametrize(
    ("text", "summary"),
    [("One. Two.", "One."), ("One", "One"), ("With a.b in\n  it. Two", "With a.b in it."),
     ("", ""), ("Is it? It is.", "Is it?"), ("One\n\nTwo. Three", "One")],
)  # fmt: skip
def test_the_summary_is_the_first_sentence(text: str, summary: str) -> None:
    assert first_sentence(text) == summary


def test_every_command_has_one() -> None:
    for group in GROUPS:
        for command in commands(*group).values():
            assert re.fullmatch(r"[A-Z`].{10,}[.?]", first_sentence(command.help))
