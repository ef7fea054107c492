# SPDX-License-Identifier: Apache-2.0
"""Cost per packet, statistics, comparison verdicts."""

import json
import math
from pathlib import Path

import pytest
from scipy.special import stdtrit

from testbed.analysis.conclusions.comparison import compare, verdict_on
from testbed.analysis.conclusions.sentences import cost_text
from testbed.analysis.findings import check_run
from testbed.analysis.formats.proc_files import parse_stat
from testbed.analysis.measures.cost import Cost, busy_between, cost_of
from testbed.analysis.measures.mpstat_timeline import percent_in_traffic, traffic_window_s
from testbed.analysis.reading.run import load_run
from testbed.analysis.reading.trial_records import Snap
from testbed.analysis.statistics.intervals import (
    SMALLEST_EFFECT,
    Ratio,
    coefficient_of_variation,
    geometric_mean,
    paired_ratio,
    student_t,
)
from tests.unit.factories.run_factory import RunRecipe, make_run, seal


def snap(at_s: float, idle: int, iowait: int = 0, cpus: int = 2, read_s: float = 0.0) -> Snap:
    rows = ["cpu", *(f"cpu{i}" for i in range(cpus))]
    stat = "".join(f"{row} 0 0 0 {idle} {iowait} 0 0 0 0 0\n" for row in rows)
    return Snap(
        before_read_ns=int(at_s * 1e9),
        after_read_ns=int((at_s + read_s) * 1e9),
        utc_ns=0,
        stat=parse_stat(stat),
    )


def test_busy_is_wall_less_idle_and_iowait() -> None:
    busy = busy_between(snap(10, 1000, 5), snap(12, 1250, 25))
    assert busy is not None
    assert busy.wall_s == 2
    assert busy.busy_s == pytest.approx(2 * 2 - 2.5 - 0.2)
    assert busy.rate == pytest.approx(0.65)
    assert busy.sd_s == pytest.approx(0.01 * math.sqrt(2 / 6))


def test_a_slow_reading_is_less_certain() -> None:
    quick = busy_between(snap(0, 0), snap(1, 100))
    slow = busy_between(snap(0, 0, read_s=0.05), snap(1, 100, read_s=0.05))
    assert quick is not None and slow is not None
    assert slow.sd_s > 5 * quick.sd_s


def test_no_time_or_other_cpus_is_no_measurement() -> None:
    assert busy_between(snap(1, 0), snap(1, 0)) is None
    assert busy_between(snap(0, 0, cpus=2), snap(1, 0, cpus=4)) is None


def test_cost_finds_what_the_run_was_made_with(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(spread=0.0, cost_us={"xdp": 200.0})))
    for trial in run.trials_of("xdp"):
        cost = cost_of(trial)
        assert cost is not None and cost.cost_us is not None and cost.uncertainty_us is not None
        assert cost.uncertainty_us < 1.5
        assert cost.cost_us == pytest.approx(200.0, abs=4 * cost.uncertainty_us)


def test_cost_of_almost_nothing_is_undefined(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(delivered_share={"xdp": 0.0, "none": 2 / 14_000})))
    nothing, little = cost_of(run.trials_of("xdp")[0]), cost_of(run.trials_of("none")[0])
    assert nothing is not None and nothing.cost_us is None
    assert nothing.reason == "nothing was delivered"
    assert little is not None and little.cost_us is None


def test_mpstat_is_cut_to_the_traffic(tmp_path: Path) -> None:
    trial = load_run(make_run(tmp_path)).trials_of("xdp")[0]
    window = traffic_window_s(trial)
    assert window == pytest.approx((1.65, 3.06), abs=0.02)
    busy, soft = percent_in_traffic(trial), percent_in_traffic(trial, ("soft",))
    assert busy is not None and soft is not None
    assert 0 < soft < busy < 400


def test_mpstat_is_moved_to_where_its_stamps_say(tmp_path: Path) -> None:
    """BOOT_UTC_NS + clock is a whole second: a delay of 0.4 s shows in no stamp, one of 1 s would
    be a second late in all of them. Started at .9 s, a delay of 0.4 s is at least 0.1 s."""
    root = make_run(tmp_path, RunRecipe(mpstat_delay_ns=400_000_000))
    trial = load_run(root).trials_of("xdp")[0]
    assert traffic_window_s(trial) == pytest.approx((1.65, 3.06), abs=0.02)
    path = root / trial.folder / "trial.json"
    document = json.loads(path.read_text())
    document["mpstat_started_utc_ns"] += 900_000_000
    path.write_text(json.dumps(document))
    for file in (root / trial.folder).glob("mpstat.json"):
        late = json.loads(file.read_text())
        for sample in late["sysstat"]["hosts"][0]["statistics"]:
            second = int(sample["timestamp"][-2:])
            sample["timestamp"] = f"{sample['timestamp'][:-2]}{second + 1:02d}"
        file.write_text(json.dumps(late))
    window = traffic_window_s(load_run(root).trials_of("xdp")[0])
    assert window == pytest.approx((1.65 - 0.9 - 0.1, 3.06 - 0.9 - 0.1), abs=0.02)


@pytest.mark.parametrize(
    ("cost", "uncertainty", "text"),
    [(315.52, 0.7, "316"), (315.52, 2.0, "316"), (5.243, 0.05, "5.2"), (1234.0, 0.1, "1,234.0")],
)
def test_a_cost_has_the_digits_its_uncertainty_allows(
    cost: float, uncertainty: float, text: str
) -> None:
    traffic = busy_between(snap(0, 0), snap(1, 100))
    assert traffic is not None
    measured = Cost(traffic=traffic, idle=None, cost_us=cost, uncertainty_us=uncertainty, reason="")
    assert cost_text(measured) == text


def test_geometric_mean_and_spread() -> None:
    assert geometric_mean([1, 100]) == pytest.approx(10)
    assert geometric_mean([]) is None
    assert geometric_mean([3, 0]) is None
    assert coefficient_of_variation([9, 11]) == pytest.approx(math.sqrt(2) / 10)
    assert coefficient_of_variation([9]) is None


def test_student_t() -> None:
    assert student_t(4) == pytest.approx(2.7764, abs=1e-4)
    for confidence in (0.5, 0.8, 0.95, 0.99, 0.999):
        for degrees in (*range(1, 41), 99, 100, 999, 5_000):
            exact = float(stdtrit(degrees, (1 + confidence) / 2))
            assert student_t(degrees, confidence) == pytest.approx(exact, rel=1e-11), degrees


def test_ratio_is_paired_by_block() -> None:
    slow = {1: 100.0, 2: 200.0, 3: 400.0}
    ratio = paired_ratio({b: c * 1.1 for b, c in slow.items()}, slow | {9: 5.0})
    assert ratio is not None and ratio.low is not None
    assert ratio.block_count == 3
    assert ratio.ratio == pytest.approx(1.1)
    assert ratio.low == pytest.approx(1.1)
    assert paired_ratio({1: 1.0}, {2: 1.0}) is None
    assert paired_ratio({1: -1.0}, {1: 1.0}) is None


def test_one_block_has_no_interval() -> None:
    ratio = paired_ratio({1: 2.0}, {1: 1.0})
    assert ratio is not None and ratio.low is None
    assert verdict_on(ratio) == "inconclusive"


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.971, 1.021, "no difference larger than 3 %"),
        (0.9525, 0.96, "no difference larger than 5 %"),
        (1 / 1.05, 1.05, "no difference larger than 5 %"),
        (0.951, 0.96, "lower"),
        (0.999, 1.001, "no difference larger than 1 %"),
        (0.80, 0.90, "lower"),
        (1.02, 1.10, "higher"),
        (0.98, 1.10, "inconclusive"),
    ],
)
def test_verdicts_in_the_allowed_words(low: float, high: float, verdict: str) -> None:
    ratio = Ratio(ratio=math.sqrt(low * high), low=low, high=high, block_count=5)
    assert verdict_on(ratio) == verdict
    assert SMALLEST_EFFECT == 0.05


def test_no_ratio_is_an_invalid_comparison() -> None:
    assert verdict_on(None) == "invalid"


def test_swapping_two_arms_swaps_the_verdict(tmp_path: Path) -> None:
    costs = {"netfilter": 300.0, "xdp": 200.0}
    verdicts = []
    for index in range(2):
        run = load_run(make_run(tmp_path / str(index), RunRecipe(cost_us=costs)))
        verdicts.append(compare(run, check_run(run))[0].verdict)
        costs = {"netfilter": costs["xdp"], "xdp": costs["netfilter"]}
    assert verdicts == ["lower", "higher"]


def test_arms_of_another_class_are_not_ranked(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    text = (root / "plan.json").read_text()
    at = text.rindex("rewrite-and-continue")
    (root / "plan.json").write_text(text[:at] + text[at:].replace("continue", "bypass", 1))
    seal(root)
    run = load_run(root)
    pairs = {(c.arm, c.reference) for c in compare(run, check_run(run))}
    assert pairs == {("netfilter", "none"), ("xdp", "none")}
