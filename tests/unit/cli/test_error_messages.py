# SPDX-License-Identifier: Apache-2.0
"""Failures: each says what next, names commands that exist, and looks as it is meant to."""

import ast
import os
import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from testbed import verbs
from testbed.cli.app import app
from testbed.model import errors
from testbed.model.errors import ExitCode, TestbedError
from tests import PROJECT
from tests.unit.factories.fakes import World
from tests.unit.factories.golden_files import same_as_golden
from tests.unit.factories.run_factory import RunRecipe, make_run

pytestmark = pytest.mark.usefixtures("sketched")

PACKAGE = PROJECT / "testbed"
CLASSES: dict[str, type[TestbedError]] = {
    name: kind
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, TestbedError)
}
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
Testbed = Callable[..., Any]


def failures() -> Iterator[tuple[str, type[TestbedError], ast.Call]]:
    """Yield each place in the tool where a failure is made: module and line, class, call."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                kind = CLASSES.get(node.func.id)
                if kind is not None:
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", kind, node


def test_every_failure_says_what_to_do_next() -> None:
    made = list(failures())
    assert len(made) > 150
    silent = [
        place for place, kind, call in made
        if not kind.advice and "hint" not in {word.arg for word in call.keywords}
    ]  # fmt: skip
    assert silent == []


def test_no_failure_is_made_out_of_sight() -> None:
    """A class that is handed on under another name would make failures that nothing here sees."""
    assert set(CLASSES) - {kind.__name__ for _, kind, _ in failures()} == {"TestbedError"}


def strings() -> Iterator[str]:
    """Yield every string of the tool, with `{` for each value that is put in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(getattr(part, "value", "{")) if isinstance(part, ast.Constant)
                              else "{" for part in node.values)  # fmt: skip
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


# The commands that hints and pages name


def unknown_words(command: str) -> list[str]:
    """Return what of a `testbed` command line there is not: verbs and options."""
    click: Any = typer.main.get_command(app)
    wrong = []
    for word in shlex.split(command, comments=True)[1:]:
        if word in ("|", ">", "&&", ";", "--"):
            break
        if word.startswith("-"):
            options = {name for one in click.params for name in (*one.opts, *one.secondary_opts)}
            options |= {"-h", "--help"}
            if word.partition("=")[0] not in options:
                wrong.append(word)
        elif hasattr(click, "commands") and not re.match(r"[A-Z…{[]|VERB", word):
            if word not in click.commands:
                return [*wrong, word]
            click = click.commands[word]
            if "allow_extra_args" in click.context_settings or click.name == "ssh":
                break  # the rest is another program's
    return wrong


def test_the_commands_in_messages_exist() -> None:
    commands = [found for text in strings() for found in re.findall(r"`(testbed [^`{]+)", text)]
    assert len(commands) > 60
    assert {command: wrong for command in commands if (wrong := unknown_words(command))} == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_on_pages_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    commands = re.findall(r"`(testbed [^`\n]+)`", text)
    commands += re.findall(r"^\$ (testbed .+)", text, re.MULTILINE)
    assert {command: wrong for command in commands if (wrong := unknown_words(command))} == {}


def test_the_page_on_exit_codes_has_each_with_a_command() -> None:
    page = (PROJECT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| \[(\d+)\]\(#[\w-]+\) \| (.+) \|$", page, re.MULTILINE))
    assert set(rows) == {str(int(code)) for code in ExitCode}
    assert [code for code, row in rows.items() if "`testbed" not in row.split(" | ")[-1]] == []
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
               for title in re.findall(r"^### (.+)", page, re.MULTILINE)}  # fmt: skip
    assert set(re.findall(r"^\| \[\d+\]\(#([\w-]+)\)", page, re.MULTILINE)) <= anchors


# How they look: one of each exit code at least


def bug(testbed: Testbed, monkeypatch: pytest.MonkeyPatch, **_: Any) -> Any:
    monkeypatch.setattr(verbs, "status", lambda *_, **__: {}["nothing"])
    return testbed("status")


def no_arms(testbed: Testbed, **_: Any) -> Any:
    return testbed("bench")


def no_number(testbed: Testbed, checkout: Path, **_: Any) -> Any:
    (checkout / "testbed.toml").write_text('[bench]\ntrials = "five"\n')
    return testbed("up")


def damaged(testbed: Testbed, checkout: Path, **_: Any) -> Any:
    run = make_run(checkout / "results")
    (run / "plan.json").write_text('{"schema": ')
    return testbed("report", run.name)


def at_work(testbed: Testbed, checkout: Path, **_: Any) -> Any:
    terminal: Any = None
    with verbs.Lab(checkout, terminal, Any).alone("up"):  # type: ignore[arg-type]
        return testbed("bench", "--both")


def log_elsewhere(testbed: Testbed, checkout: Path, **_: Any) -> Any:
    return testbed("--log", str(checkout), "status")


def not_up(testbed: Testbed, **_: Any) -> Any:
    return testbed("ssh", "server")


def struck(request: pytest.FixtureRequest, line: str, kind: str) -> Any:
    """Run a short `bench` of which the first remote command with such a line is struck."""
    bench, rehearsal = request.getfixturevalue("bench_line"), World()
    words = ("--xdp", "--trials", "1", "--seed", "7")
    bench(rehearsal, *words)
    on_server = [step for step in rehearsal.steps if step.lane.startswith("server")]
    step = next(step for step in on_server if line in step.line)
    return bench(World(rehearsal.fault_at(step, kind)), *words)


def no_facts(request: pytest.FixtureRequest, **_: Any) -> Any:
    return struck(request, "snapshot.py --facts", "refused")


def not_loaded(request: pytest.FixtureRequest, **_: Any) -> Any:
    return struck(request, "loader load", "refused")


def ctrl_c(request: pytest.FixtureRequest, **_: Any) -> Any:
    return struck(request, "<testbed-mpstat>", "ctrl-c")


def lossy(testbed: Testbed, checkout: Path, **_: Any) -> Any:
    run = make_run(checkout / "results", RunRecipe(trials=2, delivered_share={"xdp": 0.5}))
    return testbed("report", run.name)


SCENES: dict[Callable[..., Any], ExitCode] = {
    bug: ExitCode.BUG, no_arms: ExitCode.USAGE, no_number: ExitCode.USAGE,
    damaged: ExitCode.USAGE, at_work: ExitCode.HOST, log_elsewhere: ExitCode.HOST,
    not_up: ExitCode.MACHINE, no_facts: ExitCode.GUEST, not_loaded: ExitCode.ARM,
    lossy: ExitCode.INVALID, ctrl_c: ExitCode.INTERRUPTED,
}  # fmt: skip


def test_each_exit_code_has_a_scene() -> None:
    assert set(SCENES.values()) == set(ExitCode) - {ExitCode.OK}


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_how_it_looks(
    scene: Callable[..., Any], testbed: Testbed, checkout: Path,
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    said = scene(testbed=testbed, checkout=checkout, monkeypatch=monkeypatch, request=request)
    assert said.status == int(SCENES[scene])
    err = said.err.replace(str(checkout), "<checkout>").replace(str(os.getpid()), "<pid>")
    err = re.sub(r"\d+\.\d s\)", "T s)", err)
    same_as_golden(f"stderr-{int(said.status)}-{scene.__name__}.txt", err)
