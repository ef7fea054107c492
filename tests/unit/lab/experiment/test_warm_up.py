# SPDX-License-Identifier: Apache-2.0
"""The warm-up: asks for the configured rate, and lowers it until this computer carries it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.edge.files.store import RunDir
from testbed.edge.output.terminal import Terminal
from testbed.lab.experiment.host_load import HostLoad
from testbed.lab.experiment.host_readings import HostReadings
from testbed.lab.experiment.trials import Experiment
from testbed.lab.experiment.warm_up import (
    HEADROOM,
    LESS,
    LONGEST_TRY_S,
    LOWEST_PPS,
    TICK_HZ,
    TRIES,
    Try,
    lowered,
    warm_up,
)
from testbed.model.config import BenchConfig, Config
from testbed.model.plan import WARM_UP, Plan, Trial, under


def readings(*, busy: float, waits: float, ours: float, kvm: bool = False) -> dict[str, Any]:
    """A host's two CPUs around a second of traffic: busy, waited for by the server, machines'."""

    def reading(seconds: float) -> dict[str, Any]:
        cpu = {"name": "CPU 0/KVM" if kvm else "CPU 0/TCG", "run_ns": round(ours * seconds * 5e8),
               "wait_ns": round(waits * seconds * 1e9)}  # fmt: skip
        other = {"name": "qemu", "run_ns": 0, "wait_ns": 0}
        ticks = f"cpu {round(100 * busy * seconds)} 0 0 {round(100 * (2 - busy) * seconds)} 0 0 0 0"
        return {
            "monotonic_ns": [round(seconds * 1e9)] * 2, "own_cpu_ns": 0, "stat": f"{ticks}\n",
            "threads": {role: [cpu, other] for role in ("client", "server")},
        }  # fmt: skip

    return {"traffic": reading(1), "end": reading(2)}


class Heard(Terminal):
    """Keeps what the user is warned of."""

    def __init__(self, heard: list[str]) -> None:
        super().__init__(-1)
        self.heard = heard

    def warn(self, text: str) -> None:
        self.heard.append(text)


class Computer:
    """In place of an Experiment's trials: carries so many packets/s and loses this share."""

    def __init__(
        self,
        folder: Path,
        carries_pps: float,
        *,
        delivers: float = 1.0,
        fills_at_pps: float = 1e9,
        others: float = 0.0,
        **bench: Any,
    ) -> None:
        """`fills_at_pps` leave nothing of the host's CPUs; `others` is what other programs take."""
        self.carries_pps, self.delivers, self.asked = carries_pps, delivers, list[float]()
        self.fills_at_pps, self.others, self.lasted = fills_at_pps, others, list[float]()
        self.heard: list[str] = []
        config = Config.model_validate({"bench": bench})
        none, xdp = under(config.bench, ["none", "xdp"])
        plan = Plan.shuffled([none, xdp], 5, 1, warm_up=[xdp, none])
        self.experiment = Experiment(
            config, plan, {}, {}, HostReadings({}, {}), RunDir(folder), Heard(self.heard)
        )

    def trial(self, experiment: Experiment, trial: Trial) -> None:
        bench = experiment.config.bench
        assert (trial.block, trial.condition.rate) == (WARM_UP, bench.rate_pps)
        assert (bench.settle_s, bench.drain_s) == (0, 0)
        self.asked.append(bench.rate_pps)
        self.lasted.append(bench.duration_s)
        kept = min(bench.rate_pps, self.carries_pps)
        sent = {"offered": 1000, "achieved_pps": kept}
        folder = f"raw/{trial.folder}"
        experiment.run_dir.write_json(f"{folder}/client.json", {"trials": [sent]})
        busy = min(2.0, 2 * kept / self.fills_at_pps + self.others)
        experiment.run_dir.write_json(f"{folder}/host.json", {"readings": readings(
            busy=busy, waits=max(0.0, busy - 1.5), ours=busy - self.others
        )})  # fmt: skip
        came = {"unique": round(1000 * self.delivers)}
        experiment.run_dir.write_json(f"{folder}/server.json", {"trials": [came]})


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs the warm-up on a computer."""

    def run(computer: Computer) -> tuple[BenchConfig, list[dict[str, Any]]]:
        monkeypatch.setattr(Experiment, "trial", lambda e, trial: computer.trial(e, trial))  # noqa: PLW0108 - e is the instance
        after, tries = warm_up(computer.experiment)
        return after.config.bench, tries

    return run


def test_a_computer_that_carries_it_is_asked_once(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 20_000)
    bench, tries = on(computer)
    assert computer.asked == [10_000]
    assert bench == computer.experiment.config.bench
    (only,) = tries
    assert {key: only[key] for key in ("rate_pps", "achieved_pps", "delivered_share")} == {
        "rate_pps": 10_000, "achieved_pps": 10_000, "delivered_share": 1.0,
    }  # fmt: skip
    assert only["host"] == {
        "waiting_share": 0.0, "bound": 0.3, "idle_share": 1.0, "other_cpus": 0.0,
    }  # fmt: skip


def test_a_slow_one_gets_a_rate_that_it_carries_and_as_many_packets(
    tmp_path: Path, on: Any
) -> None:
    computer = Computer(tmp_path, 4300)
    bench, tries = on(computer)
    assert computer.asked == [10_000, 2450]  # 0.6 × 4300 = 2580, to two digits, off the tick
    assert (bench.rate_pps, bench.duration_s) == (2450, 5.0)
    assert [one["achieved_pps"] for one in tries] == [4300, 2450]
    names = sorted(path.name for path in (tmp_path / "raw").iterdir())
    assert names == ["warm-up-1-xdp", "warm-up-2-none"]


def test_the_warm_up_of_a_run_that_goes_on_leaves_the_first_one_alone(
    tmp_path: Path, on: Any
) -> None:
    for name in ("warm-up-1-xdp", "warm-up-12-none", "warm-up-x"):
        (tmp_path / "raw" / name).mkdir(parents=True)
    (tmp_path / "raw/warm-up-1-xdp/client.json").write_text("of the first part")
    on(Computer(tmp_path, 20_000))
    assert (tmp_path / "raw/warm-up-1-xdp/client.json").read_text() == "of the first part"
    assert (tmp_path / "raw/warm-up-13-xdp/client.json").exists()


def test_lost_packets_lower_it_too(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 20_000, delivers=0.98)
    bench, tries = on(computer)
    assert len(tries) == TRIES
    assert computer.asked == sorted(computer.asked, reverse=True)
    assert bench.rate_pps < computer.asked[-1]


def test_a_rate_that_is_delivered_and_fills_the_host_is_lowered(tmp_path: Path, on: Any) -> None:
    """0.6 × 6,400 is delivered to the last packet; a fifth of the host is to stay idle."""
    computer = Computer(tmp_path, 6_400, fills_at_pps=3_950)
    bench, tries = on(computer)
    assert computer.asked == [10_000, 3_800, 2_600]
    assert bench.rate_pps == 2_600
    idle = [one["host"]["idle_share"] for one in tries]
    assert idle == [0.0, pytest.approx(0.04, abs=0.01), pytest.approx(0.34, abs=0.01)]
    assert computer.lasted == [1.4, LONGEST_TRY_S, LONGEST_TRY_S]
    assert computer.heard == [
        "this computer did not carry 10,000 packets/s, and 3,800 left too little of it idle: "
        "every arm gets 2,600, for 5.0 s a trial"
    ]


def test_a_host_with_room_is_asked_as_often_as_before(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 4300, fills_at_pps=8_000)
    on(computer)
    assert computer.asked == [10_000, 2450]
    assert "idle" not in " ".join(computer.heard)


def test_it_stops_at_the_lowest_rate_that_makes_sense_and_says_so(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 2_500, fills_at_pps=1_050)
    bench, _ = on(computer)
    assert bench.rate_pps == computer.asked[-1]
    assert LOWEST_PPS * 0.95 <= bench.rate_pps < LOWEST_PPS / LESS
    assert "the two machines fill this computer, so it needs more cores" in computer.heard[-1]


def test_a_host_that_others_fill_is_not_asked_for_less(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 20_000, others=1.9, rate_pps=3_000)
    bench, _ = on(computer)
    assert computer.asked == [3_000]
    assert bench.rate_pps == 3_000
    (said,) = computer.heard
    assert "other programs on this computer took 1.9 CPUs, so stop them" in said


def test_a_fixed_rate_that_fills_the_host_is_kept_and_named(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 20_000, fills_at_pps=3_000, rate_pps=2_900, adapt_load=False)
    bench, _ = on(computer)
    assert (computer.asked, bench.rate_pps) == ([2_900], 2_900)
    assert "a lower rate would leave some of it" in computer.heard[0]


@pytest.mark.parametrize(
    ("busy", "waits", "kvm", "room"),
    [(1.5, 0.2, False, True), (1.5, 0.25, False, False), (1.7, 0.1, False, False),
     (0.5, 0.01, True, True), (0.5, 0.02, True, False)],
)  # fmt: skip
def test_what_leaves_room(busy: float, waits: float, kvm: bool, room: bool) -> None:
    """A margin of 0.8 below the bounds of `contention`, and a fifth of the host idle."""
    found = readings(busy=busy, waits=waits, ours=busy, kvm=kvm)
    host = HostLoad.between(found["traffic"], found["end"])
    assert host.waiting_share == pytest.approx(waits)
    assert host.leaves_room is room
    assert not host.is_others


def test_what_was_not_read_is_unknown_and_lowers_nothing(tmp_path: Path) -> None:
    assert HostLoad.of(tmp_path) == HostLoad()
    found = readings(busy=2.0, waits=0.9, ours=2.0)
    bare = {**found["end"], "threads": {"client": None, "server": None}, "stat": None}
    assert HostLoad.between(bare, {**bare, "monotonic_ns": [3e9, 3e9]}) == HostLoad()
    assert HostLoad.between(found["end"], found["end"]) == HostLoad()
    assert HostLoad().leaves_room


def test_a_rate_asked_for_exactly_is_kept(tmp_path: Path, on: Any) -> None:
    bench, tries = on(Computer(tmp_path, 4300, adapt_load=False))
    assert bench.rate_pps == 10_000
    assert len(tries) == 1


def test_without_a_warm_up_nothing_is_tried(tmp_path: Path, on: Any) -> None:
    bench, tries = on(Computer(tmp_path, 4300, warm_up=0))
    assert (bench.rate_pps, tries) == (10_000, [])


def test_more_warm_ups_are_run_at_the_rate_that_was_found(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 4300, warm_up=3)
    on(computer)
    assert computer.asked == [10_000, 2450, 2450]


@given(st.floats(200, 1e6), st.floats(0.01, 1), st.floats(0.5, 1))
def test_a_lowered_rate(rate: float, kept: float, delivered: float) -> None:
    bench = BenchConfig(rate_pps=rate, duration_s=1.4)
    less = lowered(bench, Try(rate, rate * kept, delivered))
    part = LESS if kept >= 0.99 and delivered >= 0.999 else HEADROOM
    assert 50 <= less.rate_pps <= max(100.0, part * rate)
    assert less.rate_pps % TICK_HZ != 0
    assert 1.4 <= less.duration_s <= 5.0


def test_what_was_tried_is_what_the_trials_said(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 9000)
    _, tries = on(computer)
    said = json.loads((tmp_path / "raw/warm-up-1-xdp/client.json").read_text())
    assert tries[0]["achieved_pps"] == said["trials"][0]["achieved_pps"] == 9000
    assert replace(Try(10_000, 9000, 1.0)).carried is False
