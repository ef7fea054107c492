# SPDX-License-Identifier: Apache-2.0
"""The warm-up: asks for the configured rate, and lowers it until this computer carries it."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.edge.store import RunDir
from testbed.edge.terminal import Terminal
from testbed.lab.host_readings import HostReadings
from testbed.lab.load import HEADROOM, TICK_HZ, TRIES, Try, lowered, warm_up
from testbed.lab.trials import Experiment
from testbed.model.config import BenchConfig, Config
from testbed.model.plan import WARM_UP, Plan, Trial


class Computer:
    """In place of an Experiment's trials: carries so many packets/s and loses this share."""

    def __init__(
        self, folder: Path, carries_pps: float, *, delivers: float = 1.0, **bench: Any
    ) -> None:
        self.carries_pps, self.delivers, self.asked = carries_pps, delivers, list[float]()
        config = Config.model_validate({"bench": bench})
        plan = Plan.shuffled(["none", "xdp"], 5, 1, warm_up=["xdp", "none"])
        self.experiment = Experiment(
            config, plan, {}, {}, HostReadings({}, {}), RunDir(folder), Terminal(-1)
        )

    def trial(self, experiment: Experiment, trial: Trial) -> None:
        bench = experiment.config.bench
        assert trial.block == WARM_UP
        assert (bench.settle_s, bench.drain_s) == (0, 0)
        self.asked.append(bench.rate_pps)
        kept = min(bench.rate_pps, self.carries_pps)
        sent = {"offered": 1000, "achieved_pps": kept}
        folder = f"raw/{trial.folder}"
        experiment.run_dir.write_json(f"{folder}/client.json", {"trials": [sent]})
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
    assert tries == [{"rate_pps": 10_000, "achieved_pps": 10_000, "delivered_share": 1.0}]


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
    assert 50 <= less.rate_pps <= max(100.0, HEADROOM * rate)
    assert less.rate_pps % TICK_HZ != 0
    assert 1.4 <= less.duration_s <= 5.0


def test_what_was_tried_is_what_the_trials_said(tmp_path: Path, on: Any) -> None:
    computer = Computer(tmp_path, 9000)
    _, tries = on(computer)
    said = json.loads((tmp_path / "raw/warm-up-1-xdp/client.json").read_text())
    assert tries[0]["achieved_pps"] == said["trials"][0]["achieved_pps"] == 9000
    assert replace(Try(10_000, 9000, 1.0)).carried is False
