# SPDX-License-Identifier: Apache-2.0
"""A real run's figures for the instructor: where they are from, and a row an arm."""

from dataclasses import dataclass

from testbed.analysis.conclusions import sentences
from testbed.analysis.conclusions.comparison import NO_DIFFERENCE, Comparison, compare
from testbed.analysis.findings import Finding, Verdict, check_run, worst
from testbed.analysis.measures.cost import costs_by_block
from testbed.analysis.published.original import published_run
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.statistics.intervals import coefficient_of_variation


@dataclass(frozen=True, slots=True)
class SampleArm:
    """One arm, as texts; `verdict` is the key of a word, `bound` what it is about."""

    name: str
    delivered: str
    offered: str
    cost: str
    spread: str
    ratio: str
    interval: str
    verdict: str
    bound: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: what it ran on, what its checks came to, and its arms."""

    run_id: str
    started: str
    accelerator: str
    kernel: str
    driver: str
    cpus: str
    blocks: int
    status: str
    rows: tuple[SampleArm, ...]


def sample_of(run: Run) -> Sample:
    """Return the figures of a run, each cost beside that without a hook."""
    findings = check_run(run)
    against = {row.arm: row for row in compare(run, findings) if _is_against_none(run, row)}
    return Sample(
        run_id=run.run_id,
        started=environment.started(run),
        accelerator=environment.accelerator(run),
        kernel=environment.kernel(run),
        driver=environment.nic_driver(run),
        cpus=environment.server_cpus(run),
        blocks=len(run.blocks),
        status=worst(findings).value,
        rows=tuple(_row(run, arm, against.get(arm.name)) for arm in run.arms),
    )


def invalid_of_the_published() -> tuple[str, ...]:
    """Return the codes of the checks that find the original's own tables INVALID."""
    return _codes(check_run(published_run()))


def _codes(findings: tuple[Finding, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(f.code for f in findings if f.verdict is Verdict.INVALID))


def _is_against_none(run: Run, row: Comparison) -> bool:
    return run.arm(row.reference).is_baseline


def _row(run: Run, arm: Arm, against: Comparison | None) -> SampleArm:
    trials = [trial for trial in run.trials_of(arm.name) if trial.client and trial.server]
    costs = list(costs_by_block(run, arm.name).values())
    ratio = against.ratio if against else None
    verdict, bound = "", ""
    if against is not None:
        verdict = against.verdict
        if verdict.startswith(NO_DIFFERENCE):
            verdict, bound = "same", verdict.removeprefix(NO_DIFFERENCE)
    return SampleArm(
        name=arm.name,
        delivered=sentences.count(sum(t.server.unique for t in trials if t.server)),
        offered=sentences.count(sum(t.client.offered for t in trials if t.client)),
        cost=sentences.mean_text(costs),
        spread=sentences.spread_text(coefficient_of_variation(costs)),
        ratio="1" if arm.is_baseline else sentences.ratio_text(ratio),
        interval="" if arm.is_baseline else sentences.interval_text(ratio),
        verdict=verdict,
        bound=bound,
    )
