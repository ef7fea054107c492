# SPDX-License-Identifier: Apache-2.0
"""The NIC is described once: its name, and what its models' drivers can do."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

from testbed.lab.guests.building import without_native_xdp
from testbed.model import arm as arms
from testbed.model.config import NicModel
from testbed.model.nic import INTERFACE, NICS, of_driver
from tests import PROJECT
from tests.unit.factories.fakes import World

ARMS = PROJECT / "guest/arms"


def native(parent: Path) -> Path:
    """Write the arm `native`: the XDP program, to run in the driver."""
    folder = parent / "native"
    folder.mkdir()
    text = (ARMS / "xdp/arm.toml").read_text()
    (folder / "arm.toml").write_text(
        text.replace('name = "xdp"', 'name = "native"').replace(
            'mode = "generic"', 'mode = "native"'
        )
    )
    return folder


def test_every_model_of_the_configuration_is_described() -> None:
    assert set(NICS) == set(get_args(NicModel))
    assert all(of_driver(nic.driver) is nic for nic in NICS.values())
    assert of_driver("vmxnet3") is None


def test_the_box_knows_every_driver_and_gives_the_name() -> None:
    link = (PROJECT / "guest/box/files/etc/systemd/network/20-lab0.link").read_text()
    found = dict(re.findall(r"^(Driver|Name)=(.*)$", link, re.MULTILINE))
    assert {nic.driver for nic in NICS.values()} <= set(found["Driver"].split())
    assert found["Name"] == INTERFACE


def test_an_arm_for_the_driver_needs_a_driver_with_xdp(tmp_path: Path) -> None:
    wanted = [arms.load(native(tmp_path)), arms.load(ARMS / "xdp"), arms.load(ARMS / "netfilter")]
    able = [model for model, nic in NICS.items() if not without_native_xdp(wanted, nic)]
    assert able == ["igb", "virtio"]
    assert list(without_native_xdp(wanted, NICS["e1000e"])) == ["native"]


def test_it_is_told_before_the_machines_are_asked(
    bench_line: Callable[..., Any], checkout: Path, tmp_path: Path
) -> None:
    world = World()
    said = bench_line(world, "--arms", f"none,{native(tmp_path)}")
    assert (said.status, world.steps) == (6, [])
    assert said.err.endswith(
        "testbed: arm native wants native XDP, and the driver e1000 has no XDP\n"
        '  → set nic_model = "igb" or "virtio" in testbed.toml, or load it in generic mode\n'
    )
    assert not list((checkout / "results").glob("2*"))


@pytest.mark.parametrize("layer", ["model", "packets", "analysis", "edge", "handout", "verbs"])
def test_the_name_is_written_once(layer: str) -> None:
    spelled = [
        path
        for path in (PROJECT / "testbed" / layer).rglob("*.py")
        if INTERFACE in path.read_text()
    ]
    assert [path.name for path in spelled] == (["nic.py"] if layer == "model" else [])
