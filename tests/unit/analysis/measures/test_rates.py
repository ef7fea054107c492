# SPDX-License-Identifier: Apache-2.0
"""Arms that were sent at different rates: no ratio, and which way the rates pull."""

import math
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.conclusions.comparison import NO_ANSWER, compare
from testbed.analysis.findings import Verdict, check_run
from testbed.analysis.measures.rates import (
    bias,
    cost_follows_rate,
    lower_rate,
    mean_rate,
    rates_apart,
)
from testbed.analysis.page.judged import judge
from testbed.analysis.page.report import render_report
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from testbed.analysis.reading.trial_records import HostReading
from tests.unit.factories.run_changes import found_by, of_client, of_end, plain, trials
from tests.unit.factories.run_factory import RunRecipe, make_run

pytestmark = pytest.mark.usefixtures("sketched")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run")))


def follows(slope: float) -> object:
    """Every arm's trials at rates of their own, and costs that follow them."""

    def change(trial: Trial) -> Trial:
        assert trial.client is not None and trial.server is not None
        share = 1 - 0.02 * (trial.block % 5)
        unique = round(trial.server.unique * share**-slope)
        return replace(
            trial,
            client=replace(trial.client, achieved_pps=10_000.0 * share),
            server=replace(trial.server, unique=unique),
        )

    return change


def slowed(run: Run, slope: float) -> Run:
    for arm in ("none", "netfilter", "xdp"):
        run = trials(follows(slope), arm)(run)  # type: ignore[arg-type]
    return run


def test_a_rate_five_per_cent_apart_makes_half_of_the_smallest_effect() -> None:
    assert bias(1000.0, 1050.0) == pytest.approx(math.sqrt(1.05) - 1)
    assert bias(1000.0, 1050.0) < 0.025 < bias(1000.0, 1052.0)


@pytest.mark.parametrize(("pps", "withheld"), [(9_700.0, False), (9_540.0, False), (9_400.0, True)])
def test_arms_far_apart_in_rate_have_no_ratio(run: Run, pps: float, withheld: bool) -> None:
    slower = of_client(achieved_pps=pps)(run)
    said = judge(slower)
    (headline,) = (c for c in said.comparisons if c.is_headline)
    assert (headline.ratio is None, headline.verdict == NO_ANSWER) == (withheld, withheld)
    if not withheld:
        return
    assert said.opening.status == "SUSPECT"
    assert said.opening.headline == "No ratio is printed: the arms were not sent the same load."
    (answer,) = said.opening.answers
    assert plain(answer) == (
        "No answer: “XDP program, generic mode” was sent 6 % fewer packets a second than "
        "“Netfilter kernel module” (9,400 and 9,994), and a packet costs more at a lower rate. "
        "Measure again with --rate 5600, so that every arm gets the same."
    )
    against_none = {c.arm: c.verdict for c in said.comparisons if not c.is_headline}
    assert against_none["xdp"] == NO_ANSWER != against_none["netfilter"]
    page = render_report(slower)["report.html"]
    assert "Not compared (invalid)" not in str(page) and "no answer" in str(page)


def test_the_rates_say_which_arm_looks_dearer(run: Run) -> None:
    slower = of_client(achieved_pps=9_400.0)(run)
    statements = [plain(f.statement) for f in found_by(slower, "generator") if not f.scope.arm]
    assert statements == [
        "the arms were not sent the same load: 9,400 packets/s to “XDP program, generic mode”, "
        "9,994 to “Netfilter kernel module”; by that alone “XDP program, generic mode” looks "
        "dearer, by about 3 %"
    ]


def test_costs_that_follow_the_rate_are_said(run: Run) -> None:
    found = cost_follows_rate(slowed(run, -1.5))
    assert found is not None
    assert found.correlation == pytest.approx(-0.9, abs=0.1)
    assert found.slope == pytest.approx(-1.5, abs=0.6)
    (said,) = (f for f in found_by(slowed(run, -1.5), "generator") if not f.scope.arm)
    assert said.verdict is Verdict.SUSPECT
    assert "1 % fewer packets a second went with 1." in plain(said.statement)


def test_costs_that_do_not_follow_it_are_not(run: Run) -> None:
    assert cost_follows_rate(run) is None
    assert cost_follows_rate(slowed(run, 0.0)) is None


def test_a_slope_of_rates_that_hardly_differ_is_noise(run: Run) -> None:
    """In trials of one rate, give or take 0.1 %, any slope fits."""
    assert len({t.client.achieved_pps for t in run.trials if t.client}) > 1
    assert cost_follows_rate(run) is None


def test_the_runs_own_dependence_withholds_earlier(run: Run) -> None:
    steep = slowed(run, -1.5)
    pair = (steep.arm("netfilter"), steep.arm("xdp"))
    apart = trials(lambda t: replace(t, client=replace(
        t.client, achieved_pps=t.client.achieved_pps * 0.97)) if t.client and t.client.achieved_pps
        else t)(steep)  # fmt: skip
    assert rates_apart(apart, pair, None) is None
    assert rates_apart(apart, pair, cost_follows_rate(steep)) is not None


def test_rates_that_are_not_recorded_withhold_nothing(run: Run) -> None:
    unknown = of_client(achieved_pps=None)(run)
    assert mean_rate(unknown, "xdp") is None
    assert all(c.verdict != NO_ANSWER for c in compare(unknown, check_run(unknown)))


def test_a_lower_rate_is_below_what_the_slowest_trial_kept(run: Run) -> None:
    assert lower_rate(run) == 7_000  # kept everywhere: 0.7 of 10,000
    assert lower_rate(of_client(achieved_pps=3_169.0)(run)) == 1_900
    assert lower_rate(replace(run, trials=())) is None
    assert lower_rate(of_client(achieved_pps=0.4)(replace(run, trials=run.trials[:0]))) is None


def test_what_to_do_first_is_about_the_cause(run: Run) -> None:
    """A rate that was not kept is INVALID; that the host was full is only SUSPECT, and why."""
    slow = of_client(achieved_pps=5_000.0)(run)
    assert judge(slow).opening.reasons[-1].startswith("What to do first: Arms that are sent")

    def waits(reading: HostReading) -> HostReading:
        waited = {**reading.vcpu_wait_ns}
        waited["server"] += 4_000_000_000
        return replace(reading, vcpu_wait_ns=waited)

    full = judge(of_end(waits)(slow)).opening
    assert full.status == "INVALID"
    assert full.reasons[-1].startswith("What to do first: The two machines themselves fill")


def test_a_host_that_was_taken_away_is_one_bullet_with_the_worst_reading(run: Run) -> None:
    def waits(reading: HostReading) -> HostReading:
        waited = {**reading.vcpu_wait_ns}
        waited["server"] += 6_000_000_000
        return replace(reading, vcpu_wait_ns=waited)

    full = run
    for arm in ("none", "netfilter", "xdp"):
        full = of_end(waits, arm)(full)
    said, first = (plain(line) for line in judge(full).opening.reasons)
    assert said.startswith(
        "No hook, Netfilter kernel module, XDP program, generic mode: the machines did not have "
        "the host's CPUs (at worst: the server’s virtual CPUs were ready to run but had no host "
    )
    assert first.startswith("What to do first: The two machines")


def test_no_ratio_means_no_advice_for_more_blocks(tmp_path: Path) -> None:
    noisy = load_run(make_run(tmp_path, RunRecipe(spread=0.3)))
    assert found_by(noisy, "replication")
    assert not found_by(of_client(achieved_pps=9_000.0)(noisy), "replication")
