# SPDX-License-Identifier: Apache-2.0
"""Everything the templates print, as plain values: they loop and place, and decide nothing."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from testbed.analysis import environment, wording
from testbed.analysis.comparison import Comparison, costs_by_block, excluded_arms
from testbed.analysis.cost import cost_of
from testbed.analysis.findings import CHECKS, Finding, Verdict, counted
from testbed.analysis.mpstat import render_mpstat_text
from testbed.analysis.plots import Drawing
from testbed.analysis.plots.comparison import ordered
from testbed.analysis.records import Arm, Run, Trial
from testbed.analysis.statistics import coefficient_of_variation, geometric_mean
from testbed.analysis.verdict import opening


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The drawings of a page; None where there was nothing to draw."""

    comparison: Drawing | None
    delivery: Drawing | None
    cpu_time: dict[str, Drawing]

    def every(self) -> list[Drawing]:
        single = [d for d in (self.comparison, self.delivery) if d is not None]
        return [*single, *self.cpu_time.values()]


def view_of(
    run: Run,
    findings: tuple[Finding, ...],
    comparisons: tuple[Comparison, ...],
    figures: Figures,
) -> dict[str, Any]:
    """The template's variables by name."""
    excluded = excluded_arms(run, findings)
    return {
        "run": run,
        "opening": opening(run, findings, comparisons),
        "facts": _byline(run),
        "arms": [_arm(run, arm, excluded) for arm in ordered(run)],
        "comparisons": [_comparison(run, c) for c in comparisons if c.ratio is not None],
        "void_comparisons": [_comparison(run, c) for c in comparisons if c.ratio is None],
        "trials": [_trial(run, trial, excluded) for trial in run.trials],
        "traffic": _traffic(run),
        "findings": _groups(run, findings),
        "checks": [_check(check.code, findings) | {"check": check} for check in CHECKS],
        "figures": figures,
        "generic_xdp": wording.generic_xdp_note(run),
        "overview": environment.overview(run),
        "details": environment.details(run),
        "command": shlex.join(run.command),
        "commit": _member(run, "git").get("commit", ""),
        "dirty": bool(_member(run, "git").get("dirty")),
        "recorder": _member(run, "versions").get("testbed", ""),
        "quote": quote,
    }


def _member(run: Run, name: str) -> Mapping[str, Any]:
    """An object of the manifest; empty when it is null, missing or something else."""
    value = run.manifest.get(name)
    return value if isinstance(value, Mapping) else {}


def _byline(run: Run) -> list[tuple[str, str]]:
    return [
        ("Run", run.run_id),
        ("Started", environment.started(run)),
        ("Acceleration", environment.accelerator(run)),
        ("NIC driver", environment.nic_driver(run)),
        ("Kernel", environment.kernel(run)),
        ("Server CPUs", environment.server_cpus(run)),
    ]


def _arm(run: Run, arm: Arm, excluded: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    trials = run.trials_of(arm.name)
    known = [t for t in trials if t.client and t.server]
    offered = sum(t.client.offered for t in known if t.client)
    unique = sum(t.server.unique for t in known if t.server)
    costs = list(costs_by_block(run, arm.name).values())
    spread = coefficient_of_variation(costs)
    return {
        "arm": arm,
        "mode": wording.mode_text(run, arm),
        "trials": len(trials),
        "planned": sum(name == arm.name for block in run.blocks for name in block),
        "offered": wording.count(offered if known else None),
        "delivered": wording.count(unique if known else None),
        "share": wording.share(unique / offered if offered else None),
        "short": offered > 0 and unique / offered < 0.99,
        "cost": wording.significant(geometric_mean(costs)),
        "spread": wording.DASH if spread is None else f"{spread * 100:.1f}",
        "excluded": excluded.get(arm.name, ()),
        "mpstat": [
            (t.number, f"derived/mpstat/{t.block:02d}-{arm.name}.txt", render_mpstat_text(t.mpstat))
            for t in trials
            if t.mpstat
        ],
    }


def _trial(run: Run, trial: Trial, excluded: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    client, server, cost = trial.client, trial.server, cost_of(trial)
    share = trial.delivered_share
    return {
        "trial": trial,
        "title": run.arm(trial.arm).title,
        "offered": wording.count(client.offered if client else None),
        "delivered": wording.count(server.unique if server else None),
        "share": wording.share(share),
        "short": share is not None and share < 0.99,
        "duration": wording.milliseconds(client.duration_ms if client else None),
        "hits": wording.count(trial.hook_hits),
        "cost": wording.cost_text(cost),
        "why_no_cost": cost.reason if cost else "",
        "csum": wording.count(counted(trial, "UdpInCsumErrors")),
        "log": wording.count(trial.kernel_log_lines),
        "excluded": trial.arm in excluded,
        "problems": trial.problems,
    }


def _traffic(run: Run) -> list[tuple[str, str]]:
    """What the client was asked to send, from the first trial that says so."""
    client = next((trial.client for trial in run.trials if trial.client), None)
    if client is None:
        return []
    seconds = client.planned / client.rate_pps if client.rate_pps else 0
    hops = {t.destination for t in run.trials if t.destination}
    return [
        ("Rate", f"{client.rate_pps:,.0f} packets/s, gaps jittered by ±{client.jitter:.0%}"),
        ("Trial", f"{client.planned:,} packets, {seconds:.3g} s"),
        ("Payload", f"{client.payload_bytes:,} bytes of UDP payload, random"),
        ("Sent to", ", ".join(sorted(hops)) or environment.UNKNOWN),
    ]


def _comparison(run: Run, comparison: Comparison) -> dict[str, Any]:
    ratio = comparison.ratio
    return {
        "arm": run.arm(comparison.arm).title,
        "reference": run.arm(comparison.reference).title,
        "ratio": wording.ratio_text(ratio),
        "interval": wording.interval_text(ratio),
        "blocks": ratio.block_count if ratio else 0,
        "verdict": comparison.verdict,
        "suspect": comparison.suspect,
    }


def _groups(run: Run, findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    """Findings of one check, verdict and arm together; the gravest first."""
    groups: dict[tuple[str, Verdict, str | None], list[Finding]] = {}
    for finding in findings:
        if finding.verdict is not Verdict.VALID:
            key = (finding.code, finding.verdict, finding.scope.arm)
            groups.setdefault(key, []).append(finding)
    numbers = {(t.arm, t.block): t.number for t in run.trials}
    ranked = sorted(groups.items(), key=lambda item: -item[0][1].severity)
    return [
        {
            "code": code,
            "verdict": verdict.value,
            "where": run.arm(arm).title if arm else "the run",
            "lines": _lines(found, numbers),
            "advice": found[0].advice,
        }
        for (code, verdict, arm), found in ranked
    ]


def _lines(findings: list[Finding], numbers: dict[tuple[str, int], int]) -> list[tuple[str, str]]:
    """(which trials, statement), trials that say the same in one line; "" is not a trial."""
    trials: dict[str, list[str]] = {}
    for finding in findings:
        number = numbers.get((finding.scope.arm or "", finding.scope.block or 0))
        trials.setdefault(finding.statement, []).extend([] if number is None else [str(number)])
    return [
        (f"Trial{'s' if len(n) > 1 else ''} {', '.join(n)}" if n else "", statement)
        for statement, n in trials.items()
    ]


def _check(code: str, findings: tuple[Finding, ...]) -> dict[str, Any]:
    verdicts = [f.verdict for f in findings if f.code == code]
    return {"verdict": max(verdicts, key=lambda v: v.severity).value}
