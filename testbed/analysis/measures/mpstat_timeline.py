# SPDX-License-Identifier: Apache-2.0
"""mpstat's samples on the time axis of a trial, and their overlap with the traffic.

mpstat tells the time of day to the second; the run directory tells when it was started, on the
server's clock. Sample k covers k…k+1 s after its first reading. That reading comes later than the
start by what starting a process takes, under emulation 0.1 to 0.3 s. It comes at least so late that
every sample ends in the second that mpstat stamped on it. Nothing here carries the headline; that
is cost.py.
"""

import re
from dataclasses import dataclass

from testbed.analysis.formats.mpstat import BUSY_COLUMNS, INTERVAL_S, CpuUsage
from testbed.analysis.reading.records import Trial

QUARTER_S = 900


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One sample: seconds since mpstat's start, and the row of a CPU or of all together."""

    start_s: float
    end_s: float
    row: CpuUsage


def bars_of(trial: Trial, cpu: str = "all") -> tuple[Bar, ...]:
    """The samples that have a row of the CPU, "all", "0", "1", …; none without a recording."""
    if trial.mpstat is None:
        return ()
    return tuple(
        Bar(start_s=index * INTERVAL_S, end_s=(index + 1) * INTERVAL_S, row=row)
        for index, sample in enumerate(trial.mpstat.samples)
        if (row := sample.row(cpu)) is not None
    )


def traffic_window_s(trial: Trial) -> tuple[float, float] | None:
    """START to END in seconds since mpstat's first reading; None when a clock is missing."""
    if trial.server is None or trial.mpstat_started_utc_ns is None:
        return None
    start = (trial.server.before.utc_ns - trial.mpstat_started_utc_ns) / 1e9 - _delay_s(trial)
    length = (trial.server.after.monotonic_ns - trial.server.before.monotonic_ns) / 1e9
    return start, start + length


def _delay_s(trial: Trial) -> float:
    """The least delay of mpstat's first reading that its stamps allow; below a second.

    The stamps are local time, whose distance from UTC is a multiple of a quarter of an hour.
    """
    if trial.mpstat is None or trial.mpstat_started_utc_ns is None:
        return 0.0
    delay = 0.0
    for index, sample in enumerate(trial.mpstat.samples):
        match = re.match(r"\d+:(\d\d):(\d\d)", sample.timestamp)
        if match is None:
            return 0.0
        ends = trial.mpstat_started_utc_ns / 1e9 + (index + 1) * INTERVAL_S
        stamped = int(match[1]) * 60 + int(match[2])
        delay = max(delay, (stamped - ends + QUARTER_S / 2) % QUARTER_S - QUARTER_S / 2)
    return delay if delay < 1 else 0.0


def percent_in_traffic(trial: Trial, columns: tuple[str, ...] = BUSY_COLUMNS) -> float | None:
    """Mean over the traffic of the columns' sum, in % of one CPU (0…100 * CPUs).

    Samples are weighted by their overlap with the window; None when none overlaps.
    """
    window = traffic_window_s(trial)
    if window is None or trial.mpstat is None:
        return None
    total = weight = 0.0
    for bar in bars_of(trial):
        overlap = min(bar.end_s, window[1]) - max(bar.start_s, window[0])
        if overlap > 0:
            total += overlap * sum(bar.row[column] for column in columns)
            weight += overlap
    return total / weight * trial.mpstat.cpu_count if weight > 0 else None
