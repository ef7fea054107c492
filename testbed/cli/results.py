# SPDX-License-Identifier: Apache-2.0
"""Commands that read what was measured."""

from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completing
from testbed.cli.app import JsonOption, app, the_lab
from testbed.model.errors import ExitCode

if TYPE_CHECKING:
    from testbed.verbs import Lab, Wanted


@app.command()
def report(
    run: Annotated[
        list[str] | None,
        typer.Argument(
            help="Runs; the latest by default.",
            metavar="[RUN]...",
            show_default=False,
            autocompletion=completing.run_or_published,
        ),
    ] = None,
    json: JsonOption = False,
    published: Annotated[
        bool, typer.Option("--published", help="With the original's published numbers beside.")
    ] = False,
    per_cpu: Annotated[
        bool, typer.Option("--per-cpu", help="With a chart of each CPU by itself.")
    ] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="Also report.pdf (./lab setup pdf).")] = False,
) -> None:
    """Render the pages of runs.

    Needs nothing but their files: no machines.
    """
    from testbed import verbs

    wanted = verbs.Wanted(published=published, per_cpu=per_cpu, pdf=pdf)
    render(the_lab(), run or [], wanted, as_json=json)


def render(
    lab: "Lab", names: list[str], wanted: "Wanted | None" = None, *, as_json: bool = False
) -> None:
    """Render the pages of runs and print each answer; exit with 7 where one is INVALID."""
    from testbed import verbs

    reports = verbs.report(lab, names, wanted)
    for done in reports:
        if as_json:
            print(done.findings, end="")
        else:
            lab.terminal.say(done.answer)
            print(done.page)
    if any(done.invalid for done in reports):
        raise typer.Exit(int(ExitCode.INVALID))


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A run.", autocompletion=completing.run)],
    second: Annotated[
        str,
        typer.Argument(
            help="Another run, alike but for what is compared.", autocompletion=completing.run
        ),
    ],
    json: JsonOption = False,
) -> None:
    """Set two runs beside each other.

    Refuses runs that are not alike.
    """
    from testbed import verbs

    if not verbs.compare(the_lab(), first, second, as_json=json):
        raise typer.Exit(int(ExitCode.INVALID))


@app.command()
def runs(json: JsonOption = False) -> None:
    """List every run.

    Renews results/index.html, too.
    """
    from testbed import verbs

    verbs.runs(the_lab(), as_json=json)
