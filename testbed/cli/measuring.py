# SPDX-License-Identifier: Apache-2.0
"""Commands that measure, and commands that read what was measured."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from testbed.cli import completing
from testbed.cli.app import JsonOption, app, the_lab
from testbed.model.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from testbed.verbs import Lab, Precision, Wanted


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
    rate: Annotated[
        float | None, typer.Option(help="Packets a second, exactly: not lowered when not kept.")
    ] = None,
    duration: Annotated[float | None, typer.Option(help="Seconds a trial.")] = None,
    payload: Annotated[int | None, typer.Option(help="UDP payload, bytes.")] = None,
    seed: Annotated[int | None, typer.Option(help="Order, payload and pacing again.")] = None,
    controls: Annotated[
        bool, typer.Option("--controls", help="Hooks with nothing to match too, and an A/A pair.")
    ] = False,
    until_precise: Annotated[
        str, typer.Option(metavar="5%", help="Go on until the ratio is known to ± this.")
    ] = "",
    probe: Annotated[
        bool, typer.Option("--probe", help="A further pass that times the BPF program itself.")
    ] = False,
    profile: Annotated[
        str,
        typer.Option(
            help="fair, or original: the published protocol as it was.",
            autocompletion=completing.profile,
        ),
    ] = "fair",
    max_blocks: Annotated[
        int, typer.Option(min=2, max=1000, help="Where --until-precise gives up.")
    ] = 40,
    resume: Annotated[
        str,
        typer.Option(
            metavar="RUN",
            help="Finish a run that was cut off; or `latest`.",
            autocompletion=completing.run_or_latest,
        ),
    ] = "",
) -> None:
    """Run the experiment on machines that are up, then render its report."""
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
    if original and (chosen or controls or until_precise or probe):
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
        adapt_load=None if rate is None else False,
    )  # fmt: skip
    request = verbs.Request(
        names or [BASELINE, *chosen], seed, ["testbed", *sys.argv[1:]], controls=controls,
        probe=probe, original=original,
        precision=_precision(until_precise, config.bench.trials, max_blocks),
    )  # fmt: skip
    verbs.bench(replace(lab, configured=config), request)
    _report(lab, [])


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
    _report(lab, [])


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
    json: JsonOption = False,
) -> None:
    """Send crafted frames through the arms and compare what comes out with a reference."""
    from testbed import verbs

    raise typer.Exit(verbs.check(the_lab(), _names(arms), as_json=json))


@app.command()
def selftest(
    faults: Annotated[str, typer.Option(help="Just these, separated by commas.")] = "",
    count: Annotated[
        bool, typer.Option("--count", help="Prove the counter: plant a known size in a hook.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Put real faults into real trials, and see whether the checks find each of them."""
    from testbed import verbs

    if count and faults:
        raise UsageError(
            "--count plants instructions, --faults puts faults into trials",
            hint="give one of the two",
        )
    if count:
        if not verbs.count_selftest(the_lab(), as_json=json):
            raise typer.Exit(int(ExitCode.INVALID))
        return
    if not verbs.selftest(the_lab(), _names(faults), as_json=json):
        raise typer.Exit(int(ExitCode.INVALID))


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
    """Render the pages of runs from their files alone, without machines."""
    from testbed import verbs

    wanted = verbs.Wanted(published=published, per_cpu=per_cpu, pdf=pdf)
    _report(the_lab(), run or [], wanted, as_json=json)


def _report(
    lab: "Lab", names: list[str], wanted: "Wanted | None" = None, *, as_json: bool = False
) -> None:
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
    """Set two runs beside each other; refuse when they are not alike."""
    from testbed import verbs

    verbs.compare(the_lab(), first, second, as_json=json)


@app.command()
def runs(json: JsonOption = False) -> None:
    """List every run, and renew results/index.html."""
    from testbed import verbs

    verbs.runs(the_lab(), as_json=json)
