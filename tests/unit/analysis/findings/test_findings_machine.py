# SPDX-License-Identifier: Apache-2.0
"""The checks of machine, hook and order: each with the fault that trips it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from testbed.analysis.findings import Verdict
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from testbed.analysis.reading.trial_records import HookState
from tests.unit.factories.run_changes import (
    Change,
    RunFault,
    all_arms,
    found_by,
    lab0,
    of_facts,
    of_state,
    resumed,
    trials,
    trip,
)
from tests.unit.factories.run_factory import RunRecipe, make_run
from tests.unit.factories.run_factory_sample import INODE

INVALID, SUSPECT = Verdict.INVALID, Verdict.SUSPECT
S = 1_000_000_000


def sysctl(name: str, value: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda known: {**known, name: value}


def after(**values: Any) -> Change:
    def change(trial: Trial) -> Trial:
        assert trial.hook_after is not None
        return replace(trial, hook_after=replace(trial.hook_after, **values))

    return trials(change)


def times(arm: str, shift_s: int) -> Change:
    def change(trial: Trial) -> Trial:
        assert trial.started_ns is not None and trial.ended_ns is not None
        moved = shift_s * S
        return replace(trial, started_ns=trial.started_ns + moved, ended_ns=trial.ended_ns + moved)

    return trials(change, arm)


FAULTS = {
    "an edited file": RunFault(
        change=lambda run: replace(run, edited=("a", "b", "raw/01-xdp/server.json", "z")),
        code="edited", verdict=INVALID, arm=None,
        said="changed since it was measured: a, b, raw/01-xdp/server.json and 1 more",
    ),
    "a file that came later": RunFault(
        change=lambda run: replace(run, added=("raw/06-xdp/trial.json",)),
        code="edited", verdict=INVALID, arm=None,
        said="added since it was measured: raw/06-xdp/trial.json",
    ),
    "an unreadable file of the run": RunFault(
        change=lambda run: replace(run, problems=("gate/xdp/gate.json: line 3",)),
        code="complete", verdict=INVALID, arm=None, said="gate/xdp/gate.json: line 3",
    ),
    "a hook detached on the way": RunFault(
        change=after(mode=None, facts={}, problem="arm xdp is not loaded\nno program"),
        code="mode", verdict=INVALID,
        said="the hook was no longer there when the traffic had ended: no program",
    ),
    "another mode after the traffic": RunFault(
        change=after(mode="none"), code="mode", verdict=INVALID, said="it was “none” then",
    ),
    "a hook that was not looked at again": RunFault(
        change=trials(lambda trial: replace(trial, hook_after=None)),
        code="mode", verdict=SUSPECT, said="not recorded",
        follows=frozenset({"hits", "ledger"}),
    ),
    "another NIC": RunFault(
        change=lambda run: replace(run, config={**run.config, "machines": {"nic_model": "virtio"}}),
        code="mode", verdict=INVALID, arm=None, said="ran with the driver e1000",
    ),
    "an interpreter": RunFault(
        change=all_arms(*(of_state(arm, sysctls=sysctl("net/core/bpf_jit_enable", 0))
                          for arm in ("none", "netfilter", "xdp"))),
        code="mode", verdict=SUSPECT, said="net/core/bpf_jit_enable = 0",
    ),
    "a setting that differs": RunFault(
        change=of_state(sysctls=sysctl("net/core/netdev_budget", 64)),
        code="state", verdict=INVALID, said="sysctl net/core/netdev_budget is 64, elsewhere 300",
    ),
    "another queueing discipline": RunFault(
        change=of_state(links=lab0(qdisc="pfifo")),
        code="state", verdict=INVALID, said="lab0 qdisc is pfifo, elsewhere fq_codel",
    ),
    "another MTU": RunFault(
        change=of_state(links=lab0(mtu=9000)), code="state", verdict=INVALID, said="lab0 mtu",
    ),
    "a module more": RunFault(
        change=of_state(modules=lambda names: [*names, "nf_conntrack"]),
        code="state", verdict=INVALID, said="modules is",
    ),
    "the other arm's module": RunFault(
        change=of_state(modules=lambda names: [*names, "redirect_nf"]),
        code="state", verdict=INVALID, said="the module redirect_nf of another arm is loaded",
    ),
    "a program left on the NIC": RunFault(
        change=of_state("none", links=lab0(xdp={"mode": 2})),
        code="state", verdict=INVALID, arm="none", said="an XDP program is attached to lab0",
    ),
    "an unknown state": RunFault(
        change=trials(lambda t: replace(t, before=replace(t.before, state={}))),  # type: ignore
        code="state", verdict=SUSPECT, said="not recorded", follows=frozenset({"mode"}),
    ),
    "BPF statistics": RunFault(
        change=of_state(after=True, sysctls=sysctl("kernel/bpf_stats_enabled", 1)),
        code="instruments", verdict=INVALID, said="BPF statistics",
    ),
    "a tracer": RunFault(
        change=of_state(after=True, tracer="function"), code="instruments", verdict=INVALID,
        said="a kernel tracer",
    ),
    "trace events": RunFault(
        change=of_state(after=True, trace_events="X"), code="instruments", verdict=INVALID,
        said="trace events",
    ),
    "tcpdump": RunFault(
        change=of_state(after=True, packet_taps={"root": [99], "namespace": []}),
        code="instruments", verdict=INVALID, said="while it was timed: packet sockets",
    ),
    "tcpdump in the namespace, beside the server's sample": RunFault(
        change=of_state(after=True, packet_taps={"root": [], "namespace": [INODE, 99]}),
        code="instruments", verdict=INVALID, said="namespace packet sockets",
    ),
    "unknown sockets": RunFault(
        change=of_state(after=True, packet_taps={"root": None, "namespace": []}),
        code="instruments", verdict=SUSPECT, said="not recorded",
    ),
    "one arm after the other": RunFault(
        change=times("xdp", 86_400), code="interleaved", verdict=INVALID, arm=None,
        said="were measured one after the other, not in turns (2 such pairs)",
    ),
    "an unknown time": RunFault(
        change=trials(lambda trial: replace(trial, started_ns=None)),
        code="interleaved", verdict=SUSPECT, said="not recorded",
    ),
    "a boot on the way": RunFault(
        change=of_facts("server-after", boot_id="another"), code="interleaved",
        verdict=INVALID, arm=None, said="the server was booted again",
    ),
    "a boot where the run went on": RunFault(
        change=lambda run: resumed(3)(of_facts("server-after", boot_id="another")(run)),
        code="interleaved", verdict=SUSPECT, arm=None, said="which went on with block 3",
    ),
    "an unknown boot": RunFault(
        change=of_facts("client-after", boot_id=None), code="interleaved", verdict=SUSPECT,
        arm=None, said="the client's boot",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run")))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_trips_its_check(run: Run, name: str) -> None:
    trip(run, FAULTS[name])


def test_tracing_that_is_not_mounted_traces_nothing(run: Run) -> None:
    every = [of_state(arm, tracer=None, trace_events=None) for arm in ("none", "netfilter", "xdp")]
    assert not found_by(all_arms(*every)(run), "instruments")
    assert not found_by(all_arms(*every)(run), "state")


def test_a_wide_interval_is_too_few_blocks(tmp_path_factory: pytest.TempPathFactory) -> None:
    wild = load_run(make_run(tmp_path_factory.mktemp("wild"), RunRecipe(spread=0.25)))
    (finding,) = found_by(wild, "replication")
    assert (finding.verdict, finding.scope.arm) == (SUSPECT, None)
    assert "the interval of “XDP program, generic mode” over" in finding.statement


@pytest.fixture(scope="module")
def controlled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[float], Run]:
    def make(again_us: float) -> Run:
        recipe = RunRecipe(arms=("none", "xdp", "xdp-again", "xdp-unmatched"), spread=0.004,
                           cost_us={"xdp-again": again_us})  # fmt: skip
        return load_run(make_run(tmp_path_factory.mktemp("controlled"), recipe))

    return make


def test_an_arm_that_differs_from_itself(controlled: Callable[[float], Run]) -> None:
    assert not found_by(controlled(321.0), "aa")
    (finding,) = found_by(controlled(360.0), "aa")
    assert (finding.verdict, finding.scope.arm) == (SUSPECT, None)
    assert "differs from itself" in finding.statement


def test_a_hook_that_was_to_match_nothing(controlled: Callable[[float], Run]) -> None:
    run = controlled(321.0)
    assert not found_by(run, "hits")

    def counting(hits: tuple[int, ...] | None) -> Change:
        state = HookState(mode="generic", facts={}, hits=hits, problem="")
        return trials(lambda trial: replace(trial, hook_after=state), "xdp-unmatched")

    (finding, *_) = found_by(counting((1, 0, 0, 0))(run), "hits")
    assert finding.verdict is INVALID
    assert finding.statement == "the hook that was to match nothing counted 1 hits"
    (finding, *_) = found_by(counting(None)(run), "hits")
    assert finding.verdict is SUSPECT
