# SPDX-License-Identifier: Apache-2.0
"""The checks on losses, devices and merging: each is tripped by its fault, none by a sound run."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from testbed.analysis.findings.finding import Finding, Verdict
from testbed.analysis.findings.ledger import LEDGER_CHECKS
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from tests.unit.factories.ledger_faults import (
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


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("ledger"), RunRecipe(trials=2)))


def found(run: Run, code: str) -> list[Finding]:
    (check,) = [check for check in LEDGER_CHECKS if check.code == code]
    return check.look(run)


def faulty(run: Run, fault: Callable[[Trial], Trial], arm: str = "xdp") -> Run:
    return with_trial(run, fault(run.trials_of(arm)[0]))


def test_nothing_is_found_in_a_sound_run(run: Run) -> None:
    assert [check.look(run) for check in LEDGER_CHECKS] == [[], [], []]


@pytest.mark.parametrize(
    ("hop", "lost", "verdict"),
    [
        ("server NIC rx", 14, None),
        ("server NIC rx", 15, Verdict.SUSPECT),
        ("server NIC rx", 140, Verdict.INVALID),
        ("hook hits", 7, None),
        ("hook hits", 8, Verdict.SUSPECT),
        ("forwarded", 14, Verdict.SUSPECT),  # one packet in 1,000
        ("forwarded", 140, Verdict.INVALID),
        ("UDP delivered", 8, Verdict.SUSPECT),
    ],
)
def test_a_loss_is_judged_by_where_it_is(
    run: Run, hop: str, lost: int, verdict: Verdict | None
) -> None:
    said = found(faulty(run, lambda trial: lost_at(trial, hop, lost)), "ledger")
    assert [finding.verdict for finding in said] == ([verdict] if verdict else [])
    for finding in said:
        assert f"{lost} of 14,000 packets lost between" in finding.statement
        assert f"“{hop}”" in finding.statement
        assert finding.evidence[0].observed == lost
        assert (finding.scope.arm, finding.scope.block) == ("xdp", 1)


def test_a_gain_is_suspect(run: Run) -> None:
    def twice(trial: Trial) -> Trial:
        return moved(trial, "root", "IpForwDatagrams", 20)

    (finding,) = found(faulty(run, twice), "ledger")
    assert finding.verdict is Verdict.SUSPECT
    assert "20 packets more at “forwarded” than at “hook hits”" in finding.statement


def test_a_hop_that_nobody_counted_is_suspect(run: Run) -> None:
    (finding,) = found(faulty(run, lambda t: replace(t, hook_after=None)), "ledger")
    assert finding.verdict is Verdict.SUSPECT
    assert finding.statement == "not recorded: packets at “hook hits”"


def test_the_worst_step_comes_first(run: Run) -> None:
    def both(trial: Trial) -> Trial:
        return lost_at(lost_at(trial, "server NIC rx", 200), "veth tx", 150)

    (finding,) = found(faulty(run, both), "ledger")
    assert finding.statement.startswith("150 of 13,800 packets lost between “forwarded” and")
    assert finding.degree == pytest.approx(150 / 13_800)


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (lambda t: moved_on(t, "root", "lab0", rx_drop=2), "server NIC 2"),
        (lambda t: backlog(t, 2), "backlog 2"),
        (lambda t: moved_on(t, "root", "sslab-host", tx_drop=2), "veth 2"),
        (lambda t: moved_on(t, "namespace", "sslab-app", rx_drop=2), "veth 2"),
    ],
)
def test_every_device_is_watched(run: Run, fault: Callable[[Trial], Trial], named: str) -> None:
    (finding,) = found(faulty(run, fault), "device")
    assert finding.verdict is Verdict.SUSPECT
    assert named in finding.statement


def test_a_device_that_loses_one_in_a_hundred_is_invalid(run: Run) -> None:
    (finding,) = found(faulty(run, lambda t: backlog(t, 141)), "device")
    assert finding.verdict is Verdict.INVALID


def test_one_drop_is_no_finding_and_the_links_are_evidence_alone(run: Run) -> None:
    assert found(faulty(run, lambda t: backlog(t, 1)), "device") == []
    assert found(faulty(run, lambda t: link_drops(t, 250)), "device") == []
    (finding,) = found(faulty(run, lambda t: backlog(link_drops(t, 250), 2)), "device")
    assert finding.evidence[-1].observed == 250


@pytest.mark.parametrize("code", ["device", "merging"])
def test_what_was_not_recorded_is_suspect(run: Run, code: str) -> None:
    (finding,) = found(faulty(run, without_stacks), code)
    assert finding.verdict is Verdict.SUSPECT
    assert finding.statement.startswith("not recorded: ")


@pytest.mark.parametrize("space", ["root", "namespace"])
def test_merged_packets_are_invalid(run: Run, space: str) -> None:
    """Two segments to a buffer: the segments stay, the buffers get fewer."""
    (finding,) = found(faulty(run, lambda t: moved(t, space, "IpInReceives", -7000)), "merging")
    assert finding.verdict is Verdict.INVALID
    assert "packets went through the stack as" in finding.statement
    assert space in finding.statement


def test_a_few_merged_are_not(run: Run) -> None:
    assert found(faulty(run, lambda t: moved(t, "root", "IpInReceives", -14)), "merging") == []


@pytest.mark.parametrize("space", ["root", "namespace"])
def test_fragments_are_invalid(run: Run, space: str) -> None:
    (finding,) = found(faulty(run, lambda t: moved(t, space, "IpReasmReqds", 2)), "merging")
    assert finding.verdict is Verdict.INVALID
    assert finding.statement == "2 fragments came to be put together"


def test_large_receive_offload_is_suspect(run: Run) -> None:
    nics = {"lab0": {"features": {"large-receive-offload": "on"}}}
    facts = {**run.facts, "server-before": {**run.facts["server-before"], "nics": nics}}
    (finding,) = found(replace(run, facts=facts), "merging")
    assert finding.verdict is Verdict.SUSPECT
    assert finding.scope.kind == "run"


def test_a_trial_without_records_is_left_to_complete(run: Run) -> None:
    def gone(trial: Trial) -> Trial:
        assert server_of(trial)
        return replace(trial, server=None)

    broken = faulty(run, gone)
    assert [check.look(broken) for check in LEDGER_CHECKS] == [[], [], []]
