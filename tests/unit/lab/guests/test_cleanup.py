# SPDX-License-Identifier: Apache-2.0
"""Whatever goes wrong, and whenever: nothing runs on, no hook stays, no trial is lost."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.files.store import RunDir
from testbed.edge.output.terminal import Terminal
from testbed.lab.experiment.trials import Experiment
from testbed.lab.guests import cleanup
from testbed.lab.guests.hook import Hook
from testbed.model import arm as arms
from testbed.model.config import NetworkConfig
from testbed.model.errors import ArmError, GuestError, NoAnswer, TestbedError
from testbed.model.plan import Plan, under
from tests.unit.factories.fakes import Fault, World
from tests.unit.lab.experiment.test_trial_order import (
    ARMS,
    HOST,
    QUICK,
    STOP_ALL,
    XDP,
    XDP_LOADER,
    short,
)

pytestmark = pytest.mark.usefixtures("waited")
UNLOAD = f"{XDP_LOADER} unload --interface lab0"
FILES = {
    "after.json", "before.json", "client.json", "client.txt", "hook-after.json",
    "hook-before.json", "host.json", "kernel-log.jsonl", "mpstat.json", "server.json",
    "server.txt", "trial.json",
}  # fmt: skip
# Every step of a trial, by its line and how often that was there in this trial before it.
STEPS = [
    (lane, line, lines[:place].count(line))
    for lane, lines in XDP.items() for place, line in enumerate(lines)
]  # fmt: skip


def two_trials(world: World, folder: Path) -> Experiment:
    """Return a trial without a hook, and one with `xdp`."""
    chosen = {arm.name: arm for arm in arms.choose(ARMS, ["none", "xdp"])}
    both = under(QUICK.bench, ["none", "xdp"])
    plan = Plan(1, both, (both,))
    return Experiment(QUICK, plan, chosen, world.guests, HOST, RunDir(folder), Terminal(-1))


def test_every_step_of_the_second_trial_is_met(tmp_path: Path) -> None:
    world = World()
    two_trials(world, tmp_path).run()
    for lane, lines in XDP.items():
        met = [short(line) for line in world.lanes()[lane]]
        for line in set(lines):
            assert met.count(line) == earlier(line, lines) + lines.count(line)


def earlier(line: str, lines: list[str]) -> int:
    """How often the trial before, one without a hook, has this line, too."""
    return 0 if "/arms/xdp" in line else lines.count(line)


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("kind", ["lost", "broken", "ctrl-c"])
@pytest.mark.parametrize(
    ("lane", "line", "nth"), STEPS,
    ids=[f"{lane}: {line.rpartition('/')[2][:24]} {nth}" for lane, line, nth in STEPS],
)  # fmt: skip
def test_a_fault_at_any_step_leaves_nothing(
    tmp_path: Path, lane: str, line: str, nth: int, kind: str
) -> None:
    before = earlier(line, XDP[lane])
    world = World(Fault(lane, before + nth, kind, line))
    expected = KeyboardInterrupt if kind == "ctrl-c" else TestbedError
    with pytest.raises(expected) as caught:
        two_trials(world, tmp_path).run()
    assert [short(said) for said in world.lanes()[lane]].count(line) > before + nth
    if isinstance(caught.value, TestbedError):
        assert f"connection {kind}" in f"{caught.value.message} {caught.value.detail}"

    # Nothing runs, no hook is loaded, and nothing was waited for.
    assert world.stuck == []
    assert (world.units, world.hooks) == (set(), set())

    # Undone in this order: the units of each machine, then a hook that the trial has not unloaded.
    lanes = world.lanes()
    assert lanes["client, beside"][-1] == STOP_ALL
    ends = lanes["server, beside"]
    assert ends.count(STOP_ALL) >= 2
    loaded = any(f"{XDP_LOADER} load " in said for said in lanes["server"])
    if loaded and UNLOAD not in lanes["server"]:
        assert ends[-1] == UNLOAD
        assert ends.count(UNLOAD) == 1
    elif line != UNLOAD:
        assert ends[-1] == STOP_ALL

    # What was finished stays, what was not is no trial.
    assert {path.name for path in (tmp_path / "raw/01-none").iterdir()} == FILES
    assert not (tmp_path / "raw/01-xdp/trial.json").exists()
    assert not (tmp_path / "manifest.json").exists()


@pytest.fixture
def hook() -> Callable[[World], Hook]:
    """A function that returns the arm `xdp` on the server of a world, loaded."""

    def loaded(world: World) -> Hook:
        world.hooks.add("xdp")
        for machine in world.machines.values():
            machine.units |= {"testbed-client", "testbed-mpstat", "testbed-server"}
        return Hook(arms.load(ARMS / "xdp"), world.guests["server"], NetworkConfig(), loaded=True)

    return loaded


def clean(world: World, hook: Hook) -> None:
    cleanup.clean(world.guests["server"], world.guests["client"], hook)


@pytest.mark.parametrize(
    ("lane", "number", "left_units", "left_hooks", "error"),
    [
        ("client, beside", 0, {"client"}, set(), GuestError),
        ("server, beside", 0, {"server"}, set(), GuestError),
        ("server, beside", 1, set(), {"xdp"}, NoAnswer),
    ],
    ids=["client's units", "server's units", "hook"],
)
def test_each_is_undone_even_if_another_fails(
    hook: Callable[[World], Hook], lane: str, number: int, left_units: set[str],
    left_hooks: set[str], error: type[TestbedError],
) -> None:  # fmt: skip
    world = World(Fault(lane, number, "lost"))
    with pytest.raises(error):
        clean(world, hook(world))
    assert {unit.partition(":")[0] for unit in world.units} == left_units
    assert world.hooks == left_hooks


@pytest.mark.usefixtures("ctrl_c_works")
def test_ctrl_c_while_undoing_lets_it_finish_and_is_not_forgotten(
    hook: Callable[[World], Hook],
) -> None:
    world = World(Fault("server, beside", 0, "ctrl-c"))
    mine = hook(world)
    with pytest.raises(KeyboardInterrupt):
        clean(world, mine)
    assert (world.units, world.hooks) == (set(), set())
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("ctrl_c_works")
def test_ctrl_c_works_again_after_a_failed_undoing(hook: Callable[[World], Hook]) -> None:
    world = World(Fault("server, beside", 1, "refused"))
    with pytest.raises(ArmError) as caught:
        clean(world, hook(world))
    assert (caught.value.message, caught.value.detail) == (
        "arm xdp does not unload", "its own words",
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)


def test_undoing_works_in_another_thread(hook: Callable[[World], Hook]) -> None:
    world = World()
    thread = threading.Thread(target=clean, args=(world, hook(world)))
    thread.start()
    thread.join()
    assert (world.units, world.hooks) == (set(), set())


def test_a_sweep_goes_on_and_tells_what_is_left() -> None:
    world = World(Fault("server, beside", 1, "refused"))
    world.hooks.update({"xdp", "netfilter"})
    server, client = world.guests["server"], world.guests["client"]
    chosen = arms.choose(ARMS, ["xdp", "netfilter", "none"])
    left = cleanup.sweep(server, client, chosen, NetworkConfig())
    (stays,) = world.hooks  # they are unloaded side by side: either may be the refused one
    assert left == [f"arm {stays} does not unload"]


def test_an_arm_that_cannot_be_unloaded_and_is_not_loaded_is_not_left() -> None:
    world = World(Fault("server, beside", 1, "refused"))
    server, client = world.guests["server"], world.guests["client"]
    assert cleanup.sweep(server, client, arms.choose(ARMS, ["xdp"]), NetworkConfig()) == []


# The same through `testbed bench`, with everything that comes before and after the trials.


@pytest.fixture
def bench(bench_line: Callable[..., Any]) -> Callable[..., Any]:
    """A function that runs `testbed bench` in a world."""

    def run(world: World, *words: str, trials: str = "1") -> Any:
        return bench_line(world, *words, "--trials", trials, "--seed", "7")

    return run


def run_of(checkout: Path) -> Path:
    return (checkout / "results/latest").resolve()


def test_a_whole_run(bench: Callable[..., Any], checkout: Path) -> None:
    world = World()
    said = bench(world, "--xdp")
    assert (said.status, said.err) == (0, "")
    run = run_of(checkout)
    manifest = json.loads((run / "manifest.json").read_text())
    assert (manifest["status"], manifest["run_id"]) == ("complete", run.name)
    assert manifest["accelerator"] == "emulation"
    assert manifest["command"] == [
        "testbed", "-q", "bench", "--xdp", "--trials", "1", "--seed", "7",
    ]  # fmt: skip
    plan = json.loads((run / "plan.json").read_text())
    assert (plan["seed"], sorted(plan["blocks"][0])) == (7, ["none", "xdp"])
    assert sorted(arm["name"] for arm in plan["arms"]) == ["none", "xdp"]
    there = {str(p.relative_to(run)) for p in run.rglob("*") if p.is_file()}
    there -= {"manifest.json", "testbed.log"}
    assert set(manifest["files"]) == there
    assert {f"raw/01-{arm}/{name}" for arm in ("none", "xdp") for name in FILES} <= there
    assert {f"facts/{role}-{when}.json" for role in ("client", "server")
            for when in ("before", "after")} <= there  # fmt: skip
    assert [len(machine.pushed) for machine in world.machines.values()] == [1, 1]
    assert (world.units, world.hooks) == (set(), set())


def test_the_second_run_pushes_and_builds_nothing(bench: Callable[..., Any]) -> None:
    world = World()
    bench(world, "--xdp")
    before = len(world.steps)
    assert bench(world, "--xdp").status == 0
    again = [step.line for step in world.steps[before:]]
    assert not [line for line in again if line.endswith("build.sh")]
    assert [len(machine.pushed) for machine in world.machines.values()] == [1, 1]
    assert [line for line in (step.line for step in world.steps[:before]) if "build.sh" in line]


def fault_at(rehearsal: World, words: str, kind: str, nth: int = 0) -> Fault:
    return rehearsal.fault_at([s for s in rehearsal.steps if words in s.line][nth], kind)


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize(("kind", "status"), [("lost", 5), ("ctrl-c", 130)])
@pytest.mark.parametrize(
    ("words", "nth"),
    [("setup/client.sh", 0), ("build.sh", 0), ("--facts", 0), ("--facts", -1), ("snapshot.py", 3)],
    ids=["setting up", "building", "facts before", "facts after", "in a trial"],
)
def test_a_run_that_is_cut_off_is_incomplete(
    bench: Callable[..., Any], checkout: Path, words: str, nth: int, kind: str, status: int
) -> None:
    rehearsal = World()
    bench(rehearsal, "--xdp")
    complete = run_of(checkout)
    world = World(fault_at(rehearsal, words, kind, nth))
    said = bench(world, "--xdp")
    assert said.status == status
    assert "Traceback" not in said.err
    assert (world.units, world.hooks, world.stuck) == (set(), set(), [])
    runs = [p for p in (checkout / "results").iterdir() if p.name not in {"latest", complete.name}]
    assert not [run for run in runs if (run / "manifest.json").exists()]
    assert (complete / "manifest.json").exists()
    assert bench(World(), "--xdp").status == 0, "the lock is still held"


def test_a_hook_left_by_a_killed_run_is_not_measured_by_the_next(
    bench: Callable[..., Any],
) -> None:
    """A stale Netfilter hook of any arm would take the packets before they get to XDP's test."""
    world = World()
    bench(world, "--arms", "netfilter-logging")
    world.hooks.add("netfilter-logging")
    assert bench(world, "--arms", "xdp").status == 0
    assert world.hooks == set()


def test_a_source_that_does_not_build(bench: Callable[..., Any], checkout: Path) -> None:
    rehearsal = World()
    bench(rehearsal, "--xdp")
    world = World(fault_at(rehearsal, "build.sh", "refused"))
    said = bench(world, "--xdp")
    assert said.status == 6
    assert said.err == (
        "its own words\n"
        "testbed: arm xdp does not build\n"
        "  → its own words are above; sources: guest/arms/xdp/\n"
    )
    assert bench(World(), "--xdp").status == 0
    assert len(list((checkout / "results").glob("2*/manifest.json"))) == 2


def test_a_program_that_the_verifier_rejects(bench: Callable[..., Any]) -> None:
    rehearsal = World()
    bench(rehearsal, "--xdp")
    world = World(fault_at(rehearsal, "loader load", "refused"))
    said = bench(world, "--xdp")
    assert said.status == 6
    assert said.err == (
        "its own words\n"
        "testbed: arm xdp does not load\n"
        "  → the words above are its own; guest/arms/xdp/arm.toml has the commands\n"
    )
    assert (world.units, world.hooks, world.stuck) == (set(), set(), [])


def test_a_run_until_precise_grows_two_blocks_at_a_time(
    bench: Callable[..., Any], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([(False, None), (False, 0.04), (True, 0.03)])
    monkeypatch.setattr(
        "testbed.analysis.conclusions.until_precise.reached", lambda *_: next(looks)
    )
    said = bench(World(), "--xdp", "--until-precise", "5%", trials="2")
    assert said.status == 0
    plan = json.loads((run_of(checkout) / "plan.json").read_text())
    assert len(plan["blocks"]) == 6
    assert plan["until_precise"] == {"target": 0.05, "min_blocks": 2, "max_blocks": 40}
    assert len(list((run_of(checkout) / "raw").iterdir())) == 12
    manifest = json.loads((run_of(checkout) / "manifest.json").read_text())
    assert manifest["status"] == "complete"


def test_a_run_that_never_gets_precise_stops_at_its_maximum(
    bench: Callable[..., Any], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "testbed.analysis.conclusions.until_precise.reached", lambda *_: (False, 0.2)
    )
    words = ("--xdp", "--until-precise", "5%", "--max-blocks", "3")
    assert bench(World(), *words, trials="2").status == 0
    assert len(json.loads((run_of(checkout) / "plan.json").read_text())["blocks"]) == 3
