# SPDX-License-Identifier: Apache-2.0
"""Two runs of which an arm must not be compared: no crash, a reason for each, exit code 7."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.conclusions.two_runs import Across, arms_of_one, compare_runs, unpaired_ratio
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from testbed.analysis.reading.trial_records import Snap
from tests.unit.factories.run_changes import of_client
from tests.unit.factories.run_factory import RunRecipe, make_run

Testbed = Callable[..., Any]


def made(parent: Path, **recipe: Any) -> Run:
    return load_run(make_run(parent, RunRecipe(**recipe)))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return made(tmp_path_factory.mktemp("sound"))


def free_of_charge(run: Run, arm: str = "xdp") -> Run:
    """The server idled through all of an arm's traffic: a cost of nearly 0 or less."""

    def idle(snap: Snap) -> Snap:
        total = {**snap.stat.total, "idle": snap.stat.total["idle"] + 2_000}
        return replace(snap, stat=replace(snap.stat, total=total))

    trials = tuple(
        replace(t, server=replace(t.server, after=idle(t.server.after)))
        if t.arm == arm and t.server else t
        for t in run.trials
    )  # fmt: skip
    return replace(run, trials=trials)


def rows_of(first: Run, second: Run) -> Mapping[str, Across]:
    return {row.arm: row for row in compare_runs(first, second)}


@pytest.mark.parametrize("swapped", [False, True])
def test_an_arm_that_cost_nothing_is_refused_and_named(sound: Run, swapped: bool) -> None:
    pair = [replace(sound, run_id="A"), replace(free_of_charge(sound), run_id="B")]
    rows = rows_of(*(pair[::-1] if swapped else pair))
    assert (rows["xdp"].ratio, rows["xdp"].verdict) == (None, "invalid")
    assert rows["xdp"].why.startswith("B: INVALID ") and "cost" in rows["xdp"].why
    assert rows["none"].ratio is not None and rows["none"].why == ""


def test_a_run_that_lost_packets_allows_no_ratio_at_all(sound: Run, tmp_path: Path) -> None:
    lossy = made(tmp_path, delivered_share={"xdp": 0.9})
    rows = rows_of(sound, lossy)
    assert {row.verdict for row in rows.values()} == {"invalid"}
    assert all("INVALID delivery" in row.why for row in rows.values())


def test_an_incomplete_run_has_nothing_to_compare(sound: Run, tmp_path: Path) -> None:
    rows = rows_of(sound, made(tmp_path, complete=False, trials_done=7))
    assert {row.verdict for row in rows.values()} == {"invalid"}
    assert "the run is not complete" in rows["xdp"].why


def test_one_trial_is_no_sample(sound: Run, tmp_path: Path) -> None:
    one = made(tmp_path, trials=1)
    assert {r.verdict for r in rows_of(sound, one).values()} == {"invalid"}  # `replication`
    few = replace(sound, trials=tuple(t for t in sound.trials if t.arm != "xdp" or t.block == 1))
    assert rows_of(few, few)["xdp"].ratio is None


def test_runs_without_a_baseline_are_compared_and_doubted(tmp_path: Path) -> None:
    hooks = [made(tmp_path / name, arms=("netfilter", "xdp")) for name in "ab"]
    row = rows_of(*hooks)["xdp"]
    assert row.ratio is not None and row.suspect


def test_arms_of_only_one_run_are_named(sound: Run, tmp_path: Path) -> None:
    other = replace(made(tmp_path, arms=("none", "xdp")), run_id="B")
    assert list(rows_of(sound, other)) == ["none", "xdp"]
    assert arms_of_one(sound, other) == (f"Netfilter kernel module, in {sound.run_id}",)


def test_an_arm_sent_at_another_rate_has_no_answer(sound: Run) -> None:
    slower = of_client(achieved_pps=9_400.0)(sound)
    row = rows_of(sound, slower)["xdp"]
    assert (row.ratio, row.verdict) == (None, "no answer")
    assert "9,993 packets/s in" in row.why and "9,400 in" in row.why
    assert rows_of(sound, of_client(achieved_pps=9_600.0)(sound))["xdp"].ratio is not None


def test_a_ratio_beyond_numbers_is_none() -> None:
    assert unpaired_ratio([400.0, 401.0], [1.0, 1.1]) is None


def two_runs(checkout: Path, **second: Any) -> list[str]:
    names = []
    for number, recipe in enumerate(({}, second)):
        name = f"20251206T05464{number}Z-0a1b2c"
        made_at = make_run(checkout / "results" / str(number), RunRecipe(**recipe))
        manifest = json.loads((made_at / "manifest.json").read_text())
        (made_at / "manifest.json").write_text(json.dumps(manifest | {"run_id": name}))
        made_at.rename(checkout / "results" / name)
        names.append(name)
    return names


def test_an_invalid_arm_ends_with_seven_and_says_why(testbed: Testbed, checkout: Path) -> None:
    names = two_runs(checkout, mode={"xdp": "native"})
    done = testbed("compare", *names)
    assert done.status == 7
    line = next(line for line in done.out.splitlines() if line.startswith("XDP"))
    assert line.endswith(f"invalid: {names[1]}: INVALID mode")
    assert "Traceback" not in done.err
    as_json = testbed("compare", "--json", *names)
    assert as_json.status == 7
    rows = {row["arm"]: row for row in json.loads(as_json.out)["arms"]}
    assert rows["xdp"]["why"].endswith("INVALID mode") and rows["xdp"]["ratio"] is None


def test_a_cost_below_zero_ends_with_seven(testbed: Testbed, checkout: Path) -> None:
    names = two_runs(checkout, cost_us={"xdp": -5.0})
    done = testbed("compare", *names)
    assert done.status == 7
    assert "Traceback" not in done.err and "invalid: " in done.out


def test_one_run_twice_is_refused(testbed: Testbed, checkout: Path) -> None:
    name, _ = two_runs(checkout)
    done = testbed("compare", name, name)
    assert done.status == 2
    assert f"{name} is one run" in done.err


def test_no_arm_in_common_is_refused(testbed: Testbed, checkout: Path) -> None:
    names = two_runs(checkout, arms=("other-a", "other-b"))
    done = testbed("compare", *names)
    assert done.status == 2
    assert "no arm in common" in done.err and "No hook, in" in done.err
