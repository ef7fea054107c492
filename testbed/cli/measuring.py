# SPDX-License-Identifier: Apache-2.0
"""Commands that measure."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completing
from testbed.cli.app import JsonOption, app, the_lab
from testbed.cli.results import render
from testbed.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from testbed.verbs import Precision


LARGEST_SEED = 2**52
"""A trial's own seed is a thousand times this one, and the guest's client takes 62 bits."""


@app.command()
def bench(
    both: Annotated[bool, typer.Option("--both", help="No hook, Netfilter and XDP.")] = False,
    netfilter: Annotated[bool, typer.Option("--netfilter", help="No hook and Netfilter.")] = False,
    xdp: Annotated[bool, typer.Option("--xdp", help="No hook and XDP.")] = False,
    arms: Annotated[
        str,
        typer.Option(help="Just these, separated by commas.", autocompletion=completing.arms),
    ] = "",
    trials: Annotated[int | None, typer.Option(help="Trials an arm.")] = None,
    rate: Annotated[float | None, typer.Option(help="Fixed packet rate; do not lower it.")] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds a trial.")] = None,
    payload: Annotated[int | None, typer.Option(help="UDP payload, bytes.")] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=LARGEST_SEED, help="Repeat order, payload and pacing."),
    ] = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="Add hooks with nothing to match, and an A/A pair.")
    ] = False,
    until_precise: Annotated[
        str, typer.Option(metavar="5%", help="Add blocks until the ratio is known to ± this.")
    ] = "",
    probe: Annotated[
        bool, typer.Option("--probe", help="Time the BPF program itself, in a further pass.")
    ] = False,
    no_gro: Annotated[
        bool, typer.Option("--no-gro", help="Switch GRO off on the server's NIC for every arm.")
    ] = False,
    no_count: Annotated[
        bool, typer.Option("--no-count", help="Trials alone, no exact count after them.")
    ] = False,
    profile: Annotated[
        str,
        typer.Option(
            help="fair, or original: the published protocol as it was.",
            autocompletion=completing.profile,
        ),
    ] = "fair",
    max_blocks: Annotated[
        int, typer.Option(min=2, max=1000, help="Give up --until-precise after so many blocks.")
    ] = 40,
    boots: Annotated[
        int, typer.Option(min=1, max=100, help="Split the trials evenly over so many boots.")
    ] = 1,
    resume: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            help="Finish a run that was cut off; or `latest`.",
            autocompletion=completing.run_or_latest,
        ),
    ] = "",
) -> None:
    """Run the experiment, count its arms, and render the report.

    The machines must be up.
    """
    from dataclasses import replace

    from testbed import verbs
    from testbed.model.arm import BASELINE, EXHIBITS, FAIR

    if resume:
        _resume(resume)
        return
    names = _names(arms)
    chosen = [hook for hook, on in zip(FAIR, (both or netfilter, both or xdp), strict=True) if on]
    if profile not in ("fair", "original"):
        raise UsageError(f"there is no profile {profile!r}", hint="the profiles: fair, original")
    original = profile == "original"
    if original and (chosen or controls or until_precise or probe or boots > 1):
        raise UsageError(
            "--profile original is the published protocol, with its own two arms",
            hint="leave the other options out; --arms a,b puts other arms through that protocol",
        )
    if original:
        names = names or list(EXHIBITS)
    elif bool(names) == bool(chosen):
        raise UsageError(
            "which arms?", hint="give --both, --netfilter or --xdp, or else --arms a,b,…"
        )
    lab = the_lab()
    config = lab.config.with_bench(
        trials=trials, rate_pps=rate, duration_s=duration, payload_bytes=payload,
        adapt_load=None if rate is None else False, gro=False if no_gro else None,
    )  # fmt: skip
    _demand_blocks(boots, config.bench.trials, until_precise)
    request = verbs.Request(
        names or [BASELINE, *chosen], seed, ["testbed", *sys.argv[1:]], controls=controls,
        probe=probe, original=original, boots=boots, count=not (no_count or original),
        precision=_precision(until_precise, config.bench.trials, max_blocks),
    )  # fmt: skip
    verbs.bench(replace(lab, configured=config), request)
    render(lab, [])


def _demand_blocks(boots: int, trials: int, until_precise: str) -> None:
    """Raise UsageError where boots cannot have a block each, or their blocks are not known yet."""
    if boots > trials:
        raise UsageError(
            f"--boots {boots} needs as many blocks, and --trials is {trials}",
            hint=f"--trials {2 * boots} gives each boot two",
        )
    if boots > 1 and until_precise:
        raise UsageError(
            "--boots and --until-precise exclude each other",
            hint="the precision of a ratio over several boots rests on their number, not on blocks",
        )


WITH_RESUME = ("--resume", "-v", "--verbose", "-q", "--quiet", "--log")


def _resume(name: str) -> None:
    """Finish a run; what it is like was decided when it began."""
    from testbed import verbs

    given = [word for word in sys.argv[1:] if word.startswith("-")]
    others = [word for word in given if word.partition("=")[0] not in WITH_RESUME]
    if others:
        raise UsageError(
            f"--resume takes no other option: {' '.join(others)}",
            hint="arms, order, seed and rate are those with which the run began",
        )
    lab = the_lab()
    verbs.resume(lab, None if name == "latest" else name)
    render(lab, [])


def _names(arms: str) -> list[str]:
    return [name.strip() for name in arms.split(",") if name.strip()]


def _precision(text: str, at_least: int, at_most: int) -> "Precision | None":
    """Read `5%` or `5`; raises UsageError for what is no percentage from 0.1 to 50."""
    from testbed.verbs import Precision

    if not text:
        return None
    try:
        percent = float(text.rstrip("% "))
    except ValueError:
        percent = 0.0
    if not 0.1 <= percent <= 50:
        raise UsageError(
            f"--until-precise {text!r} is no percentage", hint="0.1% to 50%, for example 5%"
        )
    if at_most < max(at_least, 2):
        raise UsageError(
            f"--max-blocks {at_most} is less than the {max(at_least, 2)} trials to begin with",
            hint="raise it, or lower --trials",
        )
    return Precision(percent / 100, max(at_least, 2), at_most)


@app.command()
def check(
    arms: Annotated[
        str,
        typer.Option(
            help="These, separated by commas; else the fair ones.", autocompletion=completing.arms
        ),
    ] = "",
    seed: Annotated[
        int | None, typer.Option(help="Send the frames of an earlier check again.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Run the gate: do arms do the same work?

    Crafted frames go through each arm. The output is compared with a reference, byte for byte.
    """
    from testbed import verbs

    raise typer.Exit(verbs.check(the_lab(), _names(arms), seed=seed, as_json=json))


@app.command()
def selftest(
    faults: Annotated[str, typer.Option(help="Just these, separated by commas.")] = "",
    count: Annotated[
        bool, typer.Option("--count", help="Prove the counter: plant a known size in a hook.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Put real faults into real trials.

    Each fault has a check that must find it.
    """
    from testbed import verbs

    if count and faults:
        raise UsageError(
            "--count plants instructions, --faults puts faults into trials",
            hint="give one of the two",
        )
    if count:
        sound = verbs.count_selftest(the_lab(), as_json=json)
        raise typer.Exit(int(ExitCode.OK if sound else ExitCode.INVALID))
    raise typer.Exit(int(verbs.selftest(the_lab(), _names(faults), as_json=json)))
