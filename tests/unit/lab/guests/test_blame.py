# SPDX-License-Identifier: Apache-2.0
"""Whatever an arm does to its server, it is the arm that is named, with its own last words."""

from pathlib import Path
from typing import Any

import pytest

from testbed.edge.files.store import RunDir
from testbed.edge.hypervisor.libvirt import Domains
from testbed.edge.hypervisor.states import OFF, PAUSED, RUNNING
from testbed.edge.output.terminal import Terminal
from testbed.lab.gate.examining import run_gate
from testbed.lab.guests import cleanup
from testbed.lab.guests.blame import blamed, wrecks_shut_off
from testbed.lab.guests.console import Watch
from testbed.lab.guests.hook import Hook
from testbed.model import arm as arms
from testbed.model.config import Config, NetworkConfig
from testbed.model.errors import ArmError, ExitCode, HostError, NoAnswer, Wrecked
from tests import PROJECT
from tests.unit.factories import gate_arms
from tests.unit.factories.fakes import Fault, World

ARMS = PROJECT / "guest/arms"
OOPS = "BUG: kernel NULL pointer dereference, address: 8\nOops: 0002 [#1] PREEMPT SMP\n"
LOAD, VERIFY = "insmod redirect_nf.ko", "verify-module.sh"
LATE = {"status": -9, "late": True, "stdout": "", "stderr": ""}
STUCK = {"status": -9, "late": True, "stuck": "rmmod, state D, in the kernel:\nmsleep+0x2d\n"}


def hook_of(world: World, tmp_path: Path, state: str = RUNNING, name: str = "netfilter") -> Hook:
    server = world.guests["server"]
    server.watch = Watch(tmp_path / "console", 0, lambda: state)
    return Hook(arms.load(ARMS / name), server, NetworkConfig())


def failing(word: str, answer: dict[str, Any]) -> World:
    world = World()
    world.machines["server"].answers[word] = answer
    return world


def test_an_oops_while_it_is_loaded(tmp_path: Path) -> None:
    world = failing(LOAD, {"status": 137, "stdout": "", "stderr": "Killed\n"})
    hook = hook_of(world, tmp_path)
    (tmp_path / "console").write_text(OOPS)
    with pytest.raises(Wrecked) as caught, blamed(hook):
        try:
            hook.load()
        finally:
            hook.unload()  # undoing is not what did it
    assert caught.value.message == "arm netfilter: the server's kernel had an oops in its `load`"
    assert caught.value.detail == f"Killed\n\n{OOPS.strip()}"
    assert caught.value.exit_code is ExitCode.ARM
    assert not hook.loaded  # nothing can unload it


def test_a_panic_while_packets_come(tmp_path: Path) -> None:
    hook = hook_of(World(), tmp_path)
    hook.load()
    (tmp_path / "console").write_text("Kernel panic - not syncing: in the hook\n")
    with pytest.raises(Wrecked, match="kernel panicked while it was loaded"), blamed(hook):
        raise NoAnswer("server: the connection broke")


@pytest.mark.parametrize(
    ("given_up", "state", "at_load", "said"),
    [
        (True, RUNNING, False, "does not answer any more, while it was loaded"),
        (True, PAUSED, False, None),
        (False, RUNNING, True, "is not there any more, in its `load`"),
        (False, OFF, True, "is not there any more, in its `load`"),
        (False, OFF, False, None),  # QEMU was killed in mid-traffic
    ],
)
def test_a_server_that_is_silent(
    tmp_path: Path, given_up: bool, state: str, at_load: bool, said: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("testbed.lab.guests.blame.SEEN_S", 0.0)
    world = World(Fault("server", 0, "lost", "cd ") if at_load else None)
    hook = hook_of(world, tmp_path, state)
    world.machines["server"].given_up = given_up
    with pytest.raises(NoAnswer if said is None else Wrecked) as caught, blamed(hook):
        hook.load()
        raise NoAnswer("server: the connection broke")
    if said is not None:
        assert caught.value.message == f"arm netfilter: the server {said}"


@pytest.mark.parametrize("step", ["verify", "count", "unload"])
def test_a_server_that_was_killed_is_not_the_fault_of_the_step_that_notices(
    tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("testbed.lab.guests.blame.SEEN_S", 0.0)
    hook = hook_of(World(), tmp_path, OFF)
    with pytest.raises(NoAnswer), blamed(hook):
        hook.load()
        hook.step = step
        raise NoAnswer("server: the connection broke")


def test_what_happens_before_an_arm_is_loaded_is_not_its_fault(tmp_path: Path) -> None:
    (tmp_path / "console").write_text(OOPS)
    for name in ("netfilter", "none"):
        hook = hook_of(World(), tmp_path, name=name)
        with pytest.raises(NoAnswer), blamed(hook):
            if name == "none":
                hook.load()
            raise NoAnswer("server: the connection broke")


@pytest.mark.parametrize("step", ["load", "verify", "count", "unload"])
def test_a_step_without_an_end(tmp_path: Path, step: str) -> None:
    words = {"load": LOAD, "verify": VERIFY, "count": "/hits", "unload": "rmmod"}
    for answer, kind in ((LATE, ArmError), (STUCK, Wrecked)):
        hook = hook_of(failing(words[step], answer), tmp_path)
        with pytest.raises(kind) as caught, blamed(hook):
            {"count": hook.hits}.get(step, getattr(hook, step, None))()
        assert type(caught.value) is kind
        said = f"arm netfilter: its `{step}` did not end within 30 s"
        assert caught.value.message.startswith(said)
    assert caught.value.message == f"{said} and cannot be killed: it waits in the kernel"
    assert caught.value.detail == "rmmod, state D, in the kernel:\nmsleep+0x2d"


def test_a_step_that_prints_too_much(tmp_path: Path) -> None:
    said = {"status": -9, "stdout": "y\n" * (1 << 19), "stderr": "", "cut": True}
    hook = hook_of(failing("/hits", said), tmp_path)
    with pytest.raises(ArmError) as caught:
        hook.hits()
    assert caught.value.message == (
        "arm netfilter: its `count` printed more than 1 MiB and was ended"
    )
    assert caught.value.detail == "y\ny\ny\n… the same line 524,285 times more …"


def test_an_init_that_fails_shows_what_the_module_said(tmp_path: Path) -> None:
    world = failing(LOAD, {"status": 1, "stdout": "", "stderr": "insmod: Invalid parameters\n"})
    log = {"status": 0, "stdout": "[   61.2] m: no such thing here: 42\n", "stderr": ""}
    world.machines["server"].answers["dmesg"] = log
    hook = hook_of(world, tmp_path)
    with pytest.raises(ArmError) as caught, blamed(hook):
        hook.load()
    assert caught.value.message == "arm netfilter does not load"
    assert caught.value.detail == (
        "insmod: Invalid parameters\n--- kernel log\n[   61.2] m: no such thing here: 42"
    )


# The gate


def gate(world: World, folder: Path, *names: str, failed: dict[str, ArmError] | None) -> None:
    chosen = arms.choose(ARMS, names)
    terminal = Terminal(-1)
    run_gate(world.guests, chosen, Config(), RunDir(folder), terminal, gate_arms.SEED, failed)


def test_a_failing_unload_does_not_hide_why_it_does_not_load(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    world = failing(LOAD, {"status": 1, "stdout": "", "stderr": "its own words"})
    answers = world.machines["server"].answers
    answers["rmmod"] = {"status": 1, "stdout": "", "stderr": "unload fails"}
    with pytest.raises(ArmError) as caught:
        gate(world, tmp_path, "netfilter", failed=None)
    assert (caught.value.message, caught.value.detail) == (
        "arm netfilter does not load", "its own words"
    )  # fmt: skip
    assert "! afterwards: arm netfilter does not unload" in capsys.readouterr().err
    assert world.units == set()


@pytest.mark.parametrize(("answer", "left"), [(LATE, True), (STUCK, False)])
def test_the_others_have_their_turn_unless_the_server_was_wrecked(
    tmp_path: Path, answer: dict[str, Any], left: bool
) -> None:
    world = failing(LOAD, answer)
    failed: dict[str, ArmError] = {}
    if left:
        world.machines["server"].answers["loader load"] = answer
        gate(world, tmp_path, "netfilter", "xdp", failed=failed)
    else:
        with pytest.raises(Wrecked):
            gate(world, tmp_path, "netfilter", "xdp", failed=failed)
    assert list(failed) == (["netfilter", "xdp"] if left else ["netfilter"])


def test_what_an_earlier_command_left_stuck_ends_the_next_one(tmp_path: Path) -> None:
    world = failing("rmmod", STUCK)
    left = [hook_of(world, tmp_path).arm]
    with pytest.raises(Wrecked):
        cleanup.sweep(world.guests["server"], world.guests["client"], left, NetworkConfig())


# The plug


@pytest.mark.parametrize(
    ("state", "failure", "asked", "hint"),
    [
        (RUNNING, None, ["stop server"], "the server was shut off: `testbed up` starts it again, "
         "which is the only cure"),
        (OFF, None, [], "the server was shut off: `testbed up` starts it again, which is the only "
         "cure"),
        (RUNNING, HostError("libvirt is away"), ["stop server"], "the server could not be shut off "
         "(the server could not be stopped): only a new start ends that: `testbed down "
         "--destroy`, "
         "then `testbed up`"),
    ],
)  # fmt: skip
def test_a_wrecked_server_is_shut_off(
    monkeypatch: pytest.MonkeyPatch, state: str, failure: Exception | None, asked: list[str],
    hint: str,
) -> None:  # fmt: skip
    said: list[str] = []

    def stop(_: Domains, role: str) -> None:
        said.append(f"stop {role}")
        if failure is not None:
            raise failure

    monkeypatch.setattr(Domains, "states", lambda _: {"server": state})
    monkeypatch.setattr(Domains, "stop", stop)
    domains: Any = Domains(None, "tb-")  # type: ignore[arg-type]
    with pytest.raises(Wrecked) as caught, wrecks_shut_off(domains):
        raise Wrecked("arm x: the server's kernel panicked while it was loaded")
    assert (said, caught.value.hint) == (asked, hint)
    with pytest.raises(ArmError) as other, wrecks_shut_off(domains):
        raise ArmError("arm x does not load")
    assert said == asked and "shut off" not in other.value.hint
