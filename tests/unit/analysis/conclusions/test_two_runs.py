# SPDX-License-Identifier: Apache-2.0
"""Two runs beside each other: refused when unlike, with every difference named."""

import json
from collections.abc import Callable
from dataclasses import replace
from math import log
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.conclusions.two_runs import compare_runs, differences, unpaired_ratio
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from tests.unit.factories.run_factory import RunRecipe, make_run


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Run]:
    first = load_run(make_run(tmp_path_factory.mktemp("first")))
    dearer = RunRecipe(seed=9, cost_us={"xdp": 353.0})
    second = load_run(make_run(tmp_path_factory.mktemp("second"), dearer))
    return first, second


def with_fact(run: Run, document: str, *keys: str, value: object) -> Run:
    facts: dict[str, Any] = json.loads(json.dumps(run.facts))
    place = facts[document]
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return replace(run, facts=facts, manifest={**run.manifest, "accelerator": None})


def test_runs_alike_but_for_an_arm(two: tuple[Run, Run]) -> None:
    assert differences(*two) == ()
    rows = {row.arm: row for row in compare_runs(*two)}
    ratio = rows["xdp"].ratio
    assert ratio is not None
    assert ratio.ratio == pytest.approx(1.1, abs=0.03)
    assert rows["xdp"].verdict == "higher"
    assert rows["none"].verdict.startswith(("no difference", "inconclusive"))


def test_swapping_the_runs_swaps_the_verdict(two: tuple[Run, Run]) -> None:
    there = {row.arm: row for row in compare_runs(*two)}["xdp"]
    back = {row.arm: row for row in compare_runs(*two[::-1])}["xdp"]
    assert there.ratio is not None
    assert back.ratio is not None
    assert back.ratio.ratio == pytest.approx(1 / there.ratio.ratio)
    assert (there.verdict, back.verdict) == ("higher", "lower")


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (("host", "accelerator"), "kvm", "accelerator: emulation in"),
        (("server-before", "uname", "release"), "6.12.1", "server kernel: 6.1.0-41-amd64 in"),
        (("server-before", "nics", "lab0", "driver", "driver"), "igb", "NIC driver: e1000 in"),
        (("host", "cpu_model"), "Another CPU", "host CPU: A Host CPU in"),
        (("host", "cores"), 16, "host cores: 8 in"),
        (("server-before", "clocksource", "current"), "hpet", "clock source: tsc in"),
    ],
)
def test_what_differs_is_named(
    two: tuple[Run, Run], keys: tuple[str, ...], value: object, said: str
) -> None:
    first = replace(two[0], manifest={**two[0].manifest, "accelerator": None})
    found = differences(first, with_fact(two[1], *keys, value=value))
    assert len(found) == 1
    assert found[0].startswith(said)
    assert f"{value} in" in found[0]


def test_what_is_not_recorded_is_not_taken_for_alike(two: tuple[Run, Run]) -> None:
    bare = [with_fact(run, "host", "cpu_model", value=None) for run in two]
    assert "host CPU: not recorded" in differences(*bare)


def test_an_invalid_arm_has_no_ratio(two: tuple[Run, Run]) -> None:
    trials = [
        replace(t, hook_before=replace(t.hook_before, mode="native"))
        if t.arm == "xdp" and t.hook_before else t
        for t in two[1].trials
    ]  # fmt: skip
    rows = {row.arm: row for row in compare_runs(two[0], replace(two[1], trials=tuple(trials)))}
    assert (rows["xdp"].ratio, rows["xdp"].verdict) == (None, "invalid")


def test_welch() -> None:
    """Against scipy.stats.ttest_ind(equal_var=False), degrees of freedom rounded down."""
    stats: Any = pytest.importorskip("scipy.stats")
    ones, twos = [log(x) for x in (100, 104, 98, 101, 103)], [log(x) for x in (90, 95, 91, 99)]
    ratio = unpaired_ratio(ones, twos)
    assert ratio is not None
    assert ratio.low is not None
    known = stats.ttest_ind(ones, twos, equal_var=False).confidence_interval(0.95)
    assert log(ratio.low) <= known.low
    assert log(ratio.low) == pytest.approx(known.low, rel=0.2)
    assert unpaired_ratio(ones[:1], twos) is None


def test_the_command_refuses_and_names_the_difference(
    testbed: Callable[..., Any], checkout: Path
) -> None:
    runs = [make_run(checkout / "results" / name) for name in ("a", "b")]
    for number, run in enumerate(runs):
        run.rename(checkout / "results" / f"20251206T05464{number}Z-0a1b2c")
    names = sorted(p.name for p in (checkout / "results").glob("2*"))
    alike = testbed("compare", *names)
    assert alike.status == 0
    assert "were not interleaved" in alike.out
    facts = checkout / "results" / names[1] / "facts/host.json"
    facts.write_text(facts.read_text().replace("A Host CPU", "Another CPU"))
    unlike = testbed("compare", *names)
    assert unlike.status == 2
    assert f"host CPU: A Host CPU in {runs[0].name}" in unlike.err
    assert "these two runs are not alike" in unlike.err
