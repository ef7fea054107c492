# SPDX-License-Identifier: Apache-2.0
"""Commands about the two machines and their box."""

from pathlib import Path
from typing import Annotated

import typer

from testbed.cli import completing
from testbed.cli.app import JsonOption, app, box_app, the_lab, the_terminal
from testbed.model.errors import UsageError


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is new or empty.")],
) -> None:
    """Make a lab folder, for one without a checkout.

    It gets the machines' programs, the arms, the templates and a testbed.toml.
    """
    from testbed import verbs

    verbs.init(folder, the_terminal())


@app.command()
def up(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, and why.")
    ] = False,
    provider: Annotated[
        str | None,
        typer.Option(
            "--provider",
            help="The program that makes them: auto, vagrant or libvirt.",
            autocompletion=completing.provider,
        ),
    ] = None,
    timings: Annotated[
        bool, typer.Option("--timings", help="Print in the end how long each step took.")
    ] = False,
) -> None:
    """Bring both machines up.

    Sets them up and builds the fair arms. Skips every step that is done already.
    """
    from testbed import verbs

    lab = the_lab()
    verbs.up(lab, dry_run=dry_run, provider=provider)
    if timings:
        lab.terminal.print_timings()


@app.command()
def down(
    halt: Annotated[bool, typer.Option("--halt", help="Shut down, do not save.")] = False,
    destroy: Annotated[bool, typer.Option("--destroy", help="Remove machines and disks.")] = False,
) -> None:
    """Save both machines' state to disk.

    The next `up` then takes seconds.
    """
    from testbed import verbs

    if halt and destroy:
        raise UsageError("--halt and --destroy exclude each other", hint="give one of them")
    verbs.down(the_lab(), "destroy" if destroy else "halt" if halt else "save")


@app.command()
def status(json: JsonOption = False) -> None:
    """Tell what runs."""
    from testbed import verbs

    verbs.status(the_lab(), as_json=json)


@app.command()
def doctor(
    boot: Annotated[
        bool, typer.Option("--boot", help="Boot a machine to throw away, and time it.")
    ] = False,
    orphans: Annotated[
        bool, typer.Option("--orphans", help="List what crashes and deleted checkouts left.")
    ] = False,
    remove: Annotated[bool, typer.Option("--remove", help="With --orphans: remove it.")] = False,
    json: JsonOption = False,
) -> None:
    """Find what is wrong with this computer.

    Tells everything at once, each problem with its fix.
    """
    from testbed import verbs

    if remove and not orphans:
        raise UsageError("--remove is for --orphans", hint="`testbed doctor --orphans --remove`")
    if boot and orphans:
        raise UsageError("--boot and --orphans exclude each other", hint="give one, then the other")
    if orphans:
        raise typer.Exit(verbs.clear_away(the_lab(), remove=remove, as_json=json))
    raise typer.Exit(verbs.doctor(the_terminal(), with_boot=boot, as_json=json))


@app.command(context_settings={"allow_interspersed_args": False})
def ssh(
    machine: Annotated[
        str, typer.Argument(help="client or server", autocompletion=completing.machine)
    ],
    command: Annotated[list[str] | None, typer.Argument(help="A command; else a shell.")] = None,
) -> None:
    """Open a root shell in a machine.

    With a command, runs that instead.
    """
    from testbed import verbs

    raise typer.Exit(verbs.ssh(the_lab(), machine, command or []))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def vagrant(context: typer.Context) -> None:
    """Run plain `vagrant` on these machines."""
    from testbed import verbs

    raise typer.Exit(verbs.vagrant(the_lab(), context.args))


@app.command()
def logs() -> None:
    """Print the last lines of all logs.

    Tells where consoles, Vagrant and the latest run have theirs.
    """
    from testbed import verbs

    verbs.logs(the_lab())


@box_app.command("build")
def box_build() -> None:
    """Build the box, unless it is there."""
    from testbed import verbs

    verbs.box_build(the_lab())


@box_app.command("show")
def box_show(json: JsonOption = False) -> None:
    """Tell what the box is."""
    from testbed import verbs

    verbs.box_show(the_lab(), as_json=json)


@box_app.command("remove")
def box_remove() -> None:
    """Delete every box of this account; the machines must be gone."""
    from testbed import verbs

    verbs.box_remove(the_lab())
