# SPDX-License-Identifier: Apache-2.0
"""Checks on what mpstat can show: they mark its charts, and no comparison rests on them.

Debian's kernel looks once a tick at what runs and books the whole tick on it (cost.py says why).
So a busy column is a count of samples, and the columns need not add up to the time that passed.
"""

from collections.abc import Mapping

from testbed.analysis.findings.finding import (
    MPSTAT,
    Check,
    Evidence,
    Finding,
    Verdict,
    gravest,
    of,
    of_arm,
)
from testbed.analysis.reading.environment import UNKNOWN, fact
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.trial_records import ServerTrial
from testbed.model.host_cpus import USER_HZ

CLOSED = (0.99, 1.01)
TICKS_SUSPECT, TICKS_INVALID = 400, 100
"""A count of n samples has a standard deviation of about √n: 5 % at 400, 10 % at 100."""
LOCK_SUSPECT = 0.5
"""Mean resultant length of the sends' phase. For n unrelated phases it is about 1/√n: 0.05 at the
350 ticks of 1.4 s and 250 Hz. Twelve real trials had 0.007 to 0.30; one in step has nearly 1.
"""
USUAL_HZ = 250
"""Debian's and Ubuntu's CONFIG_HZ, where the facts do not tell."""
WALL_COLUMNS = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""All but guest and guest_nice, which user and nice hold already (fs/proc/stat.c)."""
BUSY_GROUPS = {"user": ("user", "nice"), "system": ("system",), "interrupts": ("irq", "softirq")}


def closure(run: Run) -> list[Finding]:
    found = []
    for arm in run.arms:
        servers = _servers(run, arm.name)
        time_s = sum(_wall_s(s) * len(s.after.stat.cpus) for s in servers)
        columns = [_moved(s) for s in servers]
        if time_s <= 0 or None in columns:
            found.append(of_arm(arm.name).unknown("closure", "all of /proc/stat", about=MPSTAT))
            continue
        counted_s = sum(sum(moved.values()) for moved in columns if moved) / USER_HZ
        share = counted_s / time_s
        if CLOSED[0] <= share <= CLOSED[1]:
            continue
        found.append(
            of_arm(arm.name).finding(
                "closure",
                Verdict.SUSPECT,
                f"mpstat's columns hold {share * 100:.0f}\u00a0% of the CPU time that passed",
                Evidence(
                    quantity="sum of the columns over wall × CPUs",
                    observed=round(share, 4),
                    bound=f"{CLOSED[0]} … {CLOSED[1]}",
                ),
                advice="Read its shapes, not its heights: the kernel books whole ticks. The cost "
                "above rests on idle time, which is exact.",
                about=MPSTAT,
            )
        )
    return found


def ticks(run: Run) -> list[Finding]:
    found = []
    for arm in run.arms:
        moved = [_moved(server) for server in _servers(run, arm.name)]
        if not moved or None in moved:
            found.append(of_arm(arm.name).unknown("ticks", "all of /proc/stat", about=MPSTAT))
            continue
        hz = _hz(run)
        counts = {
            name: round(sum(m[c] for m in moved if m for c in group) * hz / USER_HZ)
            for name, group in BUSY_GROUPS.items()
        }
        few = {name: count for name, count in counts.items() if count < TICKS_SUSPECT}
        if not few:
            continue
        listed = ", ".join(f"{name} {count:,}" for name, count in few.items())
        verdict = gravest(
            Verdict.INVALID if count < TICKS_INVALID else Verdict.SUSPECT for count in few.values()
        )
        not_quoted = "; a column of so few is not to be quoted" * (verdict is Verdict.INVALID)
        found.append(
            of_arm(arm.name).finding(
                "ticks",
                verdict,
                f"columns that rest on few ticks of the clock: {listed}{not_quoted}",
                *(
                    Evidence(
                        quantity=f"ticks in {name}",
                        observed=count,
                        unit="ticks",
                        bound=f">= {TICKS_SUSPECT}, INVALID < {TICKS_INVALID}",
                    )
                    for name, count in counts.items()
                ),
                advice="More trials or a longer --duration give more ticks.",
                about=MPSTAT,
            )
        )
    return found


def lock(run: Run) -> list[Finding]:
    found = []
    hz = _hz(run)
    for trial in run.trials:
        if trial.client is None:
            continue
        length = trial.client.tick_lock.get(hz)
        if length is None:
            what = f"how far the sends kept step with a tick of {hz} Hz"
            found.append(of(trial).unknown("lock", what, about=MPSTAT))
        elif length > LOCK_SUSPECT:
            found.append(
                of(trial).finding(
                    "lock",
                    Verdict.SUSPECT,
                    f"sends keep step with the tick of {hz} Hz ({length:.2f} of 1)",
                    Evidence(
                        quantity="mean resultant length",
                        observed=length,
                        bound=f"<= {LOCK_SUSPECT}",
                    ),
                    advice="The ticks then always look at the same moment of a packet's way: use "
                    "--jitter, or a rate that is no multiple of the tick's.",
                    degree=length,
                    about=MPSTAT,
                )
            )
    return found


def _servers(run: Run, arm: str) -> list[ServerTrial]:
    return [trial.server for trial in run.trials_of(arm) if trial.server]


def _wall_s(server: ServerTrial) -> float:
    return (server.after.monotonic_ns - server.before.monotonic_ns) / 1e9


def _moved(server: ServerTrial) -> Mapping[str, int] | None:
    """Ticks of 1/USER_HZ by column; None when one is missing."""
    before, after = server.before.stat.total, server.after.stat.total
    if not all(column in before and column in after for column in WALL_COLUMNS):
        return None
    return {column: after[column] - before[column] for column in WALL_COLUMNS}


def _hz(run: Run) -> int:
    known = fact(run, "server-before", "kernel_config", "HZ")
    return USUAL_HZ if known == UNKNOWN or not known.isdigit() else int(known)


MPSTAT_CHECKS = (
    Check(
        code="closure",
        what="The columns of /proc/stat, which mpstat shows, add up to the time that passed.",
        why="Where they do not, the kernel sampled at ticks and missed work: shares are guesses.",
        threshold=f"SUSPECT when an arm's columns add up to less than {CLOSED[0] * 100:g} % or "
        f"more than {CLOSED[1] * 100:g} % of wall × CPUs; marks mpstat's chart only",
        source="/proc/stat (all columns but guest, which user holds) and the monotonic clock at "
        "the edges of the traffic (server.json)",
        look=closure,
    ),
    Check(
        code="ticks",
        what="Ticks that each busy column of an arm rests on, all trials together.",
        why="A column is a count of samples: 400 have a spread of 5 %, 100 of 10 %.",
        threshold=f"SUSPECT < {TICKS_SUSPECT}, INVALID (not to be quoted) < {TICKS_INVALID} ticks "
        "in a column (user + nice, system, irq + softirq) of an arm's trials; marks mpstat's chart "
        "only",
        source="/proc/stat at the edges of the traffic (server.json), CONFIG_HZ (facts)",
        look=ticks,
    ),
    Check(
        code="lock",
        what="How far the sends kept step with the server kernel's tick.",
        why="Then every tick looks at the same moment of a packet's way, and a column shows that "
        "moment, not the load.",
        threshold=f"SUSPECT > {LOCK_SUSPECT}, or not recorded; marks mpstat's chart only",
        source="mean resultant length of the sends' phase (client.json), CONFIG_HZ (facts)",
        look=lock,
    ),
)
