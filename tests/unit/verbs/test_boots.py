# SPDX-License-Identifier: Apache-2.0
"""A run over several boots: the machines are started anew between groups of blocks, and from three
boots on the interval is that of the boots' means."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from testbed.analysis.conclusions.comparison import compare
from testbed.analysis.findings import Verdict
from testbed.analysis.page.judged import judge
from testbed.analysis.reading.records import Boot, Run
from testbed.analysis.reading.run import load_run
from testbed.analysis.statistics.intervals import paired_ratio, student_t
from testbed.lab.experiment.recording import Recording
from testbed.model.config import BenchConfig
from testbed.model.plan import Plan, under
from testbed.verbs.measuring import boots as verb
from testbed.verbs.measuring.boots import parts
from tests.unit.factories.fakes import World
from tests.unit.factories.run_changes import found_by, plain
from tests.unit.factories.run_factory import RunRecipe, make_run

RUNS = 4_000


def on_boots(run: Run, *firsts: int) -> Run:
    """The run as one that began a boot with each of these blocks."""
    boots = tuple(Boot(block=b, server=f"s{b}", client=f"c{b}") for b in firsts)
    facts = {
        **run.facts,
        **{f"{role}-{when}": {**run.facts[f"{role}-{when}"], "boot_id": f"{role[0]}{block}"}
           for role in ("server", "client")
           for when, block in (("before", firsts[0]), ("after", firsts[-1]))},
    }  # fmt: skip
    return replace(run, boots=boots, facts=facts, trials=tuple(
        replace(trial, clocks=trial.clocks) for trial in run.trials))  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run"), RunRecipe(trials=6)))


@pytest.mark.parametrize(
    ("blocks", "boots", "starts"),
    [(5, 1, (1,)), (6, 3, (1, 3, 5)), (5, 3, (1, 2, 4)), (3, 3, (1, 2, 3)), (10, 4, (1, 3, 6, 8))],
)
def test_blocks_are_split_evenly(blocks: int, boots: int, starts: tuple[int, ...]) -> None:
    plan = Plan.shuffled(under(BenchConfig(), ["none", "xdp"]), blocks, 1)
    assert plan.boot_starts(boots) == starts
    whole = [range(first, last + 1) for first, last in parts(starts, blocks, 0)]
    assert [number for group in whole for number in group] == list(range(1, blocks + 1))
    sizes = [len(group) for group in whole]
    assert max(sizes) - min(sizes) <= 1


def test_a_resumed_part_begins_where_it_was_cut_off() -> None:
    assert parts((1, 3, 5), 6, 3) == [(4, 4), (5, 6)]
    assert parts((1, 3, 5), 6, 4) == [(5, 6)]
    assert parts((1,), 6, 2) == [(3, 6)]


def test_three_boots_are_three_values() -> None:
    boots = {1: 1, 2: 1, 3: 2, 4: 2, 5: 3, 6: 3}
    logs = {1: 0.1, 2: 0.3, 3: 0.0, 4: 0.2, 5: 0.5, 6: 0.7}
    ratio = paired_ratio({b: math.exp(x) for b, x in logs.items()}, dict.fromkeys(logs, 1.0), boots)
    assert ratio is not None and ratio.low is not None and ratio.high is not None
    means = [0.2, 0.1, 0.6]
    half = student_t(2) * float(np.std(means, ddof=1)) / math.sqrt(3)
    assert math.log(ratio.ratio) == pytest.approx(0.3)
    assert math.log(ratio.low) == pytest.approx(0.3 - half)
    assert (ratio.block_count, ratio.boots, ratio.units, ratio.is_of_boots) == (6, 3, 3, True)


def test_two_boots_are_too_few_and_blocks_count() -> None:
    logs = {1: 1.1, 2: 1.3, 3: 1.0, 4: 1.2}
    ones = dict.fromkeys(logs, 1.0)
    two = paired_ratio(logs, ones, {1: 1, 2: 1, 3: 2, 4: 2})
    assert two is not None and (two.boots, two.units, two.is_of_boots) == (2, 4, False)
    assert replace(two, boots=1) == paired_ratio(logs, ones) == paired_ratio(logs, ones, {})


def test_the_interval_covers_what_boots_vary_by() -> None:
    """Boots differ by 4 %, blocks of one by 2 %: the blocks' own interval covers far too rarely."""
    rng = np.random.default_rng(5)
    boots = {block: 1 + (block - 1) // 3 for block in range(1, 13)}
    covered = {True: 0, False: 0}
    for _ in range(RUNS):
        means = rng.normal(0, 0.04, 4)
        logs = {block: means[boot - 1] + rng.normal(0, 0.02) for block, boot in boots.items()}
        costs = {block: float(np.exp(x)) for block, x in logs.items()}
        for aware in (True, False):
            ratio = paired_ratio(costs, dict.fromkeys(costs, 1.0), boots if aware else None)
            assert ratio is not None and ratio.low is not None and ratio.high is not None
            covered[aware] += ratio.low <= 1 <= ratio.high
    assert covered[True] / RUNS == pytest.approx(0.95, abs=3 * math.sqrt(0.05 * 0.95 / RUNS))
    assert covered[False] / RUNS < 0.8


def test_a_run_over_three_boots_is_sound_and_says_so(run: Run) -> None:
    three = on_boots(run, 1, 3, 5)
    assert not found_by(three, "interleaved")
    said = judge(three)
    (headline,) = (c for c in said.comparisons if c.is_headline)
    assert headline.ratio is not None and headline.ratio.units == 3
    assert "6 blocks on 3 boots" in said.opening.answers[0]
    notes = plain(" ".join(said.opening.notes))
    assert "The blocks are of 3 boots of the machines, and each interval is that of the" in notes
    assert "With these 3 boots this machine could have seen" in notes


def test_two_boots_are_said_to_be_too_few(run: Run) -> None:
    notes = " ".join(judge(on_boots(run, 1, 4)).opening.notes)
    assert "The blocks are of 2 boots, each block within one. That is too few to tell" in notes


def test_an_open_answer_asks_for_boots(tmp_path: Path) -> None:
    noisy = on_boots(load_run(make_run(tmp_path, RunRecipe(trials=6, spread=0.10))), 1, 3, 5)
    (headline,) = (c for c in compare(noisy, ()) if c.is_headline)
    needed = headline.blocks_to_settle
    assert headline.verdict == "inconclusive" and needed is not None and needed > 3
    answer = plain(judge(noisy).opening.answers[0])
    assert f"a new run of {needed} boots settles it with 80 % probability" in answer
    assert f"(--boots {needed} --trials {2 * needed})" in answer


def test_a_boot_that_was_none_is_invalid(run: Run) -> None:
    three = on_boots(run, 1, 3, 5)
    same = (three.boots[0], replace(three.boots[1], server="s1"), three.boots[2])
    (found,) = found_by(replace(three, boots=same), "interleaved")
    assert found.verdict is Verdict.INVALID
    assert found.statement == "of the server’s 3 boots only 2 were new ones"


def test_another_boot_than_those_is_invalid(run: Run) -> None:
    three = on_boots(run, 1, 3, 5)
    facts = {**three.facts, "client-after": {**three.facts["client-after"], "boot_id": "other"}}
    (found,) = found_by(replace(three, facts=facts), "interleaved")
    assert (found.verdict, found.statement) == (
        Verdict.INVALID, "the client was booted again during the run",
    )  # fmt: skip


def test_a_boot_without_an_arm_is_invalid(run: Run) -> None:
    three = on_boots(run, 1, 3, 5)
    trials = tuple(t for t in three.trials if t.block < 5 or t.arm != "xdp")
    (found,) = found_by(replace(three, trials=trials), "interleaved")
    assert found.statement == "not every arm was measured on boot 3"


def test_clocks_begin_anew_with_each_boot(run: Run) -> None:
    """The server's uptime starts at 0 again: the run's clock is held against the host's by boot."""

    def rebooted(block: int) -> Callable[[Any], Any]:
        return lambda clock: replace(clock, guest_s=clock.guest_s - 100 * (block >= 4))

    trials = tuple(
        replace(t, clocks={when: rebooted(t.block)(c) for when, c in t.clocks.items()})
        for t in run.trials
    )
    later = replace(run, trials=trials)
    assert found_by(later, "clock")
    assert not found_by(on_boots(later, 1, 4), "clock")


def test_plan_json_tells_of_the_boots(tmp_path: Path) -> None:
    root = make_run(tmp_path, RunRecipe(trials=3))
    document = json.loads((root / "plan.json").read_text())
    boots = [{"block": n, "server": f"s{n}", "client": f"c{n}"} for n in (1, 2, 3)]
    (root / "plan.json").write_text(json.dumps(document | {"boots": boots}))
    assert load_run(root).boot_by_block == {1: 1, 2: 2, 3: 3}
    (root / "plan.json").write_text(json.dumps(document))
    assert load_run(root).boots == () and load_run(root).boot_by_block == {}


@pytest.fixture
def started_anew(bench_line: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs `testbed bench` and returns how it ended and where it rebooted."""

    def run(world: World, *words: str) -> tuple[Any, list[str]]:
        done: list[str] = []
        number = iter(range(1, 100))

        class Later:
            def down(self, how: str) -> None:
                done.append(f"{how} after {len(begun(world))} trials")

        monkeypatch.setattr(verb, "bring_up", lambda *_: done.append("up"))
        monkeypatch.setattr("testbed.lab.machines.machines.Machines.down", Later.down)
        monkeypatch.setattr(
            "testbed.lab.experiment.recording._boot_id", lambda _: f"id {next(number)}"
        )
        monkeypatch.setattr("testbed.edge.guests.guest.Guest.uptime_s", lambda _: 61.0)
        return bench_line(world, *words), done

    return run


def begun(world: World) -> list[Any]:
    return [step for step in world.steps if step.line.startswith("<testbed-mpstat>")]


def test_the_machines_are_started_anew_between_groups_of_blocks(
    started_anew: Any, checkout: Path
) -> None:
    world = World()
    said, done = started_anew(world, "--xdp", "--trials", "3", "--boots", "3", "--seed", "7")
    assert (said.status, said.err) == (0, "")
    assert done == ["halt after 2 trials", "up", "halt after 4 trials", "up"]
    run = (checkout / "results/latest").resolve()
    plan = json.loads((run / "plan.json").read_text())
    assert [boot["block"] for boot in plan["boots"]] == [1, 2, 3]
    assert plan["request"]["boots"] == 3
    assert len(list(run.glob("raw/*/trial.json"))) == 6
    assert json.loads((run / "manifest.json").read_text())["status"] == "complete"


def test_one_boot_asks_for_no_boot(started_anew: Any, checkout: Path) -> None:
    said, done = started_anew(World(), "--xdp", "--trials", "2")
    assert (said.status, done) == (0, [])
    plan = json.loads(((checkout / "results/latest").resolve() / "plan.json").read_text())
    assert plan["boots"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--boots", "4", "--trials", "3"), "--boots 4 needs as many blocks, and --trials is 3"),
        (("--boots", "2", "--until-precise", "5%"), "--boots and --until-precise exclude each"),
        (("--boots", "0"), "0 is not in the range"),
    ],
)
def test_what_boots_cannot_be(
    bench_line: Callable[..., Any], words: tuple[str, ...], said: str
) -> None:
    told = bench_line(World(), "--xdp", *words)
    assert told.status == 2
    assert said in told.err


def test_a_boot_is_noted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is resumed on the boot that it was cut off on has no boot more."""
    world = World()
    ids = dict.fromkeys(world.guests, "a")
    monkeypatch.setattr("testbed.lab.experiment.recording._boot_id", lambda guest: ids[guest.role])
    recording = Recording(*[None] * 6, guests=world.guests)  # type: ignore[arg-type,misc]
    monkeypatch.setattr(Recording, "write_plan", lambda *_: None)
    recording.note_boot(1)
    recording.note_boot(2)
    ids["server"] = "b"
    recording.note_boot(3)
    assert [boot["block"] for boot in recording.boots] == [1, 3]
