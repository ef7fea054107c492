# SPDX-License-Identifier: Apache-2.0
"""Checks that the server was the same machine in every trial, and that nothing watched it."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from testbed.analysis.findings.finding import Check, Evidence, Finding, Verdict, of
from testbed.analysis.records import Run, Trial
from testbed.analysis.trial_records import Network

XDP_MODES = ("generic", "native")
NAMED_KEYS = 3
"""So many differences a statement names."""


def state(run: Run) -> list[Finding]:
    """Each key of the fingerprint has one value that most trials have; another one is found."""
    own = {trial.folder: _module(trial) for trial in run.trials}
    modules = {name for name in own.values() if name}
    prints = {
        trial.folder: dict(_fingerprint(trial.before.state, modules))
        for trial in run.trials
        if trial.before is not None and trial.before.state
    }
    usual = _usual(list(prints.values()))
    found = []
    for trial in run.trials:
        mark = prints.get(trial.folder)
        if mark is None or trial.before is None:
            if not trial.problems:
                found.append(of(trial).unknown("state", "the server's state before the trial"))
            continue
        odd = [key for key in usual if mark.get(key) != usual[key]]
        said = [f"{key} is {mark.get(key)}, elsewhere {usual[key]}" for key in odd[:NAMED_KEYS]]
        said += [f"and {len(odd) - NAMED_KEYS} more"] if len(odd) > NAMED_KEYS else []
        left = list(_residue(trial, trial.before, modules - {own[trial.folder] or ""}))
        if not odd and not left:
            continue
        found.append(
            of(trial).finding(
                "state",
                Verdict.INVALID,
                "; ".join(left + said),
                *(
                    Evidence(quantity=key, observed=mark.get(key), bound=str(usual[key]))
                    for key in odd
                ),
                *(Evidence(quantity="residue", observed=what, bound="none") for what in left),
                advice="Something else than the hook differed between the arms: testbed down, "
                "testbed up, and measure again.",
            )
        )
    return found


def _module(trial: Trial) -> str | None:
    name = trial.hook_before.facts.get("module") if trial.hook_before else None
    return name if isinstance(name, str) else None


def _fingerprint(state: Mapping[str, Any], modules: set[str]) -> Iterator[tuple[str, str]]:
    """What must be the same in all trials; the arms' own modules and XDP programs are left out."""
    for key, value in state.items():
        if key == "sysctls" and isinstance(value, Mapping):
            yield from ((f"sysctl {name}", str(setting)) for name, setting in value.items())
        elif key == "gro" and isinstance(value, Mapping):
            yield from ((f"GRO on {name}", "on" if on else "off") for name, on in value.items())
        elif key == "modules" and isinstance(value, list):
            yield "modules", ", ".join(sorted(set(map(str, value)) - modules))
        elif key == "links" and isinstance(value, Mapping):
            for space, links in value.items():
                yield from _links(space, links)
        elif not isinstance(value, list | dict):
            yield key, str(value)


def _links(space: str, links: Any) -> Iterator[tuple[str, str]]:
    names = [str(link.get("ifname")) for link in links or ()]
    yield f"links in {space}", ", ".join(sorted(names))
    for link in links or ():
        flags = " ".join(sorted(map(str, link.get("flags") or ())))
        yield f"{link.get('ifname')} mtu", str(link.get("mtu"))
        yield f"{link.get('ifname')} qdisc", str(link.get("qdisc"))
        yield f"{link.get('ifname')} flags", flags


def _usual(prints: list[dict[str, str]]) -> dict[str, str | None]:
    """The commonest value of each key; of several the one that came first."""
    keys = dict.fromkeys(key for mark in prints for key in mark)
    return {key: Counter(m.get(key) for m in prints).most_common(1)[0][0] for key in keys}


def _residue(trial: Trial, before: Network, others: set[str]) -> Iterator[str]:
    loaded = before.state.get("modules")
    for name in sorted(others & set(map(str, loaded or ()))):
        yield f"the module {name} of another arm is loaded"
    if trial.mode in XDP_MODES:
        return
    links = before.state.get("links")
    for found in links.values() if isinstance(links, Mapping) else ():
        for link in found or ():
            if "xdp" in link:
                yield f"an XDP program is attached to {link.get('ifname')}"


def instruments(run: Run) -> list[Finding]:
    found = []
    for trial in run.trials:
        states = [n.state for n in (trial.before, trial.after) if n is not None and n.state]
        if not states:
            if not trial.problems:
                found.append(of(trial).unknown("instruments", "what watched the server"))
            continue
        watching = dict(pair for state in states for pair in _watching(state))
        unknown = any(_sysctl(state, "kernel/bpf_stats_enabled") is None for state in states)
        unknown |= any(state.get("packet_sockets") is None for state in states)
        if watching:
            found.append(
                of(trial).finding(
                    "instruments",
                    Verdict.INVALID,
                    f"switched on while it was timed: {', '.join(watching)}",
                    *(
                        Evidence(quantity=name, observed=str(value), bound=bound)
                        for name, (value, bound) in watching.items()
                    ),
                    advice="Each of them costs time for every packet or every program's run: "
                    "switch it off, and measure again.",
                )
            )
        elif unknown:
            found.append(of(trial).unknown("instruments", "BPF statistics or packet sockets"))
    return found


def _sysctl(state: Mapping[str, Any], name: str) -> object:
    sysctls = state.get("sysctls")
    return sysctls.get(name) if isinstance(sysctls, Mapping) else None


def _watching(state: Mapping[str, Any]) -> Iterator[tuple[str, tuple[object, str]]]:
    """What is on, with its value and the bound; tracefs that is not mounted traces nothing."""
    stats = _sysctl(state, "kernel/bpf_stats_enabled")
    if stats not in (None, 0):
        yield "BPF statistics", (stats, "0")
    if state.get("tracer") not in (None, "nop"):
        yield "a kernel tracer", (state["tracer"], "nop")
    if state.get("trace_events") not in (None, 0):
        yield "trace events", (state["trace_events"], "0")
    for key in ("packet_sockets", "namespace_packet_sockets"):
        count = state.get(key)
        if isinstance(count, int) and count > 0:
            yield key.replace("_", " "), (count, "0")


MACHINE_CHECKS = (
    Check(
        code="state",
        what="Before every trial the server was the same but for the arm's own hook, and nothing "
        "of another arm was left.",
        why="A setting, a module or a queue that differs between arms is measured with the hook.",
        threshold="INVALID on any difference or residue; SUSPECT when not recorded",
        source="sysctls, modules, links (MTU, queueing discipline, flags, XDP), packet sockets, "
        "tracing (before.json)",
        look=state,
    ),
    Check(
        code="instruments",
        what="No BPF statistics, no tracing, no packet taps in timed trials.",
        why="Each of them takes time for every packet: BPF statistics read the clock twice a run.",
        threshold="INVALID when one is on; SUSPECT when not recorded (tracefs that is not mounted "
        "traces nothing, and packet sockets for another protocol see nothing)",
        source="kernel.bpf_stats_enabled, current_tracer, events/enable, /proc/net/packet "
        "(before.json, after.json)",
        look=instruments,
    ),
)
