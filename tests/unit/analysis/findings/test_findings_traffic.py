# SPDX-License-Identifier: Apache-2.0
"""The checks of load and contention: each with the fault that trips it."""

from dataclasses import replace

import pytest

from testbed.analysis.findings import Verdict, check_run
from testbed.analysis.findings.finding import NOT_RECORDED
from testbed.analysis.formats.proc_files import Interrupt
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from testbed.analysis.reading.trial_records import HostReading, Snap
from tests.unit.factories.run_changes import (
    Change,
    RunFault,
    all_arms,
    found_by,
    of_client,
    of_end,
    of_server,
    plain,
    trials,
    trip,
)
from tests.unit.factories.run_factory import RunRecipe, make_run

INVALID, SUSPECT = Verdict.INVALID, Verdict.SUSPECT


def host_load(cpus: float) -> Change:
    def change(reading: HostReading) -> HostReading:
        assert reading.stat is not None
        total = reading.stat.total
        busy = {**total, "user": total["user"] + round(170 * cpus)}  # the window has 1.7 s
        return replace(reading, stat=replace(reading.stat, total=busy))

    return of_end(change)


def taken(share: float) -> Change:
    """The hypervisor above the host takes this share of its CPU time."""

    def change(reading: HostReading) -> HostReading:
        assert reading.stat is not None
        total = reading.stat.total
        ticks = round(share * 170 * len(reading.stat.cpus))
        steal = {**total, "steal": total.get("steal", 0) + ticks}
        return replace(reading, stat=replace(reading.stat, total=steal))

    return of_end(change)


def waiting(share: float) -> Change:
    def change(reading: HostReading) -> HostReading:
        waited = {**reading.vcpu_wait_ns}
        waited["server"] += round(share * 4 * 1.5e9)
        return replace(reading, vcpu_wait_ns=waited)

    return of_end(change)


def stolen(ticks: int) -> Change:
    def change(snap: Snap) -> Snap:
        moved = {"steal": snap.stat.total["steal"] + ticks, "user": snap.stat.total["user"] - ticks}
        return replace(snap, stat=replace(snap.stat, total={**snap.stat.total, **moved}))

    return of_server(after=change)


def interrupts(factor: float) -> Change:
    """So many times as many interrupts of the NIC."""

    def change(trial: Trial) -> Trial:
        assert trial.server is not None
        first, last = (s.interrupts["11"] for s in (trial.server.before, trial.server.after))
        count = first.count + round((last.count - first.count) * factor)
        rows = {"11": Interrupt(count=count, words=last.words)}
        after = replace(trial.server.after, interrupts=rows)
        return replace(trial, server=replace(trial.server, after=after))

    return trials(change)


FAULTS = {
    "stolen time": RunFault(
        change=stolen(20), code="contention", verdict=SUSPECT, said="steal time of the server: 3.",
    ),
    "virtual CPUs that wait": RunFault(
        change=waiting(0.7), code="contention", verdict=SUSPECT, said="had no host CPU for",
    ),
    "virtual CPUs that hardly run": RunFault(
        change=waiting(0.95), code="contention", verdict=INVALID, said="had no host CPU for",
    ),
    "some work on the host": RunFault(
        change=host_load(0.4), code="contention", verdict=SUSPECT, said="other programs",
    ),
    "a hog on the host": RunFault(
        change=host_load(0.9), code="contention", verdict=INVALID, said="other programs",
    ),
    "a hypervisor above the host": RunFault(
        change=taken(0.05), code="contention", verdict=SUSPECT,
        said="the hypervisor above this host took 5.",
    ),
    "a host that was not read": RunFault(
        change=trials(lambda trial: replace(trial, host={})),
        code="contention", verdict=SUSPECT, said="not recorded",
        follows=frozenset({"ledger", "device"}),
    ),
    "slightly slow": RunFault(
        change=of_client(achieved_pps=9898.0),
        code="generator", verdict=SUSPECT, said="9,898 packets/s instead of 10,000",
    ),
    "half the rate": RunFault(
        change=of_client(achieved_pps=5000.0), code="generator", verdict=INVALID,
        said="5,000 packets/s instead of 10,000",
    ),
    "sends that failed": RunFault(
        change=of_client(send_errors=3), code="generator", verdict=SUSPECT, said="3 sends failed",
    ),
    "long gaps": RunFault(
        change=of_client(gap_us=lambda gaps: {**gaps, "p99": 2000.0}),
        code="generator", verdict=SUSPECT, said="20 × the mean",
    ),
    "unknown gaps": RunFault(
        change=of_client(gap_us={}), code="generator", verdict=SUSPECT, said="not recorded",
    ),
    "a receiver at its limit": RunFault(
        change=of_server(cpu_s=1.39), code="receiver", verdict=SUSPECT,
        said="took 99% of one CPU",
    ),
    "an unknown receiver": RunFault(
        change=of_server(cpu_s=None), code="receiver", verdict=SUSPECT, said="its CPU time",
    ),
    "larger batches": RunFault(
        change=interrupts(0.5), code="batch", verdict=SUSPECT, said="packets came with each",
    ),
    "no interrupts recorded": RunFault(
        change=of_server(after=lambda snap: replace(snap, interrupts={})),
        code="batch", verdict=SUSPECT, said="not recorded",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run")))


@pytest.fixture(scope="module")
def kvm(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("kvm"), RunRecipe(accelerator="kvm")))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_trips_its_check(run: Run, name: str) -> None:
    if name == "half the rate":  # the arms then differ, too
        (own, apart) = (found_by(FAULTS[name].change(run), "generator")[i] for i in (0, -1))
        assert (own.verdict, own.scope.arm, apart.scope.arm) == (INVALID, "xdp", None)
        assert FAULTS[name].said in own.statement
        assert "the arms were not sent the same load" in apart.statement
    else:
        trip(run, FAULTS[name])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (waiting(0.05), "contention"),
        (of_server(cpu_s=1.2), "receiver"),
    ],
)
def test_real_processors_are_held_to_more(run: Run, kvm: Run, change: Change, code: str) -> None:
    assert not found_by(change(run), code)
    assert [f.verdict for f in found_by(change(kvm), code)] == [SUSPECT] * 5


MACHINES = "The two machines themselves fill the 8 CPUs of this host: lower the rate (--rate 7000)"
OTHERS = "Stop what else runs on this host, and measure again."
ABOVE = "This host is itself a virtual machine, and the hypervisor above it gave its CPUs"
UNREAD = of_end(lambda reading: replace(reading, own_cpu_ns=None))


@pytest.mark.parametrize(
    ("change", "said", "advice"),
    [
        (waiting(0.7), "other programs on the host took 0.0", MACHINES),
        (host_load(0.4), "other programs on the host took 0.4", OTHERS),
        (all_arms(waiting(0.7), host_load(0.4)), "had no host CPU for", OTHERS),
        (taken(0.05), "hypervisor above this host took 5.", ABOVE),
        (all_arms(waiting(0.7), taken(0.05)), "had no host CPU for", ABOVE),
        (stolen(20), "steal time of the server", "The hypervisor above the server gave its CPUs"),
        (all_arms(waiting(0.7), stolen(20)), "steal time of the server", MACHINES),
        (all_arms(waiting(0.7), UNREAD), "had no host CPU for", "What else ran on the host was"),
    ],
)
def test_the_advice_follows_the_reading(run: Run, change: Change, said: str, advice: str) -> None:
    found = [f for f in found_by(change(run), "contention") if f.cause != NOT_RECORDED]
    assert len(found) == 5
    assert all(said in plain(f.statement) for f in found), found[0].statement
    assert all(f.advice.startswith(advice) for f in found), found[0].advice


def test_emulated_processors_may_wait_in_all_for_a_third_of_one(run: Run) -> None:
    """Four virtual CPUs: 0.30 CPUs are 7.5 % of the time of each."""
    assert not found_by(waiting(0.06)(run), "contention")
    assert [f.verdict for f in found_by(waiting(0.10)(run), "contention")] == [SUSPECT] * 5


def test_an_unknown_record_is_suspect_and_never_fine(run: Run) -> None:
    """Everything that the new files added, taken away at once."""

    def bare(trial: Trial) -> Trial:
        assert trial.server is not None and trial.client is not None
        server = replace(trial.server, first_data_ns=None, cpu_s=None, stacks=None,
                         traffic_s=None)  # fmt: skip
        client = replace(trial.client, gap_us={}, tick_lock={}, before=None, after=None)
        return replace(trial, server=server, client=client, host={}, clocks={}, started_ns=None)

    changed = replace(run, trials=tuple(bare(trial) for trial in run.trials), facts={})
    found = {f.code: f.verdict for f in check_run(changed)}
    unknown = {"window", "floor", "contention", "generator", "receiver", "batch", "clock", "lock",
               "interleaved", "ledger", "mode"}  # fmt: skip
    assert {code for code, verdict in found.items() if verdict is not Verdict.VALID} >= unknown
    assert INVALID not in {found[code] for code in unknown}
