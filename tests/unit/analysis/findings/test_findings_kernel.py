# SPDX-License-Identifier: Apache-2.0
"""Work that only the kernel's own lists and counters show: each kind with the check it trips."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from testbed.analysis.findings import Verdict
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from tests.unit.factories.run_changes import (
    RunFault,
    all_arms,
    found_by,
    lab0,
    of_state,
    trials,
    trip,
)
from tests.unit.factories.run_factory import make_run

INVALID, SUSPECT = Verdict.INVALID, Verdict.SUSPECT


def verifying(**values: Any) -> Callable[[Trial], Trial]:
    """Has `verify` print other facts, before and after; None takes one away."""

    def change(trial: Trial) -> Trial:
        changed = {}
        for name in ("hook_before", "hook_after"):
            hook = getattr(trial, name)
            facts = {k: v for k, v in {**hook.facts, **values}.items() if v is not None}
            changed[name] = replace(hook, facts=facts)
        return replace(trial, **changed)

    return change


def ran(runs: int) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    return lambda known: [{**one, "run_cnt": runs * (one["type"] == "xdp")} for one in known]


def program(kind: str, name: str) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    one = {"id": 77, "type": kind, "name": name, "tag": "ab", "run_cnt": 0, "run_time_ns": 0}
    return lambda known: [*known, one]


def attaching(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """In the root namespace."""
    return lambda known: {**known, "root": {**known["root"], **values}}


def remembering(row: str, kilobytes: int) -> Callable[[Trial], Trial]:
    """After unloading, a row of /proc/meminfo has grown."""

    def change(trial: Trial) -> Trial:
        gone = {**trial.memory["gone"], row: trial.memory["gone"][row] + 1024 * kilobytes}
        return replace(trial, memory={**trial.memory, "gone": gone})

    return change


def holding(row: str, kilobytes: int) -> Callable[[Trial], Trial]:
    """The same between the two readings while the hook was loaded."""

    def change(trial: Trial) -> Trial:
        assert trial.after is not None
        grown = {**trial.after.memory, row: trial.after.memory[row] + 1024 * kilobytes}
        return replace(trial, after=replace(trial.after, memory=grown))

    return change


FAULTS = {
    "tcpdump, in a run from before the sample": RunFault(
        change=of_state(after=True, packet_taps=None, packet_sockets=1,
                        namespace_packet_sockets=0),
        code="instruments", verdict=INVALID, said="packet sockets",
    ),
    "trace_printk for each packet": RunFault(
        change=of_state(after=True, trace_ring={"": 14_000}), code="instruments",
        verdict=INVALID, said="the trace ring (14,000 records)",
    ),
    "a ring of its own": RunFault(
        change=of_state(after=True, trace_ring={"": 0, "mine": 11}), code="instruments",
        verdict=INVALID, said="the trace ring of mine (11 records)",
    ),
    "a trace ring that was cleared": RunFault(
        change=all_arms(of_state(trace_ring={"": 9}), of_state(after=True, trace_ring={"": 3})),
        code="instruments", verdict=INVALID, said="the trace ring (cleared)",
    ),
    "an unknown ring": RunFault(
        change=of_state(after=True, trace_ring=None), code="instruments", verdict=SUSPECT,
        said="the trace ring",
    ),
    "statistics held on by a process": RunFault(
        change=of_state(after=True, programs=ran(14_003)), code="instruments", verdict=INVALID,
        said="BPF statistics, held on by a process",
    ),
    "a kprobe": RunFault(
        change=of_state(after=True, kprobes=["ffffffff9d8f k udp_rcv+0x0 [FTRACE]"]),
        code="instruments", verdict=INVALID, said="kprobes",
    ),
    "a traced function": RunFault(
        change=of_state(traced_functions=["udp_rcv (1) R"]), code="instruments", verdict=INVALID,
        said="traced kernel functions",
    ),
    "a program at traffic control": RunFault(
        change=of_state("netfilter", programs=program("sched_cls", "extra")), code="state",
        verdict=INVALID, arm="netfilter", said="besides the hook: sched_cls program extra (ab)",
    ),
    "a program of systemd's name at traffic control": RunFault(
        change=of_state(programs=program("sched_cls", "sd_devices")), code="state",
        verdict=INVALID, said="besides the hook: sched_cls program sd_devices (ab)",
    ),
    "an nft table under XDP's label": RunFault(
        change=of_state(attached=attaching(nft_tables=["ip besides"])), code="state",
        verdict=INVALID, said="besides the hook: nft table ip besides",
    ),
    "an iptables table": RunFault(
        change=of_state(attached=attaching(iptables=["raw"])), code="state",
        verdict=INVALID, said="besides the hook: iptables table raw",
    ),
    "a place for filters": RunFault(
        change=of_state(attached=attaching(qdiscs=["lab0 clsact fffffff1"])), code="state",
        verdict=INVALID, said="besides the hook: ingress qdisc lab0 clsact",
    ),
    "GRO off": RunFault(
        change=of_state(attached=attaching(features={"lab0": "0000000000010b89"})), code="state",
        verdict=INVALID, said="lab0 features is 0000000000010b89, elsewhere 0000000000014b89",
    ),
    "another ring": RunFault(
        change=of_state(settings={"lab0": {"ring": [256], "coalescing": None}}), code="state",
        verdict=INVALID, said="lab0 ring is [256], elsewhere",
    ),
    "a thread that the arm starts": RunFault(
        change=of_state(kthreads=lambda names: [*names, "burner"]), code="state",
        verdict=INVALID, said="besides the hook: kernel thread burner",
    ),
    "a verify that lies about the mode": RunFault(
        change=of_state(links=lab0(xdp={"mode": 1, "prog": {"id": 21}})), code="mode",
        verdict=INVALID,
        said="`verify` said “generic” before the traffic, but the kernel says “native”",
    ),
    "a verify that lies after the traffic": RunFault(
        change=of_state(after=True, links=lab0(xdp=None)), code="mode", verdict=INVALID,
        said="`verify` said “generic” after the traffic, but no XDP program is attached to lab0",
    ),
    "another program than verify's": RunFault(
        change=of_state(links=lab0(xdp={"mode": 2, "prog": {"id": 22}})), code="mode",
        verdict=INVALID, said="the program on lab0 is number 22, not 21",
    ),
    "a module that is not loaded": RunFault(
        change=of_state("netfilter", modules=lambda all_: [n for n in all_ if "redir" not in n]),
        code="mode", verdict=INVALID, arm="netfilter", said="the module redirect_nf is not loaded",
    ),
    "a module of the machine's": RunFault(
        change=trials(verifying(module="veth"), "netfilter"), code="mode", verdict=INVALID,
        arm="netfilter", said="the module veth is loaded without the arm, too",
        follows=frozenset({"state"}),
    ),
    "a module without a name": RunFault(
        change=trials(verifying(module=None), "netfilter"), code="mode", verdict=SUSPECT,
        arm="netfilter", said="the name of the arm's module", follows=frozenset({"state"}),
    ),
    "an XDP program beside the module": RunFault(
        change=of_state("netfilter", links=lab0(xdp={"mode": 2, "prog": {"id": 22}})), code="mode",
        verdict=INVALID, arm="netfilter", said="an XDP program is attached to lab0 besides",
        follows=frozenset({"state"}),
    ),
    "objects that are never freed": RunFault(
        change=trials(remembering("Slab", 900)), code="memory", verdict=INVALID,
        said="0.9 MB of the kernel's objects were left after unloading",
    ),
    "a few bytes a packet": RunFault(
        change=trials(remembering("Slab", 300)), code="memory", verdict=INVALID,
        said="0.4 MB of the kernel's objects were left after unloading, in the mean",
    ),
    "pages that are never freed": RunFault(
        change=trials(remembering("MemFree", -14_000 * 4)), code="memory", verdict=INVALID,
        said="54.6 MB of the kernel's pages were left after unloading",
    ),
    "memory that is held until the hook is unloaded": RunFault(
        change=trials(holding("Slab", 1_800)), code="memory", verdict=INVALID,
        said="1.8 MB of the kernel's objects were added while the hook was loaded",
    ),
    "unknown memory": RunFault(
        change=trials(lambda trial: replace(trial, memory={})), code="memory", verdict=SUSPECT,
        said="the kernel's memory around the trial",
    ),
    "unknown memory everywhere": RunFault(
        change=all_arms(*(trials(lambda trial: replace(trial, memory={}), arm)
                          for arm in ("none", "netfilter", "xdp"))),
        code="memory", verdict=SUSPECT, arm=None, said="the kernel's memory around the trials",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run")))


def test_a_run_from_before_has_none_of_it(run: Run) -> None:
    new = ("attached", "programs", "trace_ring", "kprobes", "traced_functions", "kthreads")

    def older(trial: Trial) -> Trial:
        assert trial.before is not None and trial.after is not None
        changed = {
            name: replace(at, state={k: v for k, v in at.state.items() if k not in new})
            for name, at in (("before", trial.before), ("after", trial.after))
        }
        return replace(trial, **changed)  # type: ignore[arg-type]

    old = replace(run, trials=tuple(older(trial) for trial in run.trials))
    for code in ("instruments", "state"):
        (found,) = found_by(old, code)
        assert (found.verdict, found.scope.kind) == (SUSPECT, "run")
        assert found.statement.startswith("not recorded: ")


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_trips_its_check(run: Run, name: str) -> None:
    trip(run, FAULTS[name])
