# SPDX-License-Identifier: Apache-2.0
"""derived/trials.csv and derived/findings.json."""

import json
from typing import TYPE_CHECKING, Any

from testbed.analysis.conclusions.comparison import Comparison, excluded_arms
from testbed.analysis.conclusions.opening import Opening
from testbed.analysis.findings import Finding, counted, worst
from testbed.analysis.instruments import INSTRUMENTS
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.measures.hops import (
    CLIENT_TX,
    FORWARDED,
    HOOK,
    SERVER_RX,
    UDP,
    VETH_RX,
    VETH_TX,
    hops_of,
)
from testbed.analysis.measures.mpstat_timeline import percent_in_traffic
from testbed.analysis.reading.records import Arm, Run, Trial

if TYPE_CHECKING:
    import pandas as pd

HOP_COLUMNS = {
    CLIENT_TX: "client_nic_tx", SERVER_RX: "server_nic_rx", HOOK: "hook_data",
    FORWARDED: "forwarded", VETH_TX: "veth_tx", VETH_RX: "veth_rx", UDP: "udp_delivered",
}  # fmt: skip
"""Data packets at each hop of the ledger; `offered` and `delivered` are its first and its last."""

COLUMNS = (
    "block", "position", "arm", "trial", "source_port", "offered", "delivered", "delivered_share",
    "duplicates", "reordered", "client_ms", "server_ms", "rate_pps", "hook_hits",
    "udp_in_csum_errors", "rcvbuf_errors", "kernel_log_lines", "cpu_count", "wall_s", "busy_s",
    "idle_rate", "cost_us", "cost_uncertainty_us", "mpstat_busy_pct", "mpstat_soft_pct",
    "host_vcpu_us", "net_rx_per_packet", "packets_per_interrupt", *HOP_COLUMNS.values(),
)  # fmt: skip
"""idle_rate: CPU-seconds per second in the idle window. *_pct: % of one CPU, 0…100 * CPUs."""


def trial_row(trial: Trial, arm: Arm) -> dict[str, Any]:
    """One trial by column; None where the trial does not have the number."""
    client, server, cost = trial.client, trial.server, cost_of(trial)
    traffic = cost.traffic if cost else None
    idle = cost.idle if cost else None
    hops = {hop.name: hop.packets for hop in hops_of(trial, arm)}
    return {
        "block": trial.block,
        "position": trial.position,
        "arm": trial.arm,
        "trial": trial.number,
        "source_port": client.source_port if client else None,
        "offered": client.offered if client else None,
        "delivered": server.unique if server else None,
        "delivered_share": _rounded(trial.delivered_share, 6),
        "duplicates": server.duplicates if server else None,
        "reordered": server.reordered if server else None,
        "client_ms": client.duration_ms if client else None,
        "server_ms": server.duration_ms if server else None,
        "rate_pps": _rounded(client.achieved_pps, 1) if client else None,
        "hook_hits": trial.hook_hits,
        "udp_in_csum_errors": counted(trial, "UdpInCsumErrors"),
        "rcvbuf_errors": counted(trial, "UdpRcvbufErrors"),
        "kernel_log_lines": trial.kernel_log_lines,
        "cpu_count": traffic.cpu_count if traffic else None,
        "wall_s": _rounded(traffic.wall_s, 6) if traffic else None,
        "busy_s": _rounded(traffic.busy_s, 6) if traffic else None,
        "idle_rate": _rounded(idle.rate, 6) if idle else None,
        "cost_uncertainty_us": _rounded(cost.uncertainty_us, 3) if cost else None,
        "mpstat_soft_pct": _rounded(percent_in_traffic(trial, ("soft",)), 2),
        **{one.column: _rounded(one.read(trial), one.digits) for one in INSTRUMENTS},
        **{column: hops.get(name) for name, column in HOP_COLUMNS.items()},
    }


def trials_frame(run: Run) -> "pd.DataFrame":
    """One row a trial, every value as `trial_row` has it; an unknown number is None, never 0."""
    import pandas as pd

    rows = [trial_row(trial, run.arm(trial.arm)) for trial in run.trials]
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def trials_csv(run: Run) -> str:
    """The same as text; an unknown number is an empty cell."""
    return trials_frame(run).to_csv(index=False, lineterminator="\n")


def findings_json(
    run: Run,
    findings: tuple[Finding, ...],
    comparisons: tuple[Comparison, ...],
    said: Opening,
    count: dict[str, Any] | None = None,
) -> str:
    """The checks' outcome, the comparisons they allow and the page's answers, for programs.

    `count` is what the run's exact count says, where it has one: it is apart from all of that.
    """
    document = {
        "schema": 1,
        "run_id": run.run_id,
        "complete": run.complete,
        "verdict": worst(findings).value,
        "status": said.status,
        "headline": said.headline,
        "answers": list(said.answers),
        "excluded_arms": {arm: list(c) for arm, c in excluded_arms(run, findings).items()},
        "comparisons": [comparison_json(c) for c in comparisons],
        "findings": [finding_json(f) for f in findings],
        **({"count": count} if count is not None else {}),
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def finding_json(finding: Finding) -> dict[str, Any]:
    """Return one finding as findings.json has it."""
    scope = finding.scope
    return {
        "code": finding.code,
        "verdict": finding.verdict.value,
        "scope": {"kind": scope.kind, "arm": scope.arm, "block": scope.block},
        "about": finding.about,
        "statement": finding.statement,
        "evidence": [
            {"quantity": e.quantity, "observed": e.observed, "unit": e.unit, "bound": e.bound}
            for e in finding.evidence
        ],
        "advice": finding.advice,
    }


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Return one comparison as findings.json has it."""
    ratio = comparison.ratio
    return {
        "arm": comparison.arm,
        "reference": comparison.reference,
        "verdict": comparison.verdict,
        "suspect": comparison.suspect,
        "headline": comparison.is_headline,
        "control": comparison.is_control,
        "ratio": _rounded(ratio.ratio, 6) if ratio else None,
        "low": _rounded(ratio.low, 6) if ratio else None,
        "high": _rounded(ratio.high, 6) if ratio else None,
        "blocks": ratio.block_count if ratio else None,
        "blocks_to_settle": comparison.blocks_to_settle,
        "judged_together": comparison.family,
        "rates_pps": [round(rate, 1) for rate in comparison.rates] if comparison.rates else None,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)
