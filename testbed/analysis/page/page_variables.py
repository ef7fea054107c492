# SPDX-License-Identifier: Apache-2.0
"""Everything the templates print, as plain values: they loop and place, and decide nothing."""

import shlex
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from testbed.analysis.conclusions import sentences
from testbed.analysis.conclusions.comparison import Comparison, excluded_arms
from testbed.analysis.conclusions.grouping import grouped
from testbed.analysis.conclusions.opening import Opening
from testbed.analysis.conclusions.second_opinion import disagreements, order_text
from testbed.analysis.findings import CHECKS, Finding, counted
from testbed.analysis.findings.finding import MPSTAT, about_comparison
from testbed.analysis.formats.mpstat import render_mpstat_text
from testbed.analysis.measures import cost_names, gro
from testbed.analysis.measures.cost import cost_of, costs_by_block
from testbed.analysis.page.gate_table import gate_table
from testbed.analysis.page.generic_xdp import generic_xdp_note
from testbed.analysis.page.instrument_table import badges, instrument_table
from testbed.analysis.page.ledger_table import ledger_table
from testbed.analysis.page.method import method
from testbed.analysis.plots.stamp import modes
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Arm, Run, Trial
from testbed.analysis.statistics.intervals import coefficient_of_variation
from testbed.model.nic import INTERFACE
from testbed.model.plan import folder_of

MOST_TITLES = 8
"""Arms that are named in the heading."""
MOST_COMPARISONS = 60
"""Rows of one hook against another; 199 hooks would make 19,701. `findings.json` has all."""
COLUMNS = 8
"""Arms beside each other in a table; of more there are several tables, for the width of a page."""


def view_of(
    run: Run,
    findings: tuple[Finding, ...],
    comparisons: tuple[Comparison, ...],
    said: Opening,
) -> dict[str, Any]:
    """The template's variables by name, but for the figures."""
    excluded = excluded_arms(run, findings)
    between = [c for c in comparisons if (c.ratio or c.rates) and _has_row(run, c)]
    void = [c for c in comparisons if c.ratio is None and c.rates is None]
    titles = [arm.title for arm in run.ordered_arms]
    return {
        "run": run,
        "titles": titles
        if len(titles) <= MOST_TITLES
        else [*titles[:MOST_TITLES], f"and {len(titles) - MOST_TITLES} more arms"],
        "opening": said,
        "facts": _byline(run),
        "arms": [_arm(run, arm, excluded, comparisons) for arm in run.ordered_arms],
        "against_none": any(not _has_row(run, c) and (c.ratio or c.rates) for c in comparisons),
        "comparisons": [_comparison(run, c) for c in between[:MOST_COMPARISONS]],
        "more_comparisons": max(0, len(between) - MOST_COMPARISONS),
        "void_comparisons": [_comparison(run, c) for c in void[:MOST_COMPARISONS]],
        "more_void": max(0, len(void) - MOST_COMPARISONS),
        "trials": [_trial(run, trial, excluded) for trial in run.trials],
        "ledger": ledger_table(run),
        "gate": gate_table(run),
        "instruments": instrument_table(run, findings),
        "order_notes": _order_notes(run, comparisons, said),
        "badges": badges(run, findings),
        "method": method(run),
        "findings": grouped(run, about_comparison(findings)),
        "about_mpstat": grouped(run, tuple(f for f in findings if f.about == MPSTAT)),
        "checks": [_check(check.code, findings) | {"check": check} for check in CHECKS],
        "bands": bool(comparisons),
        "columns": COLUMNS,
        "generic_xdp": generic_xdp_note(run),
        "unit": cost_names.cost_head(run),
        "about_unit": cost_names.explanation(run),
        "overview": [*environment.overview(run), *_gro(run)],
        "details": environment.details(run),
        "command": shlex.join(run.command),
        "seed": "" if run.seed is None or "--seed" in run.command else str(run.seed),
        "commit": _member(run, "git").get("commit", ""),
        "dirty": bool(_member(run, "git").get("dirty")),
        "recorder": _member(run, "versions").get("testbed", ""),
        "probes": [_probe(run, arm) for arm in run.ordered_arms] if run.probes else [],
        "quote": quote,
        "count": sentences.count,
        "significant": sentences.significant,
    }


def _member(run: Run, name: str) -> Mapping[str, Any]:
    """An object of the manifest; empty when it is null, missing or something else."""
    value = run.manifest.get(name)
    return value if isinstance(value, Mapping) else {}


def _gro(run: Run) -> list[tuple[str, str]]:
    said = gro.in_words(run)
    return [(f"GRO (server, {INTERFACE})", said)] if said else []


def _byline(run: Run) -> list[tuple[str, str]]:
    return [
        ("Run", run.run_id),
        ("Started", environment.started(run)),
        ("Acceleration", environment.accelerator(run)),
        ("NIC driver", environment.nic_driver(run)),
        ("Kernel", environment.kernel(run)),
        ("Server CPUs", environment.server_cpus(run)),
        ("Attached as", "; ".join(modes(run, run.ordered_arms)) or sentences.DASH),
    ]


def _arm(
    run: Run,
    arm: Arm,
    excluded: dict[str, tuple[str, ...]],
    comparisons: tuple[Comparison, ...],
) -> dict[str, Any]:
    trials = run.trials_of(arm.name)
    known = [t for t in trials if t.client and t.server]
    offered = sum(t.client.offered for t in known if t.client)
    unique = sum(t.server.unique for t in known if t.server)
    costs = list(costs_by_block(run, arm.name).values())
    spread = coefficient_of_variation(costs)
    against = next((c for c in comparisons if c.arm == arm.name and not _has_row(run, c)), None)
    return {
        "arm": arm,
        "mode": sentences.mode_text(run, arm),
        "trials": len(trials),
        "planned": sum(name == arm.name for block in run.blocks for name in block),
        "offered": sentences.count(offered if known else None),
        "delivered": sentences.count(unique if known else None),
        "share": sentences.share(unique / offered if offered else None),
        "short": offered > 0 and unique / offered < 0.99,
        "cost": sentences.mean_text(costs),
        "spread": sentences.spread_text(spread),
        "against_none": _comparison(run, against) if against else None,
        "excluded": excluded.get(arm.name, ()),
        "cpus": max((t.mpstat.cpu_count for t in trials if t.mpstat), default=0),
        "mpstat": [
            (
                t.number,
                f"derived/mpstat/{folder_of(t.block, arm.name)}.txt",
                render_mpstat_text(t.mpstat),
            )
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
        "offered": sentences.count(client.offered if client else None),
        "delivered": sentences.count(server.unique if server else None),
        "share": sentences.share(share),
        "short": share is not None and share < 0.99,
        "duration": sentences.milliseconds(client.duration_ms if client else None),
        "hits": sentences.count(trial.hook_hits),
        "cost": sentences.cost_text(cost),
        "why_no_cost": cost.reason if cost else "",
        "csum": sentences.count(counted(trial, "UdpInCsumErrors")),
        "log": sentences.count(trial.kernel_log_lines),
        "excluded": trial.arm in excluded,
        "problems": trial.problems,
    }


def _has_row(run: Run, comparison: Comparison) -> bool:
    """Hook against hook, and an arm against itself; what stands beside no hook is in the arms'
    own table."""
    return not run.arm(comparison.reference).is_baseline


def _comparison(run: Run, comparison: Comparison) -> dict[str, Any]:
    ratio = comparison.ratio
    return {
        "arm": run.arm(comparison.arm).title,
        "reference": run.arm(comparison.reference).title,
        "ratio": sentences.ratio_text(ratio),
        "interval": sentences.interval_text(ratio),
        "blocks": ratio.block_count if ratio else 0,
        "verdict": comparison.verdict,
        "suspect": comparison.suspect,
        "control": comparison.is_control,
    }


def _probe(run: Run, arm: Arm) -> dict[str, str]:
    """Return the times of the arm's own counters; a dash for an arm that has none."""
    probe = run.probes.get(arm.name)
    return {
        "title": arm.title,
        "runs": sentences.count(probe.runs if probe else None),
        "mean_ns": sentences.significant(probe.mean_ns if probe else None),
    }


def _order_notes(run: Run, comparisons: tuple[Comparison, ...], said: Opening) -> list[str]:
    """Where the host's clock orders two arms otherwise, as far as the opening has not said it."""
    measured = tuple(c for c in comparisons if not c.is_control)
    notes = [order_text(run, found) for found in disagreements(run, measured)]
    return [note for note in notes if note not in said.notes][:MOST_COMPARISONS]


def _check(code: str, findings: tuple[Finding, ...]) -> dict[str, Any]:
    verdicts = [f.verdict for f in findings if f.code == code]
    return {"verdict": max(verdicts, key=lambda v: v.severity).value}
