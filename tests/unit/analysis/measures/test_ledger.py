# SPDX-License-Identifier: Apache-2.0
"""The packet ledger: it closes on a sound trial, names the hop that loses, conserves packets."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.analysis.measures.data_packets import Tally, data_among
from testbed.analysis.measures.hops import HOOK, ORDER
from testbed.analysis.measures.ledger import Ledger, arm_ledger, ledger_of
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from tests.unit.factories.ledger_faults import (
    FRAME,
    backlog,
    link_drops,
    lost_at,
    moved,
    moved_on,
    server_of,
    with_trial,
    without_stacks,
)
from tests.unit.factories.run_factory import RunRecipe, make_run

SENT = 14_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = RunRecipe(arms=("none", "netfilter", "xdp"), trials=2)
    return load_run(make_run(tmp_path_factory.mktemp("ledger"), recipe))


def trial_of(run: Run, arm: str) -> Trial:
    return run.trials_of(arm)[0]


def book(run: Run, trial: Trial) -> Ledger:
    found = ledger_of(trial, run.arm(trial.arm))
    assert found is not None
    return found


def sentences(run: Run, trial: Trial) -> list[str]:
    return [step.sentence for step in book(run, trial).steps if step.lost]


def test_a_sound_trial_closes_exactly(run: Run) -> None:
    for trial in run.trials:
        found = book(run, trial)
        assert {hop.packets for hop in found.hops} == {SENT}
        assert found.closes()
        assert found.worst() is None
        assert (HOOK in [hop.name for hop in found.hops]) == (trial.arm != "none")


def test_a_hook_that_meets_no_packet_has_no_hop(run: Run) -> None:
    arm = replace(run.arm("xdp"), control_kind="unmatched", control_of="xdp")
    found = ledger_of(trial_of(run, "xdp"), arm)
    assert found is not None
    assert HOOK not in [hop.name for hop in found.hops]


def test_repeated_control_datagrams_and_arp_are_not_packets_lost_or_gained(run: Run) -> None:
    """A START and two ENDs more came through, and an ARP exchange with the namespace."""
    trial = trial_of(run, "xdp")
    for space, device, way in (
        ("root", "lab0", "rx"),
        ("root", "sslab-host", "tx"),
        ("namespace", "sslab-app", "rx"),
    ):
        by = {f"{way}_packets": 3, f"{way}_bytes": 3 * 66}
        trial = moved_on(trial, space, device, **by)
    trial = moved_on(trial, "root", "sslab-host", tx_packets=1, tx_bytes=42)
    trial = moved_on(trial, "namespace", "sslab-app", rx_packets=1, rx_bytes=42)
    trial = moved(trial, "root", "IpForwDatagrams", 3)
    for name, by in (("IpInReceives", 3), ("IpExtInOctets", 3 * 52), ("UdpInDatagrams", 3)):
        trial = moved(trial, "namespace", name, by)
    assert book(run, trial).closes()
    assert sentences(run, trial) == []


@given(
    data=st.integers(0, 1 << 20),
    control=st.integers(0, 8),
    arp=st.integers(0, 8),
    payload=st.integers(200, 1472),
    wrong_by=st.integers(-3, 3),
)
def test_lengths_tell_data_from_the_rest(
    data: int, control: int, arp: int, payload: int, wrong_by: int
) -> None:
    """Whatever of the control datagrams got lost: the number of data packets is exact."""
    tally = Tally(
        packets=data + control + arp,
        octets=data * (payload + 42) + control * 66 + arp * 42,
        headers=42,
    )
    assert data_among(tally, payload, max(0, control + wrong_by)) == data


def test_the_link_names_the_hosts_socket(run: Run) -> None:
    trial = link_drops(lost_at(trial_of(run, "none"), "server NIC rx", 250), 250)
    assert sentences(run, trial) == [
        "250 of 14,000 packets lost between “client NIC tx” and “server NIC rx”: "
        "drops of the link’s socket on the host (250)"
    ]


def test_a_silent_loss_says_that_nothing_explains_it(run: Run) -> None:
    trial = lost_at(trial_of(run, "xdp"), "forwarded", 14)
    assert sentences(run, trial) == [
        "14 of 14,000 packets lost between “hook hits” and “forwarded”: "
        "no counter explains it: a rule or program dropped them silently"
    ]
    assert not book(run, trial).closes()


def test_what_the_counters_leave_unexplained_is_said(run: Run) -> None:
    trial = backlog(lost_at(trial_of(run, "xdp"), "veth tx", 50), 30)
    assert sentences(run, trial) == [
        "50 of 14,000 packets lost between “forwarded” and “veth tx”: "
        "softnet backlog drops (30); no counter explains the other 20"
    ]


@pytest.mark.parametrize("counter", ["UdpInCsumErrors", "UdpRcvbufErrors", "UdpNoPorts"])
def test_losses_in_the_namespace_name_their_counter(run: Run, counter: str) -> None:
    trial = lost_at(trial_of(run, "netfilter"), "UDP delivered", 100)
    trial = moved(trial, "namespace", counter, 100)
    (sentence,) = sentences(run, trial)
    assert sentence.endswith(f"“veth rx” and “UDP delivered”: {counter} (100)")


def test_duplicates_are_a_gain_and_then_a_loss(run: Run) -> None:
    trial = moved(trial_of(run, "netfilter"), "namespace", "UdpInDatagrams", 5)
    assert trial.after is not None
    snmp = trial.after.snmp["namespace"]
    snmp = {**snmp, "UdpInDatagrams": snmp["UdpInDatagrams"] + 5}
    trial = replace(
        trial,
        server=replace(server_of(trial), duplicates=5),
        after=replace(trial.after, snmp={**trial.after.snmp, "namespace": snmp}),
    )
    assert sentences(run, trial) == [
        "5 packets more at “UDP delivered” than at “veth rx”: duplicated in between, "
        "or not the trial’s",
        "5 of 14,005 packets lost between “UDP delivered” and “unique sequence numbers”: "
        "duplicates (5)",
    ]


def test_an_unknown_hop_is_bridged(run: Run) -> None:
    trial = link_drops(lost_at(trial_of(run, "xdp"), "server NIC rx", 250), 250)
    assert trial.client is not None
    trial = replace(trial, client=replace(trial.client, after=None))
    found = book(run, trial)
    assert [hop.name for hop in found.unknown] == ["client NIC tx"]
    assert not found.closes()
    (sentence,) = sentences(run, trial)
    assert "lost between “accepted sends” and “server NIC rx”: drops of the link" in sentence


def test_without_the_servers_counters_the_ends_still_tell_the_sum(run: Run) -> None:
    trial = without_stacks(lost_at(trial_of(run, "none"), "forwarded", 7))
    found = book(run, trial)
    assert [(s.start, s.end, s.lost) for s in found.steps if s.lost] == [
        ("client NIC tx", "unique sequence numbers", 7)
    ]


def test_no_ledger_without_the_programs_records(run: Run) -> None:
    trial = replace(trial_of(run, "none"), server=None)
    assert ledger_of(trial, run.arm("none")) is None


LOSSES = st.lists(
    st.tuples(
        st.sampled_from(["server NIC rx", "hook hits", "forwarded", "veth tx", "UDP delivered"]),
        st.integers(0, 2000),
    ),
    max_size=5,
)


@given(losses=LOSSES, nothing_of=st.sampled_from(["", "client", "stacks", "hook"]))
def test_packets_are_conserved(run: Run, losses: list[tuple[str, int]], nothing_of: str) -> None:
    """Whatever is lost where, and whatever is not recorded: the steps' losses are all of it."""
    trial = trial_of(run, "xdp")
    for hop, count in losses:
        trial = lost_at(trial, hop, count)
    assert trial.client is not None
    if nothing_of == "client":
        trial = replace(trial, client=replace(trial.client, before=None))
    elif nothing_of == "stacks":
        trial = without_stacks(trial)
    elif nothing_of == "hook":
        trial = replace(trial, hook_after=None)
    found = book(run, trial)
    missing = sum(count for _, count in losses)
    assert sum(step.lost for step in found.steps) == missing == SENT - server_of(trial).unique
    if not nothing_of:
        at = {hop: sum(count for name, count in losses if name == hop) for hop, _ in losses}
        assert {step.end: step.lost for step in found.steps if step.lost} == {
            hop: count for hop, count in at.items() if count
        }


def test_the_arm_is_the_sum_of_its_trials(run: Run) -> None:
    trial = link_drops(lost_at(trial_of(run, "xdp"), "server NIC rx", 250), 250)
    found = arm_ledger(with_trial(run, trial), run.arm("xdp"))
    assert found is not None
    assert [hop.packets for hop in found.hops] == [2 * SENT] * 2 + [2 * SENT - 250] * 7
    (step,) = [step for step in found.steps if step.lost]
    assert step.reason == "drops of the link’s socket on the host (250)"


def test_a_hop_unknown_in_one_trial_is_unknown_in_the_sum(run: Run) -> None:
    found = arm_ledger(with_trial(run, without_stacks(trial_of(run, "none"))), run.arm("none"))
    assert found is not None
    assert "forwarded" in [hop.name for hop in found.unknown]
    assert found.hops[-1].packets == 2 * SENT


def test_a_run_of_an_older_version_has_the_ends_alone(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(arms=("none",), trials=1)))
    trial = without_stacks(run.trials[0])
    assert trial.client is not None
    trial = replace(trial, client=replace(trial.client, before=None, after=None))
    assert [step.start for step in book(run, trial).steps] == [ORDER[0]]
    assert FRAME == 1000 + 42
