# SPDX-License-Identifier: Apache-2.0
"""`testbed check`: its table, its JSON and its exit code; the gate itself is simulated."""

import contextlib
import json
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.files.store import RunDir
from testbed.model.arm import Arm
from testbed.model.errors import ArmError
from tests.unit.factories import gate_arms, gate_stack

seeds: list[int] = []
SIMULATED = {
    "none": gate_arms.nothing,
    "netfilter": gate_arms.correct,
    "xdp": gate_arms.correct,
    "xdp-bounded-csum": gate_arms.bounded_checksum,
}

BROKEN = {
    "netfilter-logging": ArmError(
        "arm netfilter-logging does not build", detail="m.c:1: error: no", hint="its own words"
    )
}


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch, checkout: Path) -> Path:
    """The gate's files come from simulated arms; returns where they are."""
    module = import_module("testbed.verbs.measuring.gate")  # as an attribute it is the function

    @contextlib.contextmanager
    def ready(
        _lab: object, name: str, arms: Sequence[Arm], broken: dict[str, ArmError]
    ) -> Iterator[tuple[None, None]]:
        assert (name, bool(arms)) == ("check", True)
        broken.update((arm.name, BROKEN[arm.name]) for arm in arms if arm.name in BROKEN)
        yield None, None

    def gate(
        _: object, arms: Sequence[Arm], _config: Any, run_dir: RunDir, _say: Any, seed: int,
        _failed: dict[str, ArmError],
    ) -> None:  # fmt: skip
        seeds.append(seed)
        for arm in arms:
            direct = arm.name == "none"
            gate_stack.gate(run_dir.path, arm.name, SIMULATED[arm.name], direct=direct)

    monkeypatch.setattr(module, "ready_guests", ready)
    monkeypatch.setattr(module, "run_gate", gate)
    return checkout / ".testbed/check"


def test_the_fair_arms_by_default(testbed: Callable[..., Any], scratch: Path) -> None:
    (scratch / "gate/old").mkdir(parents=True)
    said = testbed("check")
    assert said.status == 0
    heading, *_ = said.out.splitlines()
    assert heading.split()[-3:] == ["none", "netfilter", "xdp"]
    cases = len(gate_arms.sent().cases)
    assert f"xdp: same work as the reference ({cases:,} cases, 1 round, 4.5 s)" in said.out
    assert max(map(len, said.out.splitlines())) <= 100
    assert not (scratch / "gate/old").exists()


def test_every_check_draws_other_frames_unless_asked_for_the_same(
    testbed: Callable[..., Any], scratch: Path
) -> None:
    seeds.clear()
    for options in ([], [], ["--seed", "7"]):
        said = testbed("check", "--arms", "none", *options)
        assert f", seed {seeds[-1]}\n" in said.err
    assert seeds[2] == 7 and len(set(seeds)) == 3


@pytest.mark.usefixtures("scratch")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_one_that_does_not_build_ends_no_other(
    testbed: Callable[..., Any], options: list[str]
) -> None:
    said = testbed("check", "--arms", "xdp,netfilter-logging,xdp-bounded-csum", *options)
    assert said.status == 6
    assert said.err.endswith(
        "m.c:1: error: no\n"
        "testbed: arm netfilter-logging does not build\n"
        "  → its own words\n"
    )  # fmt: skip
    if options:
        told = json.loads(said.out)
        assert [arm["arm"] for arm in told["arms"]] == ["xdp", "xdp-bounded-csum"]
        assert told["failed"] == [
            {"arm": "netfilter-logging", "error": "arm netfilter-logging does not build"}
        ]
    else:
        assert "xdp: same work" in said.out and "xdp-bounded-csum: OTHER WORK" in said.out
    alone = testbed("check", "--arms", "netfilter-logging")
    assert (alone.status, alone.out) == (6, "")


def test_an_arm_that_does_other_work(testbed: Callable[..., Any], scratch: Path) -> None:
    said = testbed("check", "--arms", "xdp,xdp-bounded-csum")
    assert said.status == 7
    assert "xdp-bounded-csum: OTHER WORK (" in said.out
    assert "  payload 0…1472 bytes, random: wrong UDP checksum from 514 bytes on: " in said.out


def test_as_json(testbed: Callable[..., Any], scratch: Path) -> None:
    said = testbed("check", "--arms", "none,xdp-bounded-csum", "--json")
    assert said.status == 7
    value = json.loads(said.out)
    assert value["schema"] == 1 and value["seed"] == seeds[-1]
    none, bounded = value["arms"]
    assert (none["same_work"], none["mismatches"], none["wrong"]) == (True, 0, [])
    assert bounded["same_work"] is False and len(bounded["wrong"]) == bounded["mismatches"]
    lengths = [wrong for wrong in bounded["wrong"] if wrong["group"] == "length-random"]
    assert lengths[0]["title"] == "514 bytes, random"
    assert (none["lost_behind_nic"], none["lost_on_link"]) == (0, 0)
    assert none["counted_and_dropped"] is None
    assert bounded["groups"]["length-zeros"] == "same"
