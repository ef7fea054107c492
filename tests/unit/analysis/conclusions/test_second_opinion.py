# SPDX-License-Identifier: Apache-2.0
"""Where the host's clock orders the arms otherwise than the guest's, the page says so."""

from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.conclusions.comparison import compare
from testbed.analysis.conclusions.second_opinion import disagreements, order_text
from testbed.analysis.page.judged import judge
from testbed.analysis.page.report import render_report
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from tests.unit.factories.run_changes import plain, trials
from tests.unit.factories.run_factory import RunRecipe, make_run

pytestmark = pytest.mark.usefixtures("sketched")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    costs = {"netfilter": 315.0, "xdp": 290.0}
    return load_run(make_run(tmp_path_factory.mktemp("run"), RunRecipe(cost_us=costs)))


def seen_by_host(run: Run, cpu_s: float, odd: float = 0.0, arm: str = "xdp") -> Run:
    """The host ran the server's virtual CPUs for so much longer in an arm's traffic."""

    def change(trial: Trial) -> Trial:
        end = trial.host["end"]
        more_ns = round((cpu_s + (odd if trial.block % 2 else -odd)) * 1e9)
        ran = {**end.vcpu_run_ns, "server": end.vcpu_run_ns["server"] + more_ns}
        return replace(trial, host={**trial.host, "end": replace(end, vcpu_run_ns=ran)})

    return trials(change, arm)(run)


def test_clocks_that_agree_say_nothing(run: Run) -> None:
    assert disagreements(run, compare(run, ())) == ()
    assert "orders the two otherwise" not in " ".join(judge(run).opening.notes)


def test_clocks_that_disagree_are_said_first_and_on_the_page(run: Run) -> None:
    other = seen_by_host(run, 2.0)
    (found,) = (d for d in disagreements(other, compare(other, ())) if d.comparison.is_headline)
    assert found.is_clear
    note = plain(judge(other).opening.notes[0])
    assert note == plain(order_text(other, found))
    assert note.startswith(
        "The host’s clock orders the two otherwise: by its count “XDP program, generic mode” took "
        "more than “Netfilter kernel module”, 1."
    )
    assert note.endswith("One of the two clocks is wrong about these arms: believe neither order.")
    assert note in plain(str(render_report(other)["report.html"]))


def test_a_disagreement_within_the_hosts_own_spread_is_said_milder(run: Run) -> None:
    other = seen_by_host(run, 0.9, odd=0.8)
    found = [d for d in disagreements(other, compare(other, ())) if d.comparison.is_headline]
    assert [d.is_clear for d in found] == [False]
    assert "may be an artefact of the clock" in order_text(other, found[0])


def test_what_the_host_did_not_record_disagrees_with_nothing(run: Run) -> None:
    bare = trials(lambda trial: replace(trial, host={}))(run)
    assert disagreements(bare, compare(bare, ())) == ()


def test_an_order_against_no_hook_is_said_at_the_instruments(run: Run) -> None:
    other = seen_by_host(seen_by_host(run, 3.0), 3.0, arm="netfilter")
    other = seen_by_host(other, 9.0, arm="none")
    notes = " ".join(judge(other).opening.notes)
    page = plain(str(render_report(other)["report.html"]))
    assert "by its count “Netfilter kernel module” took less than “No hook”" not in plain(notes)
    assert page.count("by its count “Netfilter kernel module” took less than “No hook”") == 1


def test_the_page_of_arms_against_no_hook_says_it_at_the_instruments(tmp_path: Path) -> None:
    costs = {"none": 300.0, "xdp": 315.0}
    recipe = RunRecipe(arms=("none", "xdp"), cost_us=costs)
    run = seen_by_host(load_run(make_run(tmp_path, recipe)), 2.0, arm="none")
    page = plain(str(render_report(run)["report.html"]))
    assert "by its count “XDP program, generic mode” took less than “No hook”" in page
