# SPDX-License-Identifier: Apache-2.0
"""Counting one arm: packet after packet, what is kept of each, and what an arm can do to it."""

from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.counting import raw
from testbed.analysis.counting.summary import Summary
from testbed.edge.guests.guest import Guest
from testbed.lab.counting import arm as counting_arm
from testbed.lab.counting.arm import WARM_UP, Counting, address_of
from testbed.model import arm as arm_manifest
from testbed.model.arm import Arm
from testbed.model.count_files import CUT, TABLE_FULL
from testbed.model.errors import ArmError, GuestError, MachineError, NoAnswer
from testbed.model.plan import Condition
from tests import PROJECT
from tests.unit.factories.counting_factory import Kernel, cut_off, packet
from tests.unit.factories.counting_fakes import IDENTITY, counting

ARMS = PROJECT / "guest/arms"


@pytest.fixture
def none() -> Arm:
    (arm,) = arm_manifest.choose(ARMS, ["none"])
    return arm


def test_each_packet_is_kept_with_what_ran_for_it_and_the_first_ones_are_not(
    tmp_path: Path, none: Arm
) -> None:
    kernel = Kernel()
    path = packet(kernel)
    idle = kernel.visit("do_idle", 5)
    script = [[path]] * WARM_UP + [[idle, path], [path], [path]]
    found, counter, world = counting(kernel, script)
    ((condition, files),) = found.count(none, [100], 3)
    assert condition == Condition("none", 100)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    read = raw.read(tmp_path)
    assert [one.packet for one in read.stretches] == [0, 1, 2]
    assert {one.path for one in read.stretches} == {0}
    assert read.facts["other_stretches"] == 1
    assert read.facts["sent"] == WARM_UP + 3
    assert read.facts["identity"] == IDENTITY, "the machine's, read while this arm was loaded"
    assert counter.told == ["on", "off"]
    assert world.hooks == set()
    lines = [step.line for step in world.steps]
    assert any("ip neigh flush dev sslab-host nud all" in line for line in lines)


def test_a_packet_that_other_work_hides_is_not_waited_for_and_not_the_arms_fault(
    tmp_path: Path,
) -> None:
    kernel = Kernel()
    found, counter, _ = counting(kernel, [[cut_off(packet(kernel), 3)]] * (WARM_UP + 3))
    counter.flags = CUT
    (arm,) = arm_manifest.choose(ARMS, ["none"])
    ((_, files),) = found.count(arm, [100], 3)
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    summary = Summary.of(raw.read(tmp_path))
    assert (len(summary.packets), summary.cut_short) == (0, 3)


def test_a_packet_that_never_comes_to_an_end_is_the_arms_failure(none: Arm) -> None:
    kernel = Kernel()
    found, *_ = counting(kernel, [[packet(kernel)]] * (WARM_UP + 1))
    with pytest.raises(ArmError, match="packet 2 never came to an end"):
        list(found.count(none, [100], 3))


def waking(kernel: Kernel) -> list[list[bytes]]:
    """A CPU that wakes and halts for ever, and no packet comes."""
    return [[kernel.visit("do_idle", 5)] * 1000]


def test_a_packet_that_never_comes_while_the_cpu_goes_on_is_not_waited_for_for_ever(
    none: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_arm, "ANSWER_S", 0)
    found, *_ = counting(Kernel(), waking(Kernel()))
    with pytest.raises(ArmError, match=r"packet 1 never .* lab0's driver passed none on"):
        list(found.count(none, [100], 3))


def test_a_table_without_room_is_not_the_arms_failure(
    none: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting_arm, "ANSWER_S", 0)
    found, counter, _ = counting(Kernel(), waking(Kernel()))
    counter.flags = TABLE_FULL
    with pytest.raises(MachineError, match="table of blocks is full"):
        list(found.count(none, [100], 3))


def broken(found: Counting, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    """The connection breaks in one command of the guest's."""
    run = Guest.shell

    def shell(guest: Guest, line: str, *words: Any, **more: Any) -> Any:
        if failing in line:
            raise NoAnswer(f"server: no end after 60 s: {line}")
        return run(guest, line, *words, **more)

    monkeypatch.setattr(type(found.running.guest), "shell", shell)


@pytest.mark.parametrize("failing", ["insmod", "verify-module", "kallsyms", "hits", "rmmod"])
def test_an_arm_after_which_the_machine_is_silent_is_named(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (arm,) = arm_manifest.choose(ARMS, ["netfilter"])
    kernel = Kernel()
    found, *_ = counting(kernel, [[packet(kernel)]] * (WARM_UP + 3))
    broken(found, monkeypatch, failing)
    with pytest.raises(ArmError, match=r"arm netfilter: .* no answer any more: server: no end"):
        list(found.count(arm, [100], 3))


@pytest.mark.parametrize("failing", ["insmod", "(the counter)"])
def test_an_arm_is_not_blamed_for_a_qemu_that_has_ended(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (arm,) = arm_manifest.choose(ARMS, ["netfilter"])
    found, *_ = counting(Kernel(), [], ended=True)
    broken(found, monkeypatch, failing)
    with pytest.raises(MachineError, match="QEMU ended while arm netfilter was counted"):
        list(found.count(arm, [100], 3))


def test_an_arm_that_hides_names_once_it_is_loaded_is_refused(none: Arm) -> None:
    def hidden() -> Any:
        raise GuestError("the counting machine hides names")

    found, counter, _ = counting(Kernel(), [])
    hiding = Counting(found.running, found.network, found.handler, hidden)
    with pytest.raises(ArmError, match="with arm none loaded, the counting machine hides names"):
        list(hiding.count(none, [100], 3))
    assert counter.told == []


def test_hidden_symbols_are_an_error_of_the_machine() -> None:
    with pytest.raises(GuestError, match="does not name e1000_intr"):
        address_of("e1000_intr", "0000000000000000 t e1000_intr\t[e1000]\n")
