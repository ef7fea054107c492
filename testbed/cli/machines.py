# SPDX-License-Identifier: Apache-2.0
"""Commands about the two machines and their box."""

from typing import Annotated

import typer

from testbed.cli.app import JsonOption, app, box_app, the_lab


@app.command()
def up() -> None:
    """Bring both machines up, set up and with the fair arms built; does only what is left to do."""
    from testbed import verbs

    verbs.up(the_lab())


@app.command()
def down(
    destroy: Annotated[bool, typer.Option("--destroy", help="Remove machines and disks.")] = False,
) -> None:
    """Shut both machines down."""
    from testbed import verbs

    verbs.down(the_lab(), destroy=destroy)


@app.command()
def status(json: JsonOption = False) -> None:
    """Tell what runs."""
    from testbed import verbs

    verbs.status(the_lab(), as_json=json)


@app.command(context_settings={"allow_interspersed_args": False})
def ssh(
    machine: Annotated[str, typer.Argument(help="client or server")],
    command: Annotated[list[str] | None, typer.Argument(help="A command; else a shell.")] = None,
) -> None:
    """Open a root shell in a machine, or run a command in it."""
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
    """Print where the machines' consoles and Vagrant's log are, with their last lines."""
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
