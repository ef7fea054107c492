# SPDX-License-Identifier: Apache-2.0
"""The order of a run: fair to every arm, and the same again from the same seed."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.model.config import BenchConfig
from testbed.model.nic import INTERFACE
from testbed.model.plan import Condition, Plan, Trial, under

ARMS = st.lists(
    st.sampled_from(["none", "netfilter", "xdp", "netfilter-logging", "xdp-bounded-csum"]),
    min_size=1, max_size=5, unique=True,
)  # fmt: skip
TRIALS = st.integers(1, 41)
SEEDS = st.integers(0, 2**31 - 1)
BENCH = BenchConfig()


def some(*arms: str) -> tuple[Condition, ...]:
    return under(BENCH, arms)


def shuffled(arms: Sequence[str], trials: int, seed: int, warm_up: Sequence[str] = ()) -> Plan:
    return Plan.shuffled(some(*arms), trials, seed, some(*warm_up))


def names(block: Sequence[Condition]) -> tuple[str, ...]:
    return tuple(one.arm for one in block)


@given(ARMS, TRIALS, SEEDS)
def test_every_arm_once_a_block(arms: list[str], trials: int, seed: int) -> None:
    plan = shuffled(arms, trials, seed)
    assert len(plan.blocks) == trials
    assert all(sorted(names(block)) == sorted(arms) for block in plan.blocks)
    assert len(plan) == len(list(plan)) == trials * len(arms)
    assert plan.seed == seed


@given(ARMS, TRIALS, SEEDS)
def test_blocks_come_as_an_order_and_its_mirror(arms: list[str], trials: int, seed: int) -> None:
    blocks = shuffled(arms, trials, seed).blocks
    for first, second in zip(blocks[::2], blocks[1::2], strict=False):
        assert second == first[::-1]


@given(ARMS, st.integers(1, 20).map(lambda pairs: 2 * pairs), SEEDS)
def test_a_drift_weighs_on_every_arm_alike(arms: list[str], trials: int, seed: int) -> None:
    """The mean time index of every arm is the same, so a linear drift cancels out."""
    times: Counter[str] = Counter()
    for time, trial in enumerate(shuffled(arms, trials, seed)):
        times[trial.arm] += time
    assert len(set(times.values())) == 1


@given(ARMS, TRIALS, SEEDS)
def test_same_seed_same_order(arms: list[str], trials: int, seed: int) -> None:
    once, again = (shuffled(arms, trials, seed) for _ in range(2))
    assert once == again
    assert list(once) == list(again)


def test_the_seed_decides_the_order() -> None:
    orders = {shuffled(["none", "netfilter", "xdp"], 5, seed).blocks for seed in range(20)}
    assert len(orders) > 10


def test_a_known_order() -> None:
    """Guards recorded seeds: they must give the same order in every later version."""
    assert [*map(names, shuffled(["none", "netfilter", "xdp"], 3, seed=7).blocks)] == [
        ("xdp", "none", "netfilter"),
        ("netfilter", "none", "xdp"),
        ("xdp", "none", "netfilter"),
    ]


def test_source_ports_and_folders_as_in_the_original() -> None:
    trials = list(shuffled(["none", "xdp"], 5, seed=1))
    for arm in ("none", "xdp"):
        own = [trial for trial in trials if trial.arm == arm]
        assert [trial.source_port for trial in own] == [10000, 10001, 10002, 10003, 10004]
        assert [trial.folder for trial in own] == [f"{n:02d}-{arm}" for n in range(1, 6)]
    assert [trial.position for trial in trials] == [1, 2] * 5
    assert Trial(10_001, 1, some("xdp")[0], 0, nth=10_001).source_port == 10000


@given(ARMS, TRIALS, SEEDS)
def test_a_block_sends_one_traffic_and_no_two_blocks_the_same(
    arms: list[str], trials: int, seed: int
) -> None:
    plan = shuffled(arms, trials, seed)
    seeds = {(trial.block, trial.seed) for trial in plan}
    assert len(seeds) == len({seed for _, seed in seeds}) == trials
    folders = [trial.folder for trial in plan]
    assert len(set(folders)) == len(folders)


@given(ARMS, TRIALS, SEEDS, st.integers(0, 9))
def test_a_longer_plan_begins_as_the_shorter_one(
    arms: list[str], trials: int, seed: int, more: int
) -> None:
    plan = shuffled(arms, trials, seed)
    longer = plan.longer(trials + more)
    assert longer.blocks[:trials] == plan.blocks
    assert len(longer.blocks) == trials + more


@given(ARMS, st.integers(1, 20).map(lambda pairs: 2 * pairs), SEEDS)
def test_every_arm_is_as_often_early_as_late(arms: list[str], trials: int, seed: int) -> None:
    """Balance for any seed: the mean position in the block is the middle one."""
    places: dict[str, list[int]] = {}
    for trial in shuffled(arms, trials, seed):
        places.setdefault(trial.arm, []).append(trial.position)
    assert {sum(found) / len(found) for found in places.values()} == {(len(arms) + 1) / 2}


def test_the_published_order_has_one_arm_after_the_other() -> None:
    plan = Plan.one_after_the_other(some("netfilter-logging", "xdp-bounded-csum"), 1)
    assert [trial.folder for trial in plan] == ["01-netfilter-logging", "02-xdp-bounded-csum"]
    assert [trial.source_port for trial in plan] == [10000, 10000]


def test_warm_up_and_probe_trials_are_apart_from_those_that_count() -> None:
    plan = shuffled(["none", "xdp"], 1, 5, warm_up=("none",))
    assert [plan.warming(nth).folder for nth in (1, 2)] == ["warm-up-1-none", "warm-up-2-none"]
    assert plan.warming(1, after=2).folder == "warm-up-3-none"
    assert [trial.folder for trial in plan.probing()] == ["probe-none", "probe-xdp"]
    assert len(plan) == 2


def test_the_warm_up_has_its_arms_in_turn() -> None:
    plan = shuffled(["none"], 1, 5, warm_up=("xdp", "none"))
    assert [plan.warming(nth, after=1).folder for nth in (1, 2, 3)] == [
        "warm-up-2-xdp", "warm-up-3-none", "warm-up-4-xdp",
    ]  # fmt: skip


@given(ARMS, TRIALS, SEEDS)
def test_another_load_changes_no_order(arms: list[str], trials: int, seed: int) -> None:
    """Every trial gets the load that the warm-up found; seed, port and folder stay."""
    plan = shuffled(arms, trials, seed, warm_up=("none",))
    less = BenchConfig(rate_pps=450.0, payload_bytes=64)
    lower = plan.under(less)
    every = [*lower, *lower.probing(), lower.warming(1)]
    assert {(t.condition.rate_pps, t.condition.payload_bytes) for t in every} == {(450.0, 64)}
    said = [[(t.folder, t.seed, t.source_port) for t in one] for one in (plan, lower)]
    assert said[0] == said[1]
    assert lower.longer(trials + 2) == plan.longer(trials + 2).under(less)


def test_arms_under_the_load_of_the_trials() -> None:
    bench = BenchConfig(rate_pps=450.0, payload_bytes=64)
    assert under(bench, ["none", "xdp"]) == (
        Condition("none", 64, 450.0, INTERFACE), Condition("xdp", 64, 450.0, INTERFACE),
    )  # fmt: skip


def test_a_count_has_no_rate() -> None:
    one = Condition("xdp", 1000)
    assert (one.counted, one.rate_pps) == ("xdp-1000", None)
    with pytest.raises(ValueError, match="xdp: packets one after the other have no rate"):
        _ = one.rate
