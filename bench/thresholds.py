#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Quantities behind the thresholds of the checks, over all trials of runs.

    .venv/bin/python bench/thresholds.py RUN [RUN ...]

Prints the table of docs/calibration.md: minimum, median and maximum over the trials. Reads runs
that are there; measures nothing.
"""

import statistics
import sys
from collections.abc import Callable, Iterator

from testbed.analysis.findings.contention import other_cpus, wait_share
from testbed.analysis.instruments.interrupts import packets_per_interrupt
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.run import load_run
from testbed.edge.files import store
from testbed.edge.output.terminal import Terminal
from testbed.verbs import Lab


def idle_rate(trial: Trial) -> float | None:
    cost = cost_of(trial)
    return cost.idle.rate if cost and cost.idle else None


def waiting_of_busy(trial: Trial) -> float | None:
    """How much of what the guest took for work was waiting for the host's CPUs, at the most."""
    cost, share = cost_of(trial), wait_share(trial)
    if cost is None or share is None or cost.traffic.busy_s <= 0:
        return None
    return share * cost.traffic.cpu_count * cost.traffic.wall_s / cost.traffic.busy_s


def edge_ms(trial: Trial) -> float | None:
    server = trial.server
    if server is None or server.first_data_ns is None:
        return None
    return (server.first_data_ns - server.before.monotonic_ns) / 1e6


def rate_kept(trial: Trial) -> float | None:
    client = trial.client
    return client.achieved_pps / client.rate_pps if client and client.achieved_pps else None


def gap_ratio(trial: Trial) -> float | None:
    gaps = trial.client.gap_us if trial.client else {}
    return gaps["p99"] / gaps["mean"] if {"p99", "mean"} <= gaps.keys() else None


def tick_lock(trial: Trial) -> float | None:
    return trial.client.tick_lock.get(250) if trial.client else None


def receiver_share(trial: Trial) -> float | None:
    server, cost = trial.server, cost_of(trial)
    return server.cpu_s / cost.traffic.wall_s if server and cost and server.cpu_s else None


def lost_share(trial: Trial) -> float | None:
    share = trial.delivered_share
    return None if share is None else 1 - share


QUANTITIES: dict[str, Callable[[Trial], float | None]] = {
    "vCPUs waiting, share of wall × vCPUs": wait_share,
    "the same, share of busy time": waiting_of_busy,
    "other load on the host, CPUs": other_cpus,
    "idle window, busy CPUs": idle_rate,
    "first packet after the edge, ms": edge_ms,
    "rate kept, share of what was asked": rate_kept,
    "99th percentile gap / mean": gap_ratio,
    "tick lock at 250 Hz": tick_lock,
    "receiver, share of one CPU": receiver_share,
    "packets per interrupt": packets_per_interrupt,
    "lost share": lost_share,
}


def table(trials: list[Trial]) -> Iterator[str]:
    yield "| quantity | minimum | median | maximum |\n|---|--:|--:|--:|"
    for name, read in QUANTITIES.items():
        values = sorted(value for trial in trials if (value := read(trial)) is not None)
        if values:
            middle = statistics.median(values)
            yield f"| {name} | {values[0]:.3g} | {middle:.3g} | {values[-1]:.3g} |"


if __name__ == "__main__":
    lab = Lab.here(Terminal(-1))
    runs = [load_run(store.find_run(lab.results, name)) for name in sys.argv[1:] or [None]]
    trials = [trial for run in runs for trial in run.trials]
    print(f"{len(trials)} trials of {len(runs)} runs: {', '.join(run.run_id for run in runs)}\n")
    print("\n".join(table(trials)))
