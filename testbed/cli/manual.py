# SPDX-License-Identifier: Apache-2.0
"""The man page, docs/testbed.1, made from what the command line knows of itself.

`python -m testbed.cli.manual` writes it anew; a test fails while it is not what this makes.
"""

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import typer

from testbed import __version__
from testbed.cli.app import app
from testbed.model.errors import ExitCode

PROJECT = Path(__file__).resolve().parents[2]
PAGE = PROJECT / "docs/testbed.1"
TEMPLATE = "testbed.1.j2"
VALUES = {str: "TEXT", int: "N", float: "X", Path: "PATH"}
# typer's own, which each of its versions words in its own way: the page has a sentence instead.
TYPERS = ("install_completion", "show_completion", "help")


@dataclass(frozen=True)
class Option:
    """An option as the page has it: its names with what they take, and what it is for."""

    names: str
    help: str


@dataclass(frozen=True)
class Verb:
    """A verb: its words after `testbed`, its arguments, what it does, its options."""

    name: str
    arguments: str
    help: str
    options: tuple[Option, ...]


def page() -> str:
    """Return the page in roff."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    command: Any = typer.main.get_command(app)
    environment = Environment(
        loader=FileSystemLoader(PROJECT / "templates"), undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, autoescape=False,
    )  # fmt: skip
    environment.filters["roff"] = roff
    return environment.get_template(TEMPLATE).render(
        version=__version__, summary=command.help, options=_options(command),
        verbs=list(_verbs(command)), codes={code.name: int(code) for code in ExitCode},
    )  # fmt: skip


def roff(text: str) -> str:
    """Return `text` such that roff prints it: `code` in bold, what is not ASCII by its number."""
    text = re.sub(r"\s+", " ", text).strip().replace("\\", r"\e").replace("-", r"\-")
    text = "".join(char if char.isascii() else f"\\[u{ord(char):04X}]" for char in text)
    text = re.sub(r"`([^`]+)`", r"\\fB\1\\fR", text)
    return rf"\&{text}" if text.startswith((".", "'")) else text


def _verbs(command: Any, prefix: str = "") -> Iterator[Verb]:
    for name, verb in command.commands.items():
        if hasattr(verb, "commands"):
            yield from _verbs(verb, f"{name} ")
        else:
            arguments = [_argument(one) for one in verb.params if one.param_type_name == "argument"]
            words = ["[OPTION]..."] * bool(_options(verb)) + arguments
            rest = ["[ARGUMENT]..."] * bool(verb.context_settings.get("allow_extra_args"))
            yield Verb(prefix + name, " ".join(words + rest), verb.help or "", _options(verb))


def _options(command: Any) -> tuple[Option, ...]:
    found = (one for one in command.params if one.param_type_name == "option")
    kinds = get_type_hints(command.callback)
    return tuple(_option(one, kinds[one.name]) for one in found if one.name not in TYPERS)


def _option(option: Any, kind: Any) -> Option:
    names = ", ".join(sorted(option.opts, key=len))
    first, *_ = get_args(kind) or [kind]  # of `int | None`
    taken = "" if option.is_flag else f" {option.metavar or VALUES[first]}"
    preset = option.default if type(option.default) in (int, float, str) else ""
    help_text = option.help + (f" Preset: {preset}." if preset else "")
    return Option(names + taken, help_text)


def _argument(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="ascii")
    print(PAGE, file=sys.stderr)
