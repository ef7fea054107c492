# SPDX-License-Identifier: Apache-2.0
"""Builds side by side: as many as the server carries; one that fails ends no other."""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.guests import building, deploy
from testbed.lab.guests.building import room_for, together
from testbed.lab.guests.deploy import Wanted
from testbed.lab.guests.words import shortened
from testbed.model import arm as arms
from testbed.model.config import Config
from testbed.model.errors import ArmError, ExitCode, GuestError, NoAnswer, Wrecked
from tests import PROJECT
from tests.unit.factories.fakes import Machine, World, reached

BOUNDED = PROJECT / "guest/bounded.sh"
ARMS = PROJECT / "guest/arms"
NAMES = ("netfilter", "xdp", "netfilter-logging", "xdp-bounded-csum")


@pytest.mark.parametrize(
    ("cpus", "available_mb", "at_once", "megabytes"),
    [
        (1, 732, 1, 604),  # the server as it is by default, on two cores
        (4, 732, 3, 201),
        (4, 3000, 4, 718),
        (16, 100_000, 16, 6242),
        (4, 90, 1, 200),  # too little for one: it is tried all the same
    ],
)
def test_as_many_builds_as_cpus_and_memory_carry(
    cpus: int, available_mb: int, at_once: int, megabytes: int
) -> None:
    assert room_for(cpus, available_mb) == (at_once, megabytes)


class Busy(Machine):
    """A machine that notes how many builds it has at once."""

    now = 0
    most = 0

    def _build(self, name: str) -> tuple[int, str]:
        Busy.now += 1
        Busy.most = max(Busy.most, Busy.now)
        time.sleep(0.02)
        Busy.now -= 1
        return super()._build(name)


def builds(world: World, *names: str) -> dict[str, ArmError]:
    chosen = [arms.load(ARMS / name) for name in names or NAMES]
    stamps = {arm.folder: "0" * 64 for arm in chosen}
    return building.build(world.guests["server"], chosen, Config(), stamps)


@pytest.mark.parametrize("cpus", [1, 3])
def test_no_more_builds_at_once(cpus: int) -> None:
    world = World()
    machine = Busy("server", world, cpus=cpus)
    world.guests["server"] = reached(machine)
    Busy.now = Busy.most = 0
    assert builds(world) == {}
    assert Busy.most == cpus


def test_one_that_does_not_build_ends_no_other() -> None:
    world = World()
    server = world.machines["server"]
    server.failing = {"xdp": (2, "no xdp today"), "netfilter-logging": (1, "")}
    broken = builds(world)
    assert set(broken) == {"xdp", "netfilter-logging"}
    assert broken["xdp"].message == "arm xdp does not build"
    assert "sources: guest/arms/xdp/" in broken["xdp"].hint
    assert {name for name in server.lies if name.endswith("object")} == {
        "arms/netfilter/object", "arms/xdp-bounded-csum/object",
    }  # fmt: skip
    lines = [step.line for step in world.steps]
    assert "rm -rf /opt/testbed/staged/arms/xdp" in lines  # it may be what filled the disk


def test_a_bound_is_said_in_place_of_the_exit_status(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    server = world.machines["server"]
    server.failing = {"xdp": (124, "sleep 1000\nbounded: it did nothing for 20 s\n")}
    monkeypatch.setattr(server, "_answer", _on_stderr(server._answer))
    error = builds(world, "xdp")["xdp"]
    assert error.message == "arm xdp does not build: it did nothing for 20 s"
    assert error.detail == "sleep 1000"


def _on_stderr(answer: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    def turned(*words: Any, **more: Any) -> dict[str, Any]:
        said = answer(*words, **more)
        return {**said, "stderr": said["stdout"]} if said.get("status") == 124 else said

    return turned


def test_a_server_that_does_not_answer_is_not_the_arms_fault() -> None:
    rehearsal = World()
    builds(rehearsal)
    line = next(step for step in rehearsal.steps if "build.sh xdp " in step.line)
    world = World(rehearsal.fault_at(line, "lost"))
    with pytest.raises(NoAnswer):
        builds(world)
    with pytest.raises(NoAnswer, match="not connected"):  # nor is it logged in to anew
        world.guests["server"].run(["true"])


def test_a_server_that_does_not_tell_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.factories.fakes.AVAILABLE", "")
    with pytest.raises(GuestError, match="does not tell its CPUs and memory"):
        builds(World())


@pytest.mark.usefixtures("ctrl_c_works")
def test_ctrl_c_ends_a_build_and_begins_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    server, closed, begun = world.guests["server"], threading.Event(), list[str]()
    monkeypatch.setattr(server, "close", closed.set)

    def build(name: str) -> tuple[int, str]:
        begun.append(name)
        os.kill(os.getpid(), 2)
        return (0, "") if closed.wait(30) else (1, "it was waited for")

    monkeypatch.setattr(world.machines["server"], "_build", build)
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        builds(world)
    assert time.monotonic() - started < 20
    assert begun == ["netfilter"]


def test_the_errors_of_several_arms_are_told_at_once() -> None:
    one, two = (ArmError(f"arm {name} does not build", detail=name * 2) for name in "ab")
    assert together({"a": one}) is one
    both = together({"a": one, "b": two})
    assert both.message == "2 arms failed: a, b"
    assert both.hint == "why, and what each said, is above"
    assert both.detail == "--- arm a does not build\naa\n\n--- arm b does not build\nbb"
    assert both.exit_code is ExitCode.ARM
    wreck = Wrecked("arm c: the server's kernel panicked", hint="the server was shut off: …")
    assert together({"a": one, "c": wreck}).hint == wreck.hint


def test_a_compilers_words_are_cut_in_the_middle() -> None:
    assert shortened("a\nb") == "a\nb"
    said = shortened("\n".join(str(number) for number in range(1000))).split("\n")
    assert (said[0], said[19], said[20]) == ("0", "19", "… 960 lines left out …")
    assert (said[21], said[-1], len(said)) == ("980", "999", 41)
    assert shortened("y" * 1000) == "y" * 300 + "…"
    assert shortened("y\n" * 1000) == "y\ny\ny\n… the same line 997 times more …"


# guest/bounded.sh, with plain files in place of a control group


def bounded(folder: Path, script: str, **files: str) -> subprocess.CompletedProcess[str]:
    """Run a script within bounds; `files` are what the kernel would have written in the group."""
    group = folder / "one"
    there = {"cpu_stat": "usage_usec 0", "pids_events": "max 0", "memory_events": "low 0"}
    fill = "; ".join(
        f"echo '{text}' > {group}/{name.replace('_', '.')}"
        for name, text in {**there, **files}.items()
    )
    ended = f"until [ -s {group}/cgroup.kill ]; do sleep 0.1; done; exit 137"
    line = f"{fill}; {script.replace('FOREVER', ended)}"
    return subprocess.run(
        ["sh", str(BOUNDED), "one", "200", "sh", "-c", line], capture_output=True, text=True,
        timeout=30, check=False,
        env={**os.environ, "TESTBED_CGROUPS": str(folder), "TESTBED_IDLE_S": "2"},
    )  # fmt: skip


def test_a_command_within_its_bounds(tmp_path: Path) -> None:
    done = bounded(tmp_path, "echo out; echo err >&2; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert (tmp_path / "one/memory.max").read_text() == "200M\n"
    assert (tmp_path / "one/pids.max").read_text() == "256\n"
    assert (tmp_path / "one/cgroup.procs").read_text() == "0\n"
    assert (tmp_path / "one/cgroup.kill").read_text() == "1\n"  # what it left running


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "it did nothing for 2 s"),
        ({"cpu_stat": "usage_usec 151000000"}, "it took more than 150 s of CPU time"),
        ({"pids_events": "max 3"}, "it wanted more than 256 processes at once"),
        ({"memory_events": "low 0\noom_group_kill 1"}, "it took more than 200 MB of memory"),
    ],
)
def test_a_command_beyond_a_bound(tmp_path: Path, files: dict[str, str], said: str) -> None:
    done = bounded(tmp_path, "echo its own words >&2; FOREVER", **files)
    assert done.returncode == 124
    assert done.stderr == f"its own words\nbounded: {said}\n"


def test_builds_of_a_killed_command_are_ended_before_new_sources_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the old build takes the new sources to its own place, and the new one finds none."""
    guest, lines = World().guests["server"], list[str]()
    monkeypatch.setattr(guest, "push", lambda _, line: lines.append(line))
    wanted = Wanted.read(PROJECT, [arms.load(ARMS / "xdp")])
    deploy.push(guest, wanted, ["xdp"])
    (line,) = lines
    assert line.index("cgroup.kill") < line.index("rm -rf /opt/testbed/staged")
    group = tmp_path / "testbed-build-xdp"
    group.mkdir()
    (group / "cgroup.kill").touch()
    script = deploy._END_BUILDS.replace("/sys/fs/cgroup", str(tmp_path))
    subprocess.run(["sh", "-c", f"{script} && echo done"], check=True)
    assert (group / "cgroup.kill").read_text() == "1\n"
    shutil.rmtree(group)
    subprocess.run(["sh", "-c", script], check=True)


def test_a_nic_whose_driver_is_loaded_late_is_waited_for(tmp_path: Path) -> None:
    """A guest's sshd answered before udev had named lab0, once, beside another pair."""
    script = deploy._DRIVER.replace("/sys/class/net", str(tmp_path))
    asked = subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, text=True)
    time.sleep(0.3)
    device = tmp_path / "lab0/device"
    device.mkdir(parents=True)
    (device / "new").write_text("DRIVER=e1000\n")
    (device / "new").rename(device / "uevent")
    assert asked.communicate(timeout=30)[0] == "DRIVER=e1000\n"
