# SPDX-License-Identifier: Apache-2.0
"""`testbed count`, on the command line."""

from typing import Annotated

import typer

from testbed.cli import completing
from testbed.cli.app import JsonOption, app, the_lab
from testbed.model.errors import UsageError

SMALLEST, LARGEST = 0, 1472


@app.command()
def count(
    arms: Annotated[
        str,
        typer.Option(
            help="Just these, separated by commas: none,netfilter,xdp unless told.",
            autocompletion=completing.arms,
        ),
    ] = "",
    packets: Annotated[int, typer.Option(min=17, max=10000, help="Packets an arm.")] = 272,
    payload: Annotated[
        str, typer.Option(metavar="BYTES[,BYTES…]", help="UDP payloads, bytes.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Count a packet's instructions exactly.

    Counts on a machine of its own.
    """
    # By its module: `verbs.count` is that module, once `bench` has imported it.
    from testbed.verbs.measuring.count import count as counted

    names = [name.strip() for name in arms.split(",") if name.strip()]
    sizes = [_size(word) for word in payload.split(",") if word.strip()]
    raise typer.Exit(counted(the_lab(), names, sizes, packets, as_json=as_json))


def _size(word: str) -> int:
    text = word.strip()
    if not (text.isascii() and text.isdigit() and SMALLEST <= int(text) <= LARGEST):
        raise UsageError(
            f"--payload {text!r} is no size in bytes",
            hint=f"whole numbers from {SMALLEST} to {LARGEST}, separated by commas",
        )
    return int(text)
