# SPDX-License-Identifier: Apache-2.0
"""The check that nothing watched the packets: tracing, BPF statistics, packet taps."""

from collections.abc import Iterator, Mapping
from typing import Any

from testbed.analysis.findings.finding import WHOLE_RUN, Check, Evidence, Finding, Verdict, of
from testbed.analysis.measures.watching import ring_writes, runs_of_programs, taps
from testbed.analysis.reading.records import Run, Trial

RECORDS_PER_TRIAL = 10
"""The bound of kernel log lines, for the same reason: what happens by chance."""
NAMED = 3
"""So many functions or programs a statement names."""


def instruments(run: Run) -> list[Finding]:
    found = []
    known = [trial.before.state for trial in run.trials if trial.before and trial.before.state]
    if known and not any("trace_ring" in state for state in known):  # an older run
        found.append(WHOLE_RUN.unknown("instruments", "the trace rings and BPF programs' runs"))
    for trial in run.trials:
        states = [n.state for n in (trial.before, trial.after) if n is not None and n.state]
        if not states:
            if not trial.problems:
                found.append(of(trial).unknown("instruments", "what watched the server"))
            continue
        watching = dict(pair for state in states for pair in _watching(state, trial))
        watching |= dict(_worked(trial))
        unknown = any(_sysctl(state, "kernel/bpf_stats_enabled") is None for state in states)
        unknown |= any(None in taps(state, trial.server).values() for state in states)
        unknown |= any(_unread(state) for state in states)
        if watching:
            found.append(
                of(trial).finding(
                    "instruments",
                    Verdict.INVALID,
                    f"watching while it was timed: {', '.join(watching)}",
                    *(
                        Evidence(quantity=name, observed=str(value), bound=bound)
                        for name, (value, bound) in watching.items()
                    ),
                    advice="Each of them costs time for every packet or every program's run: "
                    "switch it off, and measure again.",
                )
            )
        elif unknown:
            found.append(
                of(trial).unknown("instruments", "BPF statistics, the trace ring or packet sockets")
            )
    return found


def _unread(state: Mapping[str, Any]) -> bool:
    """Return True if rings or programs were asked for and could not be read."""
    rings, programs = ring_writes(state), runs_of_programs(state)
    return "trace_ring" in state and (rings is None or programs is None)


def _sysctl(state: Mapping[str, Any], name: str) -> object:
    sysctls = state.get("sysctls")
    return sysctls.get(name) if isinstance(sysctls, Mapping) else None


def _watching(state: Mapping[str, Any], trial: Trial) -> Iterator[tuple[str, tuple[object, str]]]:
    """Name each thing that is on, with its value and the bound."""
    stats = _sysctl(state, "kernel/bpf_stats_enabled")
    if stats not in (None, 0):
        yield "BPF statistics", (stats, "0")
    if state.get("tracer") not in (None, "nop"):
        yield "a kernel tracer", (state["tracer"], "nop")
    if state.get("trace_events") not in (None, 0):
        yield "trace events", (state["trace_events"], "0")
    for key, name in (("kprobes", "kprobes"), ("traced_functions", "traced kernel functions")):
        lines = state.get(key)
        if isinstance(lines, list) and lines:
            yield name, ("; ".join(map(str, lines[:NAMED])), "none")
    for name, count in taps(state, trial.server).items():
        if count is not None and count > 0:
            yield name, (count, "0")


def _worked(trial: Trial) -> Iterator[tuple[str, tuple[object, str]]]:
    """Name each count that grew between the readings: that is work done for packets."""
    before, after = (n.state if n is not None else {} for n in (trial.before, trial.after))
    old, new = runs_of_programs(before), runs_of_programs(after)
    if old is not None and new is not None:
        ran = {name: runs - old.get(name, 0) for name, runs in new.items()}
        grown = {name: runs for name, runs in ran.items() if runs > 0}
        if grown:
            said = ", ".join(f"{name}: {runs:,} runs" for name, runs in grown.items())
            yield "BPF statistics, held on by a process", (said, "no run is counted")
    written, later = ring_writes(before), ring_writes(after)
    if written is None or later is None:
        return
    for name in later:
        records = later[name] - written.get(name, 0)
        if not -1 < records <= RECORDS_PER_TRIAL:
            which = f" of {name}" if name else ""
            said = f"{records:,} records" if records > 0 else "cleared"
            yield f"the trace ring{which} ({said})", (records, f"0 to {RECORDS_PER_TRIAL}")


INSTRUMENTS_CHECKS = (
    Check(
        code="instruments",
        what="No BPF statistics, no tracing, no packet taps in timed trials, but the server's own "
        "sample.",
        why="Each of them takes time for every packet: BPF statistics read the clock twice a run.",
        threshold=f"INVALID when one is on, when a BPF program's runs were counted, or above "
        f"{RECORDS_PER_TRIAL} records in a trace ring; SUSPECT when not recorded (packet sockets "
        "for another protocol see nothing)",
        source="kernel.bpf_stats_enabled, run_cnt of every BPF program, current_tracer, "
        "events/enable, enabled_functions, kprobes/list, per_cpu/*/stats of every trace ring, "
        "/proc/net/packet (before.json, after.json), the inode in server.json",
        look=instruments,
    ),
)
