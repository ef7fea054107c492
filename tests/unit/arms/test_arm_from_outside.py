# SPDX-License-Identifier: Apache-2.0
"""An arm that lies anywhere: chosen by its path, pushed into the server, swept like any other."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.guests.guest import SOURCES
from testbed.edge.output.terminal import Terminal
from testbed.lab.guests import building
from testbed.lab.guests.building import demand_built
from testbed.lab.guests.deploy import Wanted
from testbed.lab.guests.hook import Hook
from testbed.model import arm
from testbed.model.arm import Arm
from testbed.model.config import Config, NetworkConfig
from testbed.model.errors import ArmError, ConfigError, ExitCode, UsageError
from testbed.verbs.lab import Lab
from testbed.verbs.upkeep.machines import prepare
from tests import PROJECT
from tests.unit.factories.fakes import World

ARMS = PROJECT / "guest/arms"
KNOWN = "netfilter, netfilter-logging, none, xdp, xdp-bounded-csum"


def put(parent: Path, name: str, *, like: str = "xdp") -> Path:
    """Copy an arm to `parent/name`, under that name."""
    folder = parent / name
    shutil.copytree(ARMS / like, folder, ignore=shutil.ignore_patterns("*.o", "*.h", "loader"))
    manifest = folder / "arm.toml"
    manifest.write_text(manifest.read_text().replace(f'name = "{like}"', f'name = "{name}"', 1))
    return folder


def chosen(*names: str) -> list[Arm]:
    return arm.choose(ARMS, names)


def test_a_word_with_a_slash_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(tmp_path / "lab", "mine")
    monkeypatch.chdir(tmp_path)
    for word in (str(folder), "lab/mine", "./lab/mine/", "lab/../lab/mine"):
        none, mine = chosen("none", word)
        assert (mine.name, mine.outside) == ("mine", folder)
        assert (none.outside, none.place) == (None, "guest/arms/none")
        assert (mine.folder, mine.place) == ("mine", str(folder))


def test_a_tilde_is_the_home_which_no_shell_sees_to_behind_a_comma(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert chosen("~/mine")[0].outside == tmp_path / "mine"


def test_a_path_into_guest_arms_is_the_arm_of_that_name() -> None:
    assert chosen(f"{ARMS}/xdp", "xdp") == chosen("xdp")


def test_no_such_folder() -> None:
    with pytest.raises(UsageError) as caught:
        chosen("nowhere/mine")
    assert caught.value.message == "there is no folder nowhere/mine"
    assert caught.value.hint.endswith(f"without one it is a name: {KNOWN}")
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("word", ["/" + "x" * 5000, "~nobody-of-that-name/x", "//"])
def test_words_that_no_file_system_takes(word: str) -> None:
    with pytest.raises(UsageError):
        chosen(word)


def test_a_folder_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        chosen(str(tmp_path))
    assert caught.value.message == f"{tmp_path} is no arm: it has no arm.toml"
    assert "`testbed handout --starter DIR`" in caught.value.hint


@pytest.mark.parametrize("kind", ["folder", "pipe", "device"])
def test_a_manifest_that_is_no_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "arm.toml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises(UsageError) as caught:
        chosen(str(tmp_path))
    assert caught.value.message == f"{path} is no plain file"


@pytest.mark.parametrize("name", ["xdp", "include"])
def test_a_name_that_guest_arms_has_already(tmp_path: Path, name: str) -> None:
    """`include` would even have the shared headers in the server replaced."""
    folder = put(tmp_path, name)
    with pytest.raises(UsageError) as caught:
        chosen(str(folder))
    assert caught.value.message == f"{folder}: guest/arms has a folder {name!r} of its own"


def test_two_folders_of_one_name(tmp_path: Path) -> None:
    one, other = put(tmp_path / "a", "mine"), put(tmp_path / "b", "mine")
    assert len(chosen(str(one), str(one))) == 1
    with pytest.raises(UsageError) as caught:
        chosen(str(one), str(other))
    assert caught.value.message == f"two arms are called 'mine': {one} and {other}"


def test_where_an_arm_lies_is_in_no_manifest_and_in_no_record(tmp_path: Path) -> None:
    folder = put(tmp_path, "mine")
    assert "outside" not in chosen(str(folder))[0].model_dump(mode="json")
    manifest = folder / "arm.toml"
    manifest.write_text(manifest.read_text().replace("schema = 1", 'schema = 1\noutside = "/etc"'))
    with pytest.raises(ConfigError, match="outside: unknown key"):
        chosen(str(folder))


def test_controls_of_an_arm_from_outside_use_its_sources(tmp_path: Path) -> None:
    made = arm.with_controls(chosen("none", str(put(tmp_path, "mine"))))
    assert [one.name for one in made] == ["none", "mine", "mine-unmatched", "mine-again"]
    assert {one.folder for one in made[1:]} == {"mine"}
    assert {one.outside for one in made[1:]} == {tmp_path / "mine"}


@pytest.fixture
def build(checkout: Path, account: Account, quiet: Terminal) -> Callable[..., None]:
    """A function that puts and builds arms in the server, as every command does first."""
    lab = Lab(checkout, quiet, Config())

    def prepared(world: World, *names: str) -> None:
        wanted = Wanted.read(checkout, arm.choose(checkout / "guest/arms", names))
        demand_built(prepare(lab, world.guests["server"], wanted))

    return prepared


Build = Callable[..., None]


def test_it_is_pushed_and_built_once_until_it_changes(build: Build, tmp_path: Path) -> None:
    folder = put(tmp_path, "mine")
    (folder / ".git").mkdir()
    (folder / "redirect.bpf.o").write_bytes(b"built here")
    world = World()
    machine = world.machines["server"]
    for _ in range(2):
        build(world, "xdp", str(folder))
    (pushed,) = machine.pushed
    assert sorted(name for name in pushed if name.startswith("arms/mine/")) == [
        "arms/mine/Makefile", "arms/mine/arm.toml", "arms/mine/redirect.bpf.c",
    ]  # fmt: skip
    lines = [step.line for step in world.steps if "build.sh mine" in step.line]
    assert len(lines) == 1
    first = machine.lies["arms/mine/object"]
    (folder / "redirect.bpf.c").write_text("int changed;\n")
    build(world, str(folder))
    assert len(machine.pushed) == 2
    assert machine.lies["arms/mine/object"] != first


def test_an_arm_from_outside_that_needs_no_build_is_pushed_all_the_same(
    build: Build, tmp_path: Path
) -> None:
    folder = put(tmp_path, "mine")
    manifest = folder / "arm.toml"
    manifest.write_text(manifest.read_text().replace('build = [["make"]]', "build = []"))
    world = World()
    build(world, str(folder))
    lies = world.machines["server"].lies
    assert "arms/mine/redirect.bpf.c" in lies and "arms/mine/object" not in lies


def test_what_an_earlier_command_brought_is_known_by_what_it_left(
    build: Build, tmp_path: Path
) -> None:
    """So that a killed check of a student's arm is undone by the next command, whatever it is."""
    world = World()
    machine, server = world.machines["server"], world.guests["server"]
    build(world, "xdp", str(put(tmp_path, "mine")), str(put(tmp_path, "spoilt")))
    machine.files[f"{SOURCES}/arms/spoilt/arm.toml"] = "no manifest"
    build(world, "xdp")
    found = building.built(server, arm.choose(ARMS, arm.known(ARMS)))
    assert [one.name for one in found] == ["xdp", "mine"]
    machine.hooks.add("mine")
    Hook(found[-1], world.guests["server"], NetworkConfig()).unload()
    assert machine.hooks == set()


def test_an_arm_that_does_not_build_names_its_own_folder(build: Build, tmp_path: Path) -> None:
    folder = put(tmp_path, "mine")
    rehearsal = World()
    build(rehearsal, str(folder))
    line = next(step for step in rehearsal.steps if "build.sh mine" in step.line)
    with pytest.raises(ArmError) as caught:
        build(World(rehearsal.fault_at(line, "refused")), str(folder))
    assert caught.value.hint.endswith(f"sources: {folder}/")
    assert caught.value.detail == "its own words"
