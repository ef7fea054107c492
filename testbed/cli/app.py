# SPDX-License-Identifier: Apache-2.0
"""The application: its name, the options that every command has, and the lab it works on."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed import __version__

if TYPE_CHECKING:
    from testbed.edge.output.terminal import Terminal
    from testbed.verbs import Lab

app = typer.Typer(
    name="testbed",
    help="Two real virtual machines, five trials an arm: what does a packet hook cost, and is "
    "that number true?",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
box_app = typer.Typer(help="The machines' image: build, show, remove.", no_args_is_help=True)
app.add_typer(box_app, name="box")

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
state = {"level": 0}


def _print_version(value: bool) -> None:
    if value:
        print(f"testbed {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every command.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say only what is wrong.")] = False,
    log: Annotated[
        Path | None,
        typer.Option("--log", metavar="FILE", help="Append all that is said and run to FILE."),
    ] = None,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    from testbed.edge.output import journal

    state["level"] = 1 if verbose else -1 if quiet else 0
    journal.begin(["testbed", *sys.argv[1:]], verbose=verbose, log=log)


def the_terminal() -> "Terminal":
    """Return the terminal that talk goes to, as the options ask."""
    from testbed.edge.output.terminal import Terminal

    return Terminal(state["level"])


def the_lab() -> "Lab":
    """Return the checkout that the command line is about."""
    from testbed.verbs import Lab

    return Lab.here(the_terminal())
