# SPDX-License-Identifier: Apache-2.0
"""The gate on two pretended machines: what it sends again, what it leaves, and undoing it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.gate.files import outcomes_of
from testbed.edge.files.store import RunDir
from testbed.edge.output.terminal import Terminal
from testbed.lab.gate.examining import run_gate
from testbed.lab.gate.frames import FrameSet
from testbed.model import arm as arms
from testbed.model.config import Config
from testbed.model.errors import GuestError, TestbedError
from testbed.packets import capture
from testbed.packets.case import MUST_COME_OUT
from tests import PROJECT
from tests.unit.factories import gate_arms, gate_stack
from tests.unit.factories.fakes import Fault, Machine, World, reached

EVERYTHING = 60000
ARMS = PROJECT / "guest/arms"
NONE, XDP = ("none", "xdp")
pytestmark = pytest.mark.usefixtures("waited")


@dataclass
class Link(Machine):
    """A machine that sends crafted frames, or captures what a simulated arm makes of them."""

    stored: dict[str, bytes] = field(default_factory=dict)
    losing: list[frozenset[int]] = field(default_factory=list)  # by round, then nothing
    came: gate_stack.Stack | None = None
    damaged: bool = False
    counted: bool = True
    packets: int = 0  # what lab0 has sent, or received

    @property
    def frames(self) -> FrameSet:
        """The sources of the frames that were sent."""
        return gate_arms.sent(direct=not self.world.hooks)

    def put(self, stream: Any, path: str) -> None:
        self.stored[path.removesuffix(".new")] = stream.read()

    def _one(self, argv: list[str], arm: str, *, broken: bool) -> tuple[int, str]:
        if argv[:2] == ["test", "-f"]:
            return (0, "") if argv[2] in self.stored else (1, "")
        if any("/statistics/" in word for word in argv):
            more = "00000000 00000002 00000000\n" * argv[-1].endswith("softnet_stat")
            return (0, f"{self.packets}\n{more}") if self.counted else (1, "")
        return super()._one(argv, arm, broken=broken)

    def _answer(self, line: str, words: dict[str, Any], *, broken: bool) -> dict[str, Any]:
        if words.get("program") == "gate":
            if "send" in words["arguments"]:
                self._cross(words["arguments"])
            else:
                self.came = gate_stack.Stack(gate_arms.nothing)
        return super()._answer(line, words, broken=broken)

    def _cross(self, argv: list[str]) -> None:
        server = self.world.machines["server"]
        assert isinstance(server, Link) and server.came is not None, "nothing captures yet"
        server.came.arm = gate_arms.correct if server.hooks else gate_arms.nothing
        only = set(argv[argv.index("--only") + 1].split(",")) if "--only" in argv else set()
        lost = self.losing.pop(0) if self.losing else frozenset()
        owner = {place: number for number, places in self.frames.sending.places.items()
                 for place in places}  # fmt: skip
        every = capture.read(self.stored[argv[argv.index("--frames") + 1]], capture.ETHERNET)
        for place, frame in enumerate(every):
            number = owner.get(place)  # None: an end marker
            times = 20 if number is None else not only or str(place) in only
            self.packets += times
            if times and number not in lost and (number or len(lost) < EVERYTHING):
                server.packets += times
                server.came.receive(frame)

    def _trial_files(self) -> dict[str, bytes]:
        assert self.came is not None
        files = {}
        for name in ("namespace", "root"):
            content = capture.write(getattr(self.came, name), capture.RAW_IP)
            files[f"{name}.pcap"] = content[:-20] if self.damaged else content
        return {**files, "capture.json": b'{"drops": 0}'}


def world_of(fault: Fault | None = None) -> World:
    world = World(fault)
    for role in ("client", "server"):
        world.machines[role] = Link(role, world)
        world.guests[role] = reached(world.machines[role])
    return world


def client_of(world: World) -> Link:
    client = world.machines["client"]
    assert isinstance(client, Link)
    return client


def run(world: World, folder: Path, *names: str) -> None:
    chosen = arms.choose(ARMS, names)
    run_gate(world.guests, chosen, Config(), RunDir(folder), Terminal(-1), gate_arms.SEED)


def sends(world: World) -> list[str]:
    return [line for line in world.lanes()["client"] if "gate.py send" in line]


def test_every_arm_is_sent_everything_once(tmp_path: Path) -> None:
    world = world_of()
    run(world, tmp_path, NONE, XDP, "xdp-bounded-csum")
    outcomes = outcomes_of(tmp_path, [NONE, XDP])
    assert [outcome.mismatches for outcome in outcomes.values()] == [0, 0]
    assert [outcome.unseen for outcome in outcomes.values()] == [0, 0]
    assert [outcome.direct for outcome in outcomes.values()] == [True, False]
    assert outcomes[NONE].hits.counted is None and outcomes[XDP].hits.counted == 0
    assert len(sends(world)) == 3 and not any("--only" in line for line in sends(world))
    assert len(client_of(world).stored) == 2  # one file each for direct and not, given once
    assert (world.units, world.hooks, world.stuck) == (set(), set(), [])
    names = {path.name for path in (tmp_path / "gate/xdp").iterdir()}
    assert names == {"gate.json", "sent.pcap.gz", "namespace.pcap.gz", "root.pcap.gz"}


@pytest.mark.parametrize(
    ("arm", "lines", "told"),
    [(XDP, 1730, True), (XDP, 10, False), (NONE, 1730, False), ("netfilter-logging", 1730, False)],
)
def test_what_the_kernel_says_of_a_hook_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arm: str, lines: int, told: bool
) -> None:
    """An arm that warns once a packet does the same work; an exhibit logs by design."""
    world = world_of()
    log = f"{lines}\n[  61.2] WARNING: CPU: 0 PID: 0 at hook.c:7\n"
    world.machines["server"].answers["dmesg"] = {"status": 0, "stdout": log, "stderr": ""}
    run(world, tmp_path, arm)
    words = f"! arm {arm}: the kernel logged 1,730 lines while it was loaded: [  61.2] WARNING: "
    assert (words in capsys.readouterr().err) is told


def test_what_the_link_lost_is_sent_again(tmp_path: Path) -> None:
    world = world_of()
    lost = frozenset(range(300, 420))
    client_of(world).losing = [lost, frozenset({350})]
    run(world, tmp_path, XDP)
    first, second, third = sends(world)
    frames = gate_arms.sent()
    nowhere = [c.number for c in frames.cases if c.fate == "nowhere"]
    assert "--only" not in first
    for line, again in ((second, [*lost, *nowhere]), (third, [350, *nowhere])):
        places = sorted(place for number in again for place in frames.sending.places[number])
        assert line.endswith(f"--only {','.join(map(str, places))}")
    outcome = outcomes_of(tmp_path, [XDP])[XDP]
    assert (outcome.rounds, outcome.mismatches, outcome.unseen) == (3, 0, 0)
    assert (outcome.lost, outcome.lost_on_link) == (0, 121)
    record = json.loads((tmp_path / "gate/xdp/gate.json").read_text())
    assert [one["cases"] for one in record["rounds"]] == [
        None, sorted([*lost, *nowhere]), sorted([350, *nowhere])
    ]  # fmt: skip
    assert (record["schema"], record["seed"]) == (2, gate_arms.SEED)
    for one in record["rounds"]:
        (sent, sent_then), (received, received_then) = one["client_sent"], one["server_received"]
        assert sent_then - sent == one["frames"]
        assert one["backlog_drops"] == [2, 2] and one["capture_drops"] == 0
        assert received_then - received in (one["frames"] - 120, one["frames"] - 1, one["frames"])


def test_what_stays_away_is_sent_four_times(tmp_path: Path) -> None:
    world = world_of()
    client_of(world).losing = [frozenset({77})] * 5
    run(world, tmp_path, XDP)
    outcome = outcomes_of(tmp_path, [XDP])[XDP]
    assert (outcome.rounds, outcome.mismatches, outcome.unseen) == (4, 0, 1)  # the link's doing
    assert len(sends(world)) == 4


def test_without_counters_that_alone_tells(tmp_path: Path) -> None:
    world = world_of()
    client_of(world).losing = [frozenset({77})] * 5
    for machine in world.machines.values():
        assert isinstance(machine, Link)
        machine.counted = False
    run(world, tmp_path, XDP)
    outcome = outcomes_of(tmp_path, [XDP])[XDP]
    assert (outcome.rounds, outcome.mismatches, outcome.unseen) == (4, 1, 0)
    assert outcome.lost is None


def test_a_dead_link_is_no_mismatch(tmp_path: Path) -> None:
    world = world_of()
    client_of(world).losing = [frozenset(range(65536))] * 4
    run(world, tmp_path, XDP)
    outcome = outcomes_of(tmp_path, [XDP])[XDP]
    due = sum(case.fate in MUST_COME_OUT for case in outcome.cases)
    assert (outcome.mismatches, outcome.unseen) == (0, due) and outcome.same_work


STEPS = [("server", 0), ("server", 1), ("server", 2), ("server", 3), ("server", 4), ("server", 5),
         ("server", 6), ("client", 0), ("server, beside", 0), ("client, beside", 0),
         ("client, beside", 1), ("client, beside", 2)]  # fmt: skip


@pytest.mark.usefixtures("ctrl_c_works")
@pytest.mark.parametrize("kind", ["broken", "ctrl-c"])
@pytest.mark.parametrize(("lane", "number"), STEPS)
def test_a_fault_at_any_step_leaves_nothing(
    tmp_path: Path, lane: str, number: int, kind: str
) -> None:
    world = world_of(Fault(lane, number, kind))
    expected = KeyboardInterrupt if kind == "ctrl-c" else TestbedError
    with pytest.raises(expected):
        run(world, tmp_path, XDP)
    assert (world.units, world.hooks, world.stuck) == (set(), set(), [])
    assert not (tmp_path / "gate/xdp/gate.json").exists()


def test_a_capture_that_is_damaged(tmp_path: Path) -> None:
    world = world_of()
    server = world.machines["server"]
    assert isinstance(server, Link)
    server.damaged = True
    with pytest.raises(GuestError, match="missing or damaged"):
        run(world, tmp_path, XDP)
    assert (world.units, world.hooks) == (set(), set())
