# SPDX-License-Identifier: Apache-2.0
"""The faults of `testbed selftest`: each has its check, goes in at its step, and is taken out."""

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.findings import CHECKS
from testbed.edge.computer import host
from testbed.lab.guests.hook import Hook
from testbed.lab.selftest.faults import CLEAN, FAULTS, Fault
from testbed.lab.selftest.injection import Injection
from testbed.model import arm as arms
from testbed.model.config import NetworkConfig
from testbed.model.errors import NoAnswer
from testbed.model.plan import Condition, Trial
from testbed.verbs.measuring.fault_test import Outcome, _tell, exit_code
from tests import PROJECT
from tests.unit.factories.fakes import Fault as WorldFault
from tests.unit.factories.fakes import World

ARMS = PROJECT / "guest/arms"
TRIAL = Trial(1, 1, Condition("netfilter", 1000, 10_000.0), 1)
BY_NAME = {fault.name: fault for fault in FAULTS}


def place(name: str) -> Path:
    """Where selftest finds an arm: of guest/arms/, or of those that are there for a fault alone."""
    return ARMS / name if (ARMS / name).exists() else ARMS.parent / "faults" / name


def injection(world: World, fault: Fault) -> Injection:
    server = world.guests["server"]
    hook = Hook(arms.load(place(fault.loads or fault.arm)), server, NetworkConfig())
    return Injection(fault, server, hook)


def lines(world: World) -> list[str]:
    return [step.line for step in world.steps]


def test_every_fault_has_a_check_and_an_arm_that_exist() -> None:
    codes = {check.code for check in CHECKS}
    assert len(BY_NAME) == len(FAULTS) == 19
    for fault in FAULTS:
        assert fault.caught_by in codes, fault.name
        for name in filter(None, (fault.arm, fault.loads)):
            assert arms.load(place(name)).name == name


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_what_stays_behind_a_trial_is_taken_out(fault: Fault) -> None:
    """A killed mpstat and an unloaded hook end with the trial; everything else must be undone."""
    ends_itself = all(argv[0] == "pkill" for argv in fault.commands)
    assert fault.undo or ends_itself


@pytest.mark.parametrize("fault", [f for f in FAULTS if f.commands], ids=lambda f: f.name)
def test_a_fault_goes_in_at_its_step_and_out_in_the_end(fault: Fault) -> None:
    world = World()
    one = injection(world, replace(fault, after_s=0.0))
    with one.around():
        one.witness(TRIAL, "another step")
        assert lines(world) == []
        one.witness(TRIAL, fault.step)
        assert len(lines(world)) == len(fault.commands)
        assert not any("{target_port}" in line for line in lines(world))
    assert len(lines(world)) == len(fault.commands) + len(fault.undo)


def test_braces_of_a_rule_set_reach_nft_as_they_are() -> None:
    world = World()
    one = injection(world, BY_NAME["half"])
    with one.around():
        one.witness(TRIAL, "load")
    assert "{ type filter hook forward priority 0; }" in lines(world)[0]
    assert "udp dport 8083 numgen inc mod 2 == 0 drop" in lines(world)[0]


def test_the_hook_is_unloaded_a_while_after_the_traffic_began() -> None:
    world = World()
    one = injection(world, replace(BY_NAME["detached"], after_s=0.05))
    with one.around():
        one.witness(TRIAL, "traffic")
        assert lines(world) == []
        deadline = time.monotonic() + 20
        while not lines(world) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert any("rmmod" in line for line in lines(world))


def test_a_trial_that_ended_early_meets_no_late_fault() -> None:
    world = World()
    one = injection(world, replace(BY_NAME["mpstat-killed"], after_s=60.0))
    with one.around():
        one.witness(TRIAL, "traffic")
    assert lines(world) == []


def test_a_fault_whose_commands_fail_is_not_in_and_the_trial_goes_on() -> None:
    world = World(WorldFault("server", 0, "refused"))
    one = injection(world, BY_NAME["duplicates"])
    with one.around():
        one.witness(TRIAL, "load")
    assert one.problem is not None
    assert one.problem.startswith("server: exit status 1: tc qdisc add dev sslab-host")
    assert one.problem.endswith(": its own words")


def test_a_fault_is_in_when_its_commands_succeed() -> None:
    one = injection(World(), BY_NAME["duplicates"])
    assert one.problem == "its moment did not come"
    with one.around():
        one.witness(TRIAL, "load")
    assert one.problem is None


def test_a_late_fault_that_fails_in_its_thread_is_not_lost() -> None:
    world = World(WorldFault("server, beside", 0, "refused"))
    one = injection(world, replace(BY_NAME["mpstat-killed"], after_s=0.01))
    with one.around():
        one.witness(TRIAL, "traffic")
        deadline = time.monotonic() + 20
        while not lines(world) and time.monotonic() < deadline:
            time.sleep(0.01)
    assert one.problem is not None and "pkill" in one.problem


def test_a_fault_whose_moment_did_not_come_is_not_in() -> None:
    one = injection(World(), replace(BY_NAME["mpstat-killed"], after_s=60.0))
    with one.around():
        one.witness(TRIAL, "traffic")
    assert one.problem == "its moment did not come"


def test_hogs_that_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> object:
        raise OSError("Cannot allocate memory")

    monkeypatch.setattr(host, "beside", none)
    one = injection(World(), BY_NAME["host-hog"])
    with one.around():
        one.witness(TRIAL, "settle")
    assert one.problem == "Cannot allocate memory"


def test_a_dead_server_is_no_fault_that_could_not_be_put_in() -> None:
    one = injection(World(WorldFault("server", 0, "lost")), BY_NAME["duplicates"])
    with pytest.raises(NoAnswer), one.around():
        one.witness(TRIAL, "load")


def test_a_fault_that_is_no_deed_is_always_in() -> None:
    quiet = {fault.name for fault in FAULTS if not fault.is_put_in}
    assert quiet == {
        "broken-checksum", "checksum-behind-gro", "lost-to-checksum", "swapped", "logging",
        "wrong-mode", "wrong-nic", "small-buffer",
    }  # fmt: skip
    assert not CLEAN.is_put_in


CAUGHT, MISSED = {"delivery": "INVALID"}, dict[str, str]()


@pytest.mark.parametrize(
    ("found", "problem", "code", "verdict"),
    [
        (CAUGHT, None, 0, "caught"),
        (MISSED, None, 7, "NOT CAUGHT"),
        (MISSED, "no tc", 5, "NOT PUT IN"),
        (CAUGHT, "no tc", 5, "NOT PUT IN"),
    ],
)
def test_a_fault_that_was_not_in_counts_neither_way(
    capsys: pytest.CaptureFixture[str], found: dict[str, str], problem: str | None, code: int,
    verdict: str,
) -> None:  # fmt: skip
    outcomes = [
        Outcome(CLEAN, {}, {}), Outcome(BY_NAME["half"], found, {}, problem),
    ]  # fmt: skip
    assert exit_code(outcomes) == code
    _tell(outcomes, as_json=False)
    said = capsys.readouterr().out
    assert f"half   {verdict:<11}  delivery" in said
    assert ("  could not be injected: no tc\n" in said) is (problem is not None)
    _tell(outcomes, as_json=True)
    row = json.loads(capsys.readouterr().out)["selftest"][1]
    assert row["problem"] == problem
    assert row["caught"] is (None if problem else found == CAUGHT)


def test_what_was_not_caught_weighs_more_than_what_was_not_in() -> None:
    lost = Outcome(BY_NAME["half"], {}, {}, "no nft")
    assert exit_code([Outcome(CLEAN, {}, {}), lost, Outcome(BY_NAME["clock"], {}, {})]) == 7


def test_hogs_end_with_the_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[object] = []
    real = host._end_group
    monkeypatch.setattr(host, "_end_group", lambda process: (ended.append(process), real(process)))
    one = injection(World(), BY_NAME["host-hog"])
    with one.around():
        one.witness(TRIAL, "settle")
        assert ended == []
    assert len(ended) == 2
    assert all(process.poll() is not None for process in ended)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("clean", "found", "caught"),
    [
        ({}, {}, False),
        ({}, {"contention": "SUSPECT"}, True),
        ({"contention": "SUSPECT"}, {"contention": "SUSPECT"}, False),
        ({"contention": "SUSPECT"}, {"contention": "INVALID"}, True),
        ({}, {"delivery": "INVALID"}, False),
    ],
)
def test_caught_is_more_than_in_a_clean_trial(
    clean: dict[str, str], found: dict[str, str], *, caught: bool
) -> None:
    assert Outcome(BY_NAME["host-hog"], found, clean).caught is caught


def test_a_clean_trial_with_an_invalid_finding_is_a_false_alarm() -> None:
    assert Outcome(CLEAN, {"contention": "SUSPECT", "replication": "INVALID"}, {}).caught
    assert not Outcome(CLEAN, {"ledger": "INVALID"}, {}).caught
