# SPDX-License-Identifier: Apache-2.0
"""The tables of a run of trials: each is made of the rows that `derived/` is written from.

A number has one source, so a frame cannot differ from the file or the page. An unknown number is
NaN in a column of floats and NA in the others, never 0. A type belongs to a column and does not
depend on the run: whole numbers are `Int64`, others `float64`, words `string`, yes or no `boolean`.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pandas as pd

from testbed.analysis.conclusions.comparison import excluded_arms, refused, voiding
from testbed.analysis.conclusions.csv_and_json import (
    COLUMNS,
    comparison_json,
    finding_json,
    trials_frame,
)
from testbed.analysis.findings import Finding
from testbed.analysis.measures.ledger import ledger_of
from testbed.analysis.page.judged import Judged
from testbed.analysis.reading.records import Run

WHOLE, NUMBER, WORD, YES = "Int64", "float64", "string", "boolean"
IDLE_RATE = {"idle_rate": "idle_rate_cpus"}
"""The one column of trials.csv whose name lacks its unit: CPU-seconds a second are CPUs."""
FRACTIONS = frozenset({
    "delivered_share", "client_ms", "server_ms", "rate_pps", "wall_s", "busy_s", "idle_rate",
    "cost_us", "cost_uncertainty_us", "mpstat_busy_pct", "mpstat_soft_pct", "host_vcpu_us",
    "net_rx_per_packet", "packets_per_interrupt",
})  # fmt: skip
"""The columns of trials.csv that hold no whole numbers; all but `arm` of the rest do."""
LEDGER = {
    "block": WHOLE, "arm": WORD, "hop": WORD, "data_packets": WHOLE, "counter": WORD,
    "counted_packets": WHOLE, "other_packets": WHOLE, "since_hop": WORD, "lost_packets": WHOLE,
    "lost_share": NUMBER, "reason": WORD,
}  # fmt: skip
FINDINGS = {
    "code": WORD, "verdict": WORD, "about": WORD, "scope": WORD, "arm": WORD, "block": WHOLE,
    "statement": WORD, "advice": WORD,
}  # fmt: skip
EVIDENCE = {
    "code": WORD, "verdict": WORD, "arm": WORD, "block": WHOLE, "quantity": WORD,
    "observed": "object", "unit": WORD, "bound": WORD,
}  # fmt: skip
"""`observed` has numbers and words: each finding has a unit of its own."""
COMPARISONS = {
    "arm": WORD, "reference": WORD, "verdict": WORD, "why": WORD, "ratio": NUMBER, "low": NUMBER,
    "high": NUMBER, "blocks": WHOLE, "blocks_to_settle": WHOLE, "suspect": YES, "headline": YES,
    "control": YES, "judged_together": WHOLE, "arm_rate_pps": NUMBER, "reference_rate_pps": NUMBER,
}  # fmt: skip


def frame(rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> pd.DataFrame:
    """Return rows as a table whose columns, and their types, are those of `types`."""
    table = pd.DataFrame(list(rows), columns=list(types), dtype=object)
    return table.astype(dict(types))


def trials(run: Run) -> pd.DataFrame:
    """One row a trial, as derived/trials.csv has it (docs/run-directory.md)."""
    types = {name: NUMBER if name in FRACTIONS else WHOLE for name in COLUMNS} | {"arm": WORD}
    return trials_frame(run).astype(types).rename(columns=IDLE_RATE)


def ledger(run: Run) -> pd.DataFrame:
    """One row a trial and hop, in the packets' order; none of a trial without its records.

    `lost_packets` were lost since `since_hop`, the last hop before that is known; fewer than 0 were
    gained. They are NA at the first hop and at one that is not known.
    """
    return frame(_hops(run), LEDGER)


def _hops(run: Run) -> Iterator[dict[str, Any]]:
    for trial in run.trials:
        book = ledger_of(trial, run.arm(trial.arm))
        for hop in book.hops if book else ():
            step = book.step_to(hop.name) if book else None
            yield {
                "block": trial.block, "arm": trial.arm, "hop": hop.name,
                "data_packets": hop.packets, "counter": hop.counter, "counted_packets": hop.raw,
                "other_packets": hop.other, "since_hop": step.start if step else None,
                "lost_packets": step.lost if step else None,
                "lost_share": step.share if step else None,
                "reason": step.reason if step else None,
            }  # fmt: skip


def findings(found: Iterable[Finding]) -> pd.DataFrame:
    """One row a finding, as derived/findings.json has it, VALID ones included."""
    return frame((row | {"scope": row["scope"]["kind"]} for row in _findings(found)), FINDINGS)


def evidence(found: Iterable[Finding]) -> pd.DataFrame:
    """One row a quantity that a finding rests on, with its unit and the bound it was held to."""
    return frame((row | one for row in _findings(found) for one in row["evidence"]), EVIDENCE)


def _findings(found: Iterable[Finding]) -> Iterator[dict[str, Any]]:
    for row in map(finding_json, found):
        yield row | {"arm": row["scope"]["arm"], "block": row["scope"]["block"]}


def comparisons(judged: Judged) -> pd.DataFrame:
    """One row a comparison, as derived/findings.json has it: the cost of `arm` over `reference`.

    `low` and `high` bound the ratio's 95 % interval. A comparison that is refused has its verdict,
    `why` with the codes of the findings that refuse it, and no ratio. That goes for a whole run
    that is void, too.
    """
    run, found = judged.run, judged.findings
    codes, excluded = voiding(found), excluded_arms(run, found)
    rows = []
    for one in judged.comparisons or refused(run, found):
        row = comparison_json(one)
        against = [code for arm in (one.arm, one.reference) for code in excluded.get(arm, ())]
        why = ", ".join(dict.fromkeys((*codes, *against))) or None
        fast, other = row["rates_pps"] or (None, None)
        rows.append(row | {"why": why, "arm_rate_pps": fast, "reference_rate_pps": other})
    return frame(rows, COMPARISONS)
