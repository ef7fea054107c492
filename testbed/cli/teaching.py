# SPDX-License-Identifier: Apache-2.0
"""The command that makes the lab sheet."""

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import completing
from testbed.cli.app import app, the_lab
from testbed.model.errors import UsageError


@app.command()
def handout(
    lang: Annotated[
        str,
        typer.Option(
            help="en, ko, …; else every language there is.", autocompletion=completing.language
        ),
    ] = "",
    instructor: Annotated[
        bool, typer.Option("--instructor", help="With answers, marking notes and real figures.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Where to; results/handout by default.")] = None,
    pdf: Annotated[bool, typer.Option("--pdf", help="As PDF too.")] = False,
    sample: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            help="The run whose figures the instructor gets.",
            autocompletion=completing.run,
        ),
    ] = "",
    starter: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the starter code into DIR instead, no pages."),
    ] = None,
) -> None:
    """Make the lab sheet.

    With --starter, writes the code that students complete.
    """
    from testbed import verbs

    if starter is not None and (lang or out or pdf or sample):
        raise UsageError(
            "--starter writes code and no pages",
            hint="leave --lang, --out, --pdf and --sample out; --instructor fills the holes",
        )
    if sample and not instructor:
        raise UsageError("--sample is for --instructor", hint="the student sheet has no figures")
    lab = the_lab()
    if starter is not None:
        paths = verbs.starter(lab, starter, solved=instructor)
    else:
        languages = [lang] if lang else []
        paths = verbs.handout(
            lab, languages, instructor=instructor, pdf=pdf, out=out, run=sample or None
        )
    for path in paths:
        print(path)
