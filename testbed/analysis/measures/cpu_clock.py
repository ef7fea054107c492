# SPDX-License-Identifier: Apache-2.0
"""Whether the server's idle clock can be right: it never runs backwards, nor faster than time.

The cost of a packet hangs on differences of idle and iowait (cost.py). An impossible reading makes
a number that looks like any other: with 5 s less idle time in one reading, a packet takes 1,950 µs.
Two rules hold for every pair of readings, whatever the load:

* No column of /proc/stat runs backwards. The kernel says itself that iowait may do so: an interval
that is still open is iowait while a task of this CPU waits, and idle when that task went elsewhere
(get_iowait_time(), get_idle_time()). The sum of the two then stays, to a tick. * Idle and iowait
together pass no more time than passed, on all CPUs together.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from testbed.analysis.formats.proc_files import ProcStat
from testbed.analysis.reading.trial_records import ServerTrial, Snap
from testbed.model.host_cpus import USER_HZ

ROUNDING_TICKS = 1
"""An interval that moves from iowait to idle is cut to ticks in another place."""
STEP_S = 2 / USER_HZ
"""Both columns are cut to a tick at both readings."""


def clock_fault(server: ServerTrial) -> str:
    """The first thing that cannot be, with its place and values; "" where all can."""
    windows = [] if server.idle_window is None else [server.idle_window]
    windows.append((server.before, server.after))
    snaps = [snap for window in windows for snap in window]
    for earlier, later in pairwise(snaps):
        for fault in _backwards(earlier, later):
            return fault
    for earlier, later in windows:
        if fault := _faster_than_time(earlier, later):
            return fault
    return ""


def _backwards(earlier: Snap, later: Snap) -> Iterator[str]:
    for line, before, after in _lines(earlier.stat, later.stat):
        for column, ticks in before.items():
            if column != "iowait" and column in after and after[column] < ticks:
                yield _said(later, line, column, ticks, after[column])
        idle = [row.get("idle", 0) + row.get("iowait", 0) for row in (before, after)]
        if idle[1] < idle[0] - ROUNDING_TICKS:
            yield _said(later, line, "idle + iowait", *idle)


def _lines(
    earlier: ProcStat, later: ProcStat
) -> Iterator[tuple[str, Mapping[str, int], Mapping[str, int]]]:
    yield "cpu", earlier.total, later.total
    for number, row in earlier.cpus.items():
        if number in later.cpus:
            yield f"cpu{number}", row, later.cpus[number]


def _said(snap: Snap, line: str, column: str, before: int, after: int) -> str:
    where = f"{snap.place}.stat, line {line}" if snap.place else f"/proc/stat, line {line}"
    return f"{where}: {column} ran backwards, from {before:,} to {after:,} ticks"


def _faster_than_time(earlier: Snap, later: Snap) -> str:
    cpus = len(later.stat.cpus)
    passed_s = (later.after_read_ns - earlier.before_read_ns) / 1e9 * cpus
    idle_s = (later.stat.not_busy_ticks - earlier.stat.not_busy_ticks) / USER_HZ
    if idle_s <= passed_s + STEP_S:
        return ""
    where = f"{later.place}.stat" if later.place else "/proc/stat"
    return (
        f"{where}: {idle_s:,.2f} CPU-s of idle time, and no more than {passed_s:,.2f} CPU-s passed"
    )
