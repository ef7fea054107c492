# SPDX-License-Identifier: Apache-2.0
"""Files in a guest against those put and built there: a change is named with its author."""

import hashlib
import os
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.guests.guest import SOURCES
from testbed.lab.guests import building, cleanup
from testbed.lab.guests.hook import Hook
from testbed.model import arm as arms
from testbed.model.config import NetworkConfig
from testbed.model.errors import ArmError, ExitCode, GuestError
from tests import PROJECT
from tests.unit.factories.fakes import Machine, World, reached

REWRITE = "arms/include/rewrite.h"
ARMS = PROJECT / "guest/arms"
Prepared = Callable[..., str]


def built_lines(world: World) -> list[str]:
    return [step.line.split("build.sh ")[1].split()[0]
            for step in world.steps if "build.sh " in step.line]  # fmt: skip


def recorded(world: World, *names: str) -> dict[str, str]:
    """Return the hash of each arm's built object, as a run records it."""
    found = building.recorded(world.guests["server"], [arms.load(ARMS / name) for name in names])
    return {name: made.get("object", "") for name, made in found["built"].items()}


# Stale builds


@pytest.mark.parametrize("name", ["arms/include/xdp.mk", REWRITE, "arms/xdp/Makefile"])
def test_a_change_of_flags_or_headers_is_built_from_an_empty_folder(
    prepared: Prepared, checkout: Path, name: str
) -> None:
    world = World()
    prepared(world, "xdp")
    first = recorded(world, "xdp")
    path = checkout / "guest" / name
    path.write_text(path.read_text() + "# changed\n")
    os.utime(path, (1, 1))  # an older date than that of the object
    assert prepared(world, "xdp") == ""
    assert built_lines(world) == ["xdp", "xdp"]
    second = recorded(world, "xdp")
    assert first.keys() == second.keys() and first != second
    assert set(world.machines["server"].staged) >= {"arms/xdp/Makefile", "arms/xdp/object"}


def test_a_file_that_is_gone_here_is_gone_there(prepared: Prepared, checkout: Path) -> None:
    (checkout / "guest/arms/xdp/extra.h").write_text("")
    (checkout / "guest/arms/include/extra.h").write_text("")
    world = World()
    prepared(world, "xdp")
    lies = world.machines["server"].lies
    assert {"arms/xdp/extra.h", "arms/include/extra.h"} <= lies.keys()
    (checkout / "guest/arms/xdp/extra.h").unlink()
    (checkout / "guest/arms/include/extra.h").unlink()
    assert prepared(world, "xdp") == ""
    assert not [path for path in world.machines["server"].lies if path.endswith("extra.h")]


def test_what_did_not_change_is_neither_sent_nor_built_again(
    prepared: Prepared, checkout: Path
) -> None:
    world = World()
    prepared(world, "none", "xdp", "netfilter")
    before = len(world.steps)
    assert prepared(world, "none", "xdp", "netfilter") == ""
    assert len(world.machines["server"].pushed) == 1
    assert len([s for s in world.steps[before:] if "sha256sum" in s.line]) == 1
    (checkout / "guest/client.py").write_text("changed\n")
    prepared(world, "none", "xdp", "netfilter")
    assert sorted(built_lines(world)) == ["netfilter", "xdp"]  # a program is no arm's source


def test_another_kernel_builds_anew(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    prepared(world, "xdp")
    monkeypatch.setattr("tests.unit.factories.fakes.KERNEL", "6.2.0")
    prepared(world, "xdp")
    assert built_lines(world) == ["xdp", "xdp"]


def test_arms_are_built_by_accounts_of_their_own(prepared: Prepared) -> None:
    world = World()
    prepared(world, "xdp", "netfilter")
    lines = [shlex.split(s.line) for s in world.steps if "build.sh" in s.line]
    assert {line[line.index("-R") + 1] for line in lines} == {"59001:59001", "59002:59002"}
    assert all("root:root" in line for line in lines)


def test_a_machine_made_anew_gets_everything_without_a_word(prepared: Prepared) -> None:
    prepared(World(), "xdp")
    world = World()
    assert prepared(world, "xdp") == ""
    assert built_lines(world) == ["xdp"]


def test_a_build_that_was_cut_off_is_done_again(prepared: Prepared) -> None:
    rehearsal = World()
    prepared(rehearsal, "xdp")
    line = next(step for step in rehearsal.steps if "build.sh" in step.line)
    world = World()
    prepared(world, "xdp")  # built once, of other sources
    world.machines["server"].lies.pop("arms/xdp/object")
    world.fault, world.steps = rehearsal.fault_at(line, "lost"), []
    with pytest.raises(GuestError):
        prepared(world, "xdp")
    world.fault, world.guests["server"] = None, reached(world.machines["server"])
    assert prepared(world, "xdp") == ""
    assert "arms/xdp/object" in world.machines["server"].lies


# Neighbours


def hook_of(world: World, name: str = "xdp") -> Hook:
    return Hook(arms.load(ARMS / name), world.guests["server"], NetworkConfig())


@pytest.mark.parametrize(
    ("path", "now", "said"),
    [
        (REWRITE, "1" * 64, f"{REWRITE} (changed)"),
        ("arms/netfilter/object", "1" * 64, "arms/netfilter/object (changed)"),
        ("server.py", "1" * 64, "server.py (changed)"),
        ("__pycache__/agent.cpython-311.pyc", None, "agent.cpython-311.pyc (removed)"),
        ("arms/xdp/object", "1" * 64, "arms/xdp/object (changed)"),
        ("sitecustomize.py", "1" * 64, "sitecustomize.py (added)"),
        ("arms/evil\x1b[2J/x", "1" * 64, "arms/evil\ufffd[2J/x (added)"),
    ],
)
def test_what_an_arm_changes_as_root_is_named_with_the_arm(
    prepared: Prepared, path: str, now: str | None, said: str
) -> None:
    world = World()
    prepared(world, "xdp", "netfilter")
    hook = hook_of(world)
    hook.prove_untouched()
    lies = world.machines["server"].lies
    if now is None:
        del lies[path]
    else:
        lies[path] = now
    with pytest.raises(ArmError) as caught:
        hook.prove_untouched()
    assert caught.value.message.startswith("after arm xdp ran, files are not as they were built")
    assert caught.value.message.endswith(said)
    assert caught.value.exit_code is ExitCode.ARM


class Unloading(Machine):
    """A machine in which the unloading of one arm, or the first of any, changes the headers."""

    guilty: str = "mine"

    def _arm(self, arm: str, argv: list[str]) -> tuple[int, str]:
        if "unload" in argv and arm == self.guilty:
            self.lies[REWRITE] = hashlib.sha256(self.lies[REWRITE].encode()).hexdigest()
        if "unload" in argv and self.guilty == "any":
            self.lies[REWRITE] = "1" * 64
        return super()._arm(arm, argv)


@pytest.mark.parametrize(
    ("guilty", "said"),
    [
        ("mine", "; the `unload` of mine did that"),
        ("any", "; the `unload` of one of xdp, mine did that"),
    ],
)
def test_an_arm_that_changes_files_when_it_is_unloaded_first(
    prepared: Prepared, tmp_path: Path, guilty: str, said: str
) -> None:
    world = World()
    machine = Unloading("server", world)
    machine.guilty = guilty
    world.machines["server"], world.guests["server"] = machine, reached(machine)
    shutil.copytree(ARMS / "xdp", tmp_path / "mine", dirs_exist_ok=True)
    manifest = tmp_path / "mine/arm.toml"
    manifest.write_text(manifest.read_text().replace('name = "xdp"', 'name = "mine"'))
    prepared(world, "xdp", str(tmp_path / "mine"))
    server, every = world.guests["server"], arms.choose(ARMS, ["xdp", "none"])
    there = building.built(server, every)
    cleanup.prove_swept(server, there, every, NetworkConfig())
    cleanup.sweep(server, world.guests["client"], there, NetworkConfig())
    with pytest.raises(ArmError) as caught:
        cleanup.prove_swept(server, there, every, NetworkConfig())
    assert caught.value.message.startswith("as this command began, files are not as they were")
    assert caught.value.message.endswith(said)
    # It was brought from elsewhere: later commands go on without it.
    assert any(step.line == f"rm -rf {SOURCES}/arms/mine" for step in world.steps)


def test_the_next_command_says_so_and_replaces_it(prepared: Prepared) -> None:
    world = World()
    prepared(world, "xdp", "netfilter")
    lies = world.machines["server"].lies
    before = dict(lies)
    lies[REWRITE] = lies["arms/netfilter/object"] = "1" * 64
    said = prepared(world, "xdp", "netfilter")
    assert f"server: not as it was put there: {REWRITE} (changed)" in said
    assert "arms/netfilter/object (changed)" in said
    assert world.machines["server"].lies == before
    assert prepared(world, "xdp", "netfilter") == ""


def test_a_damaged_arm_that_is_not_asked_for_is_built_when_it_is(prepared: Prepared) -> None:
    world = World()
    prepared(world, "xdp", "netfilter")
    world.machines["server"].lies["arms/netfilter/object"] = "1" * 64
    assert "arms/netfilter/object (changed)" in prepared(world, "xdp")
    assert prepared(world, "xdp") == ""
    prepared(world, "xdp", "netfilter")
    assert built_lines(world).count("netfilter") == 2


def test_a_build_that_changes_its_own_sources(
    prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World()
    machine = world.machines["server"]
    take = machine._take_place

    def and_change(name: str) -> None:
        take(name)
        machine.lies["arms/xdp/redirect.bpf.c"] = "1" * 64

    monkeypatch.setattr(machine, "_take_place", and_change)
    with pytest.raises(ArmError, match="arm xdp: its build changed its own sources: arms/xdp/r"):
        prepared(world, "xdp")
    monkeypatch.setattr(machine, "_take_place", take)
    assert prepared(world, "xdp") == ""
    assert built_lines(world) == ["xdp", "xdp"]
