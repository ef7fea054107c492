# SPDX-License-Identifier: Apache-2.0
"""Counting one arm: packet after packet, and what is kept of each."""

from pathlib import Path

import pytest

from testbed.analysis.counting import raw
from testbed.lab.counting.arm import WARM_UP, address_of
from testbed.model import arm as arm_manifest
from testbed.model.errors import ArmError, GuestError
from tests import PROJECT
from tests.unit.factories.counting_factory import Kernel, packet
from tests.unit.factories.counting_fakes import counting

ARMS = PROJECT / "guest/arms"


def test_each_packet_is_kept_with_what_ran_for_it_and_the_first_ones_are_not(
    tmp_path: Path,
) -> None:
    kernel = Kernel()
    path = packet(kernel)
    idle = kernel.visit("do_idle", 5)
    script = [[path]] * WARM_UP + [[idle, path], [path], [path]]
    found, counter, world = counting(kernel, script)
    (arm,) = arm_manifest.choose(ARMS, ["none"])
    ((payload, files),) = found.count(arm, [100], 3)
    assert payload == 100
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    read = raw.read(tmp_path)
    assert [one.packet for one in read.stretches] == [0, 1, 2]
    assert {one.path for one in read.stretches} == {0}
    assert read.facts["other_stretches"] == 1
    assert read.facts["sent"] == WARM_UP + 3
    assert counter.told == ["on", "off"]
    assert world.hooks == set()
    assert "ip neigh flush dev sslab-host" in [step.line for step in world.steps]


def test_a_packet_that_never_comes_to_an_end_is_the_arms_failure() -> None:
    kernel = Kernel()
    found, *_ = counting(kernel, [[packet(kernel)]] * (WARM_UP + 1))
    (arm,) = arm_manifest.choose(ARMS, ["none"])
    with pytest.raises(ArmError, match="packet 2 never came to an end"):
        list(found.count(arm, [100], 3))


def test_hidden_symbols_are_an_error_of_the_machine() -> None:
    with pytest.raises(GuestError, match="does not name e1000_intr"):
        address_of("e1000_intr", "0000000000000000 t e1000_intr\t[e1000]\n")
