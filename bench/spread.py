#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How far the trials of a run spread by each instrument, and what five and twenty blocks can see.

    .venv/bin/python bench/spread.py [RUN ...]

Reads runs that are there; measures nothing. Without an A/A pair the spread is the observed one.
"""

import sys

from testbed.analysis.instruments.host_vcpus import vcpu_us
from testbed.analysis.measures.cost import costs_by_block
from testbed.analysis.measures.mpstat_timeline import percent_in_traffic
from testbed.analysis.measures.pairs import deciding_pairs
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.reading.run import load_run
from testbed.analysis.statistics.intervals import coefficient_of_variation, paired_ratio
from testbed.analysis.statistics.precision import minimum_detectable_effect
from testbed.edge.files import store
from testbed.edge.output.terminal import Terminal
from testbed.verbs import Lab


def percent(share: float | None) -> str:
    return "      -" if share is None else f"{share * 100:6.1f}%"


def spreads(run: Run, arm: Arm) -> tuple[float | None, ...]:
    """Return the CV of cost, host's vCPU time and mpstat's busy % over an arm's trials."""
    trials = run.trials_of(arm.name)
    host = [value for trial in trials if (value := vcpu_us(trial)) is not None]
    busy = [value for trial in trials if (value := percent_in_traffic(trial)) is not None]
    costs = list(costs_by_block(run, arm.name).values())
    return tuple(coefficient_of_variation(values) for values in (costs, host, busy))


def tell(run: Run) -> None:
    clients = [trial.client for trial in run.trials if trial.client]
    jitter = clients[0].jitter if clients else 0
    rate = clients[0].rate_pps if clients else 0
    lock = max((client.tick_lock.get(250, 0.0) for client in clients), default=0.0)
    print(f"{run.run_id}: {len(run.blocks)} blocks at {rate:,.0f} packets/s, jitter {jitter:g}, "
          f"tick lock {lock:.2f}")  # fmt: skip
    print(f"  {'CV of':<20} {'cost':>7} {'vCPU':>7} {'mpstat':>7}")
    for arm in run.arms:
        print(f"  {arm.name:<20} " + " ".join(percent(value) for value in spreads(run, arm)))
    again = [(run.arm(arm.control_of), arm) for arm in run.arms if arm.control_kind == "again"]
    for reference, arm in [*deciding_pairs(run.arms), *again]:
        ratio = paired_ratio(costs_by_block(run, arm.name), costs_by_block(run, reference.name))
        if ratio is None or ratio.sd_log is None:
            continue
        seen = [minimum_detectable_effect(ratio.sd_log, blocks) for blocks in (5, 20)]
        print(f"  {arm.name} over {reference.name}: SD {ratio.sd_log * 100:.1f}%, detectable at 5 "
              f"blocks {percent(seen[0]).strip()}, at 20 {percent(seen[1]).strip()}")  # fmt: skip


if __name__ == "__main__":
    lab = Lab.here(Terminal(-1))
    for name in sys.argv[1:] or [None]:
        tell(load_run(store.find_run(lab.results, name)))
