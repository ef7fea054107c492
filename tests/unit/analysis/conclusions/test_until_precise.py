# SPDX-License-Identifier: Apache-2.0
"""When a run may stop: on precision alone, and with an interval that still covers."""

import inspect
import json
from pathlib import Path

import numpy as np
import pytest

from testbed.analysis.conclusions.until_precise import (
    CONFIRMING_BLOCKS,
    FIRST_LOOK,
    MOST_BLOCKS,
    finished_blocks,
    hopeless,
    may_stop,
    ratios_by_block,
    reached,
)
from testbed.analysis.reading.run import load_run
from testbed.analysis.statistics.intervals import paired_ratio, student_t
from testbed.cli.measuring import bench
from tests.unit.factories.run_factory import RunRecipe, make_run

RUNS = 40_000
TARGET = 0.05


def stops_and_coverage(sd_in_targets: float, confirming: int) -> tuple[np.ndarray, float]:
    """The last block of each simulated run of an arm against itself, and the coverage there.

    The SD of a pair's log difference is given in multiples of the target. All runs at once, with
    the rule written anew; `test_the_simulated_rule_is_the_real_one` holds it against may_stop.
    """
    differences = simulated(sd_in_targets)
    n = np.arange(1, MOST_BLOCKS + 1)
    means = differences.cumsum(axis=1) / n
    squares = np.maximum((differences**2).cumsum(axis=1) - n * means**2, 0)
    t = np.array([0.0] + [student_t(int(count) - 1) for count in n[1:]])
    halves = t * np.sqrt(squares / np.maximum(n - 1, 1) / n)
    halves[:, 0] = np.inf
    narrow = (np.expm1(halves) <= TARGET) & (n >= FIRST_LOOK)
    before = np.zeros_like(narrow)
    before[:, confirming:] = np.maximum.accumulate(narrow, axis=1)[:, : MOST_BLOCKS - confirming]
    stop = narrow & before
    stop[:, -1] = True
    last = stop.argmax(axis=1)
    every = np.arange(RUNS)
    return last + 1, float((abs(means[every, last]) <= halves[every, last]).mean())


def simulated(sd_in_targets: float) -> np.ndarray:
    rng = np.random.default_rng(round(sd_in_targets * 100))
    return rng.normal(0, np.log1p(TARGET) * sd_in_targets, (RUNS, MOST_BLOCKS))


@pytest.mark.parametrize("sd_in_targets", [0.5, 1.0, 1.5, 1.75, 2.0, 2.25, 2.5, 3.0])
def test_a_run_that_stops_when_precise_still_covers(sd_in_targets: float) -> None:
    _, coverage = stops_and_coverage(sd_in_targets, CONFIRMING_BLOCKS)
    assert coverage >= 0.93


def test_stopping_at_the_first_narrow_look_would_not() -> None:
    assert stops_and_coverage(2.0, 0)[1] < 0.93


def test_the_simulated_rule_is_the_real_one() -> None:
    stops, _ = stops_and_coverage(1.5, CONFIRMING_BLOCKS)
    for logs, last in list(zip(simulated(1.5), stops, strict=True))[:40]:
        costs = dict(enumerate(np.exp(logs).tolist(), start=1))
        history = []
        for block in costs:
            first = {b: c for b, c in costs.items() if b <= block}
            history.append([paired_ratio(first, dict.fromkeys(first, 1.0))])
            if block == MOST_BLOCKS or may_stop(history, TARGET):
                break
        assert block == last


def test_a_quiet_run_stops_three_blocks_after_its_first_look(tmp_path: Path) -> None:
    for trials in range(1, 10):
        done, width = reached(make_run(tmp_path / str(trials), quiet(trials)), TARGET)
        assert done is (trials >= FIRST_LOOK + CONFIRMING_BLOCKS)
        assert (width is None) is (trials < 2)
    assert width is not None and 0 < width < 0.02


def quiet(trials: int, **more: object) -> RunRecipe:
    return RunRecipe(trials=trials, spread=0.004, complete=False, **more)  # type: ignore[arg-type]


def test_a_noisy_run_goes_on_whatever_it_seems_to_show(tmp_path: Path) -> None:
    costs = {"netfilter": 240.0, "xdp": 80.0}
    recipe = RunRecipe(trials=12, spread=0.15, cost_us=costs, complete=False)
    done, width = reached(make_run(tmp_path, recipe), TARGET)
    assert not done
    assert width is not None and width > TARGET


def test_only_finished_blocks_count(tmp_path: Path) -> None:
    root = make_run(tmp_path, quiet(9, trials_done=8 * 3 - 1))
    run = load_run(root)
    assert finished_blocks(run) == [1, 2, 3, 4, 5, 6, 7]
    assert [ratios[0].block_count for ratios in ratios_by_block(run) if ratios[0]] == [
        1, 2, 3, 4, 5, 6, 7,
    ]  # fmt: skip
    assert not reached(root, TARGET)[0]


def test_a_run_that_has_not_begun(tmp_path: Path) -> None:
    assert reached(make_run(tmp_path, quiet(5, trials_done=0)), TARGET) == (False, None)


@pytest.mark.parametrize(
    ("arms", "ratios"),
    [
        (("none", "netfilter", "xdp"), 1),
        (("none", "xdp"), 1),
        (("none", "xdp", "netfilter-logging"), 1),
        (("xdp",), 0),
    ],
)
def test_hook_against_hook_or_the_only_hook_against_none(
    tmp_path: Path, arms: tuple[str, ...], ratios: int
) -> None:
    root = make_run(tmp_path, quiet(8, arms=arms))
    assert {len(each) for each in ratios_by_block(load_run(root))} == {ratios}
    assert reached(root, TARGET)[0] is bool(ratios)


@pytest.mark.parametrize("arms", [("none", "netfilter", "xdp"), ("none", "xdp")])
def test_a_sound_run_may_go_on(tmp_path: Path, arms: tuple[str, ...]) -> None:
    assert hopeless(make_run(tmp_path, quiet(5, arms=arms))) == ""
    assert hopeless(make_run(tmp_path / "none", quiet(5, trials_done=0))) == ""


def test_a_cost_below_zero_ends_it(tmp_path: Path) -> None:
    root = make_run(tmp_path, quiet(8, cost_us={"xdp": -0.5}))
    assert reached(root, TARGET)[0] is False
    assert hopeless(root).startswith("“XDP program, generic mode” cost -")
    assert hopeless(root).endswith("in block 1, so it has no ratio to anything")


@pytest.mark.parametrize("cost_us", [-5.0, -400.0])
def test_so_does_a_counter_that_ran_backwards(tmp_path: Path, cost_us: float) -> None:
    root = make_run(tmp_path, quiet(8, cost_us={"xdp": cost_us}))
    assert reached(root, TARGET)[0] is False
    assert hopeless(root).startswith("“XDP program, generic mode” has no cost in block 1 (")
    assert "ran backwards" in hopeless(root)


def test_so_does_a_trial_without_a_cost(tmp_path: Path) -> None:
    root = make_run(tmp_path, quiet(8))
    path = root / "raw/03-xdp/server.json"
    document = json.loads(path.read_text())
    document["trials"][0]["unique"] = 0
    path.write_text(json.dumps(document))
    assert "has no cost in block 3 (nothing was delivered)" in hopeless(root)


def test_a_run_of_one_arm_has_nothing_to_be_precise_about(tmp_path: Path) -> None:
    for number, arms in enumerate((("xdp",), ("none",), ("none", "xdp-bounded-csum"))):
        root = make_run(tmp_path / str(number), quiet(8, arms=arms))
        assert hopeless(root) == "no two arms of this run are compared with each other"


def test_a_lost_trial_leaves_its_block_out(tmp_path: Path) -> None:
    root = make_run(tmp_path, quiet(8))
    path = root / "raw/03-xdp/server.json"
    document = json.loads(path.read_text())
    document["trials"][0]["unique"] = 0
    path.write_text(json.dumps(document))
    done, width = reached(root, TARGET)
    assert not done
    assert width is not None


def test_the_simulated_limit_is_that_of_the_command() -> None:
    assert inspect.signature(bench).parameters["max_blocks"].default == MOST_BLOCKS
