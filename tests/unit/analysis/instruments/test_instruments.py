# SPDX-License-Identifier: Apache-2.0
"""The other instruments: what the host, the interrupts and mpstat say of a trial."""

from dataclasses import replace

import pytest

from testbed.analysis.conclusions.csv_and_json import COLUMNS
from testbed.analysis.findings.finding import MPSTAT
from testbed.analysis.formats.proc_files import Interrupt
from testbed.analysis.instruments import INSTRUMENTS, host_vcpus, idle_time, interrupts, softirqs
from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.run import load_run
from testbed.analysis.reading.trial_records import HostReading
from tests.unit.factories.ledger_faults import server_of, without_stacks
from tests.unit.factories.run_factory import RunRecipe, make_run


@pytest.fixture(scope="module")
def trial(tmp_path_factory: pytest.TempPathFactory) -> Trial:
    recipe = RunRecipe(arms=("none",), trials=1)
    return load_run(make_run(tmp_path_factory.mktemp("run"), recipe)).trials[0]


def host(trial: Trial, at_s: float, run_s: float) -> HostReading:
    moment = round(at_s * 1e9)
    return replace(
        trial.host["idle"],
        before_read_ns=moment,
        after_read_ns=moment,
        vcpu_run_ns={"server": round(run_s * 1e9), "client": 0},
    )


def test_host_time_is_taken_less_the_idle_rate(trial: Trial) -> None:
    """0.1 s a second at rest; 2 s at work in 3 s; 14,000 packets."""
    host_readings = {
        "idle": host(trial, 0, 5.0),
        "traffic": host(trial, 1, 5.1),
        "end": host(trial, 4, 7.1),
    }
    read = host_vcpus.vcpu_us(replace(trial, host=host_readings))
    assert read == pytest.approx((2.0 - 0.1 * 3) / 14_000 * 1e6)


@pytest.mark.parametrize("lacking", ["idle", "traffic", "end"])
def test_without_a_reading_of_the_host_it_is_unknown(trial: Trial, lacking: str) -> None:
    rest = {moment: reading for moment, reading in trial.host.items() if moment != lacking}
    assert host_vcpus.vcpu_us(replace(trial, host=rest)) is None


def test_packets_per_interrupt_and_softirqs_per_packet(trial: Trial) -> None:
    """14,000 packets and END; queues of a NIC count together."""
    rows = ("IO-APIC 10-fasteoi lab0", "PCI-MSI 49153-edge lab0-rx-0", "PCI-MSI 1-edge mgmt0")
    server = server_of(trial)

    def at(snap_of: str, count: int) -> object:
        return replace(
            getattr(server, snap_of),
            interrupts={str(i): Interrupt(count=count, words=w) for i, w in enumerate(rows)},
            softirqs={"NET_RX": 2 * count},
        )

    server = replace(server, before=at("before", 0), after=at("after", 3500))
    assert trial.before is not None
    unnumbered = replace(trial, server=server, before=replace(trial.before, interrupts={}))
    assert interrupts.packets_per_interrupt(unnumbered) == pytest.approx(14_001 / 7000)
    assert softirqs.net_rx_per_packet(unnumbered) == pytest.approx(7000 / 14_001)


def test_what_was_not_recorded_is_unknown(trial: Trial) -> None:
    server = server_of(without_stacks(trial))
    bare = replace(server, before=replace(server.before, softirqs={}, interrupts={}))
    lacking = replace(trial, server=bare, host={})
    assert interrupts.packets_per_interrupt(lacking) is None
    assert softirqs.net_rx_per_packet(lacking) is None
    assert idle_time.cost_us(replace(trial, server=None)) is None


def test_each_instrument_has_a_column_of_its_own_and_the_checks_on_mpstat_find_theirs() -> None:
    columns = [one.column for one in INSTRUMENTS]
    assert len(set(columns)) == len(columns)
    assert set(columns) <= set(COLUMNS)
    assert MPSTAT in {one.name for one in INSTRUMENTS}
