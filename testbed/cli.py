# SPDX-License-Identifier: Apache-2.0
"""The command line: words to verbs, failures to messages and exit codes.

Only what every command needs is imported here; a verb's libraries load with it.
"""

import os
import shlex
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from testbed import __version__
from testbed.model.errors import ExitCode, Interrupted, TestbedError, UsageError

if TYPE_CHECKING:
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
_state = {"level": 0}


def _print_version(value: bool) -> None:
    if value:
        print(f"testbed {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show every command.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Say only what is wrong.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version
        ),
    ] = False,
) -> None:
    _state["level"] = 1 if verbose else -1 if quiet else 0
    if verbose:
        os.environ["TESTBED_VERBOSE"] = "1"


def _lab() -> "Lab":
    from testbed.edge.terminal import Terminal
    from testbed.verbs import Lab

    return Lab.here(Terminal(_state["level"]))


@app.command()
def up() -> None:
    """Bring both machines up, set up and with the fair arms built; does only what is left to do."""
    from testbed import verbs

    verbs.up(_lab())


@app.command()
def down(
    destroy: Annotated[bool, typer.Option("--destroy", help="Remove machines and disks.")] = False,
) -> None:
    """Shut both machines down."""
    from testbed import verbs

    verbs.down(_lab(), destroy=destroy)


@app.command()
def status(json: JsonOption = False) -> None:
    """Tell what runs."""
    from testbed import verbs

    verbs.status(_lab(), as_json=json)


@app.command()
def bench(
    both: Annotated[bool, typer.Option("--both", help="No hook, Netfilter and XDP.")] = False,
    netfilter: Annotated[bool, typer.Option("--netfilter", help="No hook and Netfilter.")] = False,
    xdp: Annotated[bool, typer.Option("--xdp", help="No hook and XDP.")] = False,
    arms: Annotated[str, typer.Option(help="Just these, separated by commas.")] = "",
    trials: Annotated[int | None, typer.Option(help="Trials an arm.")] = None,
    rate: Annotated[float | None, typer.Option(help="Packets a second.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds a trial.")] = None,
    payload: Annotated[int | None, typer.Option(help="UDP payload, bytes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Order, payload and pacing again.")] = None,
) -> None:
    """Run the experiment on machines that are up, then render its report."""
    from dataclasses import replace

    from testbed import verbs
    from testbed.model.arm import BASELINE, FAIR

    names = [name.strip() for name in arms.split(",") if name.strip()]
    chosen = [hook for hook, on in zip(FAIR, (both or netfilter, both or xdp), strict=True) if on]
    if bool(names) == bool(chosen):
        raise UsageError(
            "which arms?", hint="give --both, --netfilter or --xdp, or else --arms a,b,…"
        )
    lab = _lab()
    config = lab.config.with_bench(
        trials=trials, rate_pps=rate, duration_s=duration, payload_bytes=payload
    )
    command = ["testbed", *sys.argv[1:]]
    verbs.bench(replace(lab, config=config), names or [BASELINE, *chosen], seed, command)
    _report(lab, None)


@app.command()
def report(run: Annotated[str, typer.Argument(help="A run; the latest by default.")] = "") -> None:
    """Render a run's page from its files alone, without machines."""
    _report(_lab(), run or None)


def _report(lab: "Lab", run: str | None) -> None:
    from testbed import verbs

    page, answer, invalid = verbs.report(lab, run)
    lab.terminal.say(answer)
    print(page)
    if invalid:
        raise typer.Exit(int(ExitCode.INVALID))


@app.command()
def runs(json: JsonOption = False) -> None:
    """List every run."""
    from testbed import verbs

    verbs.runs(_lab(), as_json=json)


@app.command(context_settings={"allow_interspersed_args": False})
def ssh(
    machine: Annotated[str, typer.Argument(help="client or server")],
    command: Annotated[list[str] | None, typer.Argument(help="A command; else a shell.")] = None,
) -> None:
    """Open a root shell in a machine, or run a command in it."""
    from testbed import verbs

    raise typer.Exit(verbs.ssh(_lab(), machine, command or []))


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def vagrant(context: typer.Context) -> None:
    """Run plain `vagrant` on these machines."""
    from testbed import verbs

    raise typer.Exit(verbs.vagrant(_lab(), context.args))


@app.command()
def logs() -> None:
    """Print where the machines' consoles and Vagrant's log are, with their last lines."""
    from testbed import verbs

    verbs.logs(_lab())


@box_app.command("build")
def box_build() -> None:
    """Build the box, unless it is there."""
    from testbed import verbs

    verbs.box_build(_lab())


@box_app.command("show")
def box_show(json: JsonOption = False) -> None:
    """Tell what the box is."""
    from testbed import verbs

    verbs.box_show(_lab(), as_json=json)


@box_app.command("remove")
def box_remove() -> None:
    """Delete every box of this account; the machines must be gone."""
    from testbed import verbs

    verbs.box_remove(_lab())


def main() -> None:
    """Run the command line; never show a traceback for what a user can cause."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        # Without its standalone mode click returns the code of typer.Exit.
        status = app(standalone_mode=False) or 0
        if status == ExitCode.INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(status)
    except TestbedError as error:
        _complain(error.message, error.hint, error.detail)
        sys.exit(int(error.exit_code))
    except (KeyboardInterrupt, Interrupted):
        print("\ninterrupted: everything that was started has been undone", file=sys.stderr)
        sys.exit(int(ExitCode.INTERRUPTED))
    except typer.Abort:
        sys.exit(int(ExitCode.INTERRUPTED))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:  # a bug of ours, or click's own complaint about the words
        show = getattr(error, "show", None)
        if show is not None:
            show()
            sys.exit(int(ExitCode.USAGE))
        _bug()
        sys.exit(int(ExitCode.BUG))


def _interrupt(_number: int, _frame: object) -> None:
    raise Interrupted


def _complain(message: str, hint: str, detail: str) -> None:
    if detail:
        print(detail, file=sys.stderr)
    print(f"testbed: {message}", file=sys.stderr)
    if hint:
        print(f"  → {hint}", file=sys.stderr)


def _bug() -> None:
    """Write a report that can be pasted into an issue."""
    path = Path("testbed-bug.txt")
    words = f"testbed {__version__}, Python {sys.version.split()[0]}\n$ {shlex.join(sys.argv)}\n\n"
    message = f"a bug of testbed's own: {sys.exc_info()[1]!r}"
    words += traceback.format_exc()
    try:
        path.write_text(words)
    except OSError:
        _complain(message, "please report it with the lines above", words)
    else:
        _complain(message, f"please report it with {path}", "")
