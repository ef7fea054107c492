# SPDX-License-Identifier: Apache-2.0
"""Every check is tripped by the fault meant for it, and by nothing in a sound run."""

import re
from pathlib import Path

import pytest

from testbed.analysis.conclusions.comparison import compare, excluded_arms
from testbed.analysis.findings import (
    CHECKS,
    ORDER,
    Finding,
    Verdict,
    about_comparison,
    check_run,
)
from testbed.analysis.reading.run import load_run
from tests import PROJECT
from tests.unit.analysis.findings.test_findings_charts import FAULTS as CHARTS
from tests.unit.analysis.findings.test_findings_kernel import FAULTS as KERNELS
from tests.unit.analysis.findings.test_findings_machine import FAULTS as MACHINES
from tests.unit.analysis.findings.test_findings_traffic import FAULTS as TRAFFIC
from tests.unit.analysis.findings.test_findings_windows import FAULTS as WINDOWS
from tests.unit.factories.run_factory import RunRecipe, make_run

FAULTS = {
    "no manifest": (RunRecipe(complete=False), "complete", Verdict.INVALID, None),
    "truncated mpstat": (
        RunRecipe(truncated=("raw/02-xdp/mpstat.json",)),
        "complete",
        Verdict.INVALID,
        "xdp",
    ),
    "half the packets": (
        RunRecipe(delivered_share={"xdp": 0.5}),
        "delivery",
        Verdict.INVALID,
        "xdp",
    ),
    "two packets in 1,000": (
        RunRecipe(delivered_share={"xdp": 0.998}),
        "delivery",
        Verdict.SUSPECT,
        "xdp",
    ),
    "a broken checksum": (
        RunRecipe(csum_errors={"xdp": 13_999}),
        "checksum",
        Verdict.INVALID,
        "xdp",
    ),
    "a small buffer": (
        RunRecipe(rcvbuf_errors={"netfilter": 3}),
        "receiver",
        Verdict.SUSPECT,
        "netfilter",
    ),
    "a tiny buffer": (
        RunRecipe(rcvbuf_errors={"netfilter": 15}),
        "receiver",
        Verdict.INVALID,
        "netfilter",
    ),
    "no more than idle": (RunRecipe(cost_us={"none": -0.5}), "cost", Verdict.INVALID, "none"),
    "a detached hook": (RunRecipe(hits_share={"xdp": 0.6}), "hits", Verdict.INVALID, "xdp"),
    "a hook that counts double": (
        RunRecipe(hits_share={"xdp": 2.0}),
        "hits",
        Verdict.INVALID,
        "xdp",
    ),
    "a hit where no hook is": (RunRecipe(hits_of_none=1), "hits", Verdict.INVALID, "none"),
    "a wrong mode": (RunRecipe(mode={"xdp": "native"}), "mode", Verdict.INVALID, "xdp"),
    "a logging hook": (
        RunRecipe(log_lines={"netfilter": 11}),
        "logging",
        Verdict.INVALID,
        "netfilter",
    ),
    "an exhibit": (
        RunRecipe(arms=("none", "netfilter", "netfilter-logging")),
        "exhibit",
        Verdict.INVALID,
        "netfilter-logging",
    ),
    "no baseline": (RunRecipe(arms=("netfilter", "xdp")), "baseline", Verdict.SUSPECT, None),
    "one block": (RunRecipe(trials=1), "replication", Verdict.INVALID, None),
    "four blocks": (RunRecipe(trials=4), "replication", Verdict.SUSPECT, None),
}
FOLLOWS = {
    "half the packets": {"ledger"},
    "two packets in 1,000": {"ledger"},
    "a broken checksum": {"delivery", "ledger", "cost"},
    "a tiny buffer": {"delivery", "ledger"},
    "no more than idle": {"floor"},
    "a detached hook": {"ledger"},
    "a hook that counts double": {"ledger"},
    "one block": {"floor"},
}
"""What other checks must or may say when that happens."""


def troubles(parent: Path, recipe: RunRecipe) -> list[Finding]:
    findings = about_comparison(check_run(load_run(make_run(parent, recipe))))
    return [finding for finding in findings if finding.verdict is not Verdict.VALID]


def test_a_sound_run_trips_nothing(tmp_path: Path) -> None:
    findings = check_run(load_run(make_run(tmp_path)))
    assert [f for f in findings if f.verdict is not Verdict.VALID] == []
    assert [f.code for f in findings] == [check.code for check in CHECKS] == list(ORDER)


@pytest.mark.parametrize("accelerator", ["kvm", "emulation"])
def test_a_sound_run_with_controls_trips_nothing(tmp_path: Path, accelerator: str) -> None:
    arms = ("none", "netfilter", "xdp", "netfilter-unmatched", "xdp-unmatched", "xdp-again")
    recipe = RunRecipe(arms=arms, spread=0.01, accelerator=accelerator,
                       cost_us={"xdp-again": 321.0})  # fmt: skip
    assert troubles(tmp_path, recipe) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_trips_its_check(tmp_path: Path, fault: str) -> None:
    recipe, code, verdict, arm = FAULTS[fault]
    found = troubles(tmp_path, recipe)
    mine = [finding for finding in found if finding.code == code]
    assert {(f.code, f.verdict, f.scope.arm) for f in mine} == {(code, verdict, arm)}
    assert {f.code for f in found} - {code} <= FOLLOWS.get(fault, set())
    assert all(f.evidence and f.advice and f.statement for f in found)


def test_every_check_has_a_fault_that_trips_it() -> None:
    tables = (MACHINES, KERNELS, TRAFFIC, CHARTS, WINDOWS)
    changed = {fault.code for faults in tables for fault in faults.values()}
    elsewhere = {"ledger", "device", "merging", "same-work", "sample", "aa"}  # tests of their own
    recipes = {code for _, code, _, _ in FAULTS.values()}
    assert recipes | changed | elsewhere == {check.code for check in CHECKS}


def test_every_check_is_documented() -> None:
    page = (PROJECT / "docs/measuring.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([a-z-]+)`(?: \*mpstat\*)? \|", page, re.M)
    assert rows == [check.code for check in CHECKS], "the table in the checks' order"
    for check in CHECKS:
        assert all((check.what, check.why, check.threshold, check.source))


def test_what_a_wrong_checksum_drops_is_not_the_receivers_fault(tmp_path: Path) -> None:
    """The kernel counts such packets among the socket's drops, too."""
    run = load_run(make_run(tmp_path, RunRecipe(csum_errors={"xdp": 900})))
    assert [t.server.socket_drops for t in run.trials_of("xdp") if t.server] == [900] * 5
    codes = {f.code for f in check_run(run) if f.verdict is not Verdict.VALID}
    assert "checksum" in codes and "receiver" not in codes


@pytest.mark.parametrize(
    ("hits_share", "where"),
    [
        (1.0, ", the rest was lost after the hook"),
        (0.998, ", the rest never reached the hook"),
        (0.999, ", 14 of the rest never reached the hook"),
    ],
)
def test_a_loss_is_placed_before_or_after_the_hook(
    tmp_path: Path, hits_share: float, where: str
) -> None:
    recipe = RunRecipe(delivered_share={"xdp": 0.998}, hits_share={"xdp": hits_share})
    (found, *_) = troubles(tmp_path, recipe)
    assert found.statement == f"13,972 of 14,000 packets arrived (99.80\u00a0%){where}"


@pytest.mark.parametrize("control_sent", [3, None])
def test_control_datagrams_are_no_surplus_at_a_low_rate(
    tmp_path: Path, control_sent: int | None
) -> None:
    assert troubles(tmp_path, RunRecipe(offered=1000, control_sent=control_sent)) == []


def test_what_the_link_lost_before_the_hook_is_not_the_hooks_fault(tmp_path: Path) -> None:
    recipe = RunRecipe(delivered_share={"xdp": 0.996}, hits_share={"xdp": 0.997})
    found = {f.code: f.verdict for f in troubles(tmp_path, recipe)}
    assert set(found.values()) == {Verdict.SUSPECT}
    assert set(found) == {"delivery", "ledger", "device"}


def test_a_hook_that_missed_a_packet_in_a_hundred(tmp_path: Path) -> None:
    all_found = troubles(tmp_path, RunRecipe(hits_share={"xdp": 0.99}))
    found = next(finding for finding in all_found if finding.code == "hits")
    assert found.verdict is Verdict.INVALID
    assert found.statement == "the hook handled 13,863 packets, but 14,000 arrived"


def test_log_lines_are_counted_where_the_ring_buffer_forgot_them(tmp_path: Path) -> None:
    recipe = RunRecipe(log_lines={"netfilter": 28_000}, log_lines_kept=5)
    (found, *_) = troubles(tmp_path, recipe)
    assert (found.code, found.statement) == ("logging", "28,000 kernel log lines")
    assert [e.observed for e in found.evidence] == [28_000, 5]


def test_ten_log_lines_a_trial_are_let_pass_where_every_arm_has_them(tmp_path: Path) -> None:
    everywhere = dict.fromkeys(("none", "netfilter", "xdp"), 10)
    assert troubles(tmp_path, RunRecipe(log_lines=everywhere)) == []


def test_a_line_for_every_so_many_packets_is_by_design(tmp_path: Path) -> None:
    (found,) = troubles(tmp_path, RunRecipe(log_lines={"netfilter": 4}, offered=4000))
    assert (found.code, found.verdict, found.scope.arm) == ("logging", Verdict.SUSPECT, "netfilter")
    assert found.statement == "20 kernel log lines in 20,000 packets: one in 1,000"


def test_two_lines_are_chance(tmp_path: Path) -> None:
    assert troubles(tmp_path, RunRecipe(log_lines={"netfilter": 1}, trials=5)) == []


def test_an_invalid_arm_is_in_no_comparison(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(mode={"xdp": "native"})))
    findings = check_run(run)
    assert excluded_arms(run, findings) == {"xdp": ("mode",)}
    ratios = {(c.arm, c.reference): c.ratio is not None for c in compare(run, findings)}
    assert ratios == {
        ("xdp", "netfilter"): False,
        ("netfilter", "none"): True,
        ("xdp", "none"): False,
    }


@pytest.mark.parametrize(
    "recipe",
    [RunRecipe(delivered_share={"xdp": 0.98}), RunRecipe(complete=False, trials_done=9)],
)
def test_loss_or_an_incomplete_run_allow_no_comparison(tmp_path: Path, recipe: RunRecipe) -> None:
    run = load_run(make_run(tmp_path, recipe))
    assert compare(run, check_run(run)) == ()


def test_a_suspicion_marks_the_comparisons_of_its_arm(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path, RunRecipe(rcvbuf_errors={"xdp": 1})))
    marked = {(c.arm, c.reference) for c in compare(run, check_run(run)) if c.suspect}
    assert marked == {("xdp", "netfilter"), ("xdp", "none")}


def test_the_originals_recipe_fails_as_the_original_did(tmp_path: Path) -> None:
    recipe = RunRecipe(
        arms=("netfilter-logging", "xdp-bounded-csum"),
        delivered_share={"netfilter-logging": 0.911, "xdp-bounded-csum": 1 / 14_000},
        csum_errors={"xdp-bounded-csum": 13_999},
        log_lines={"netfilter-logging": 500},
    )
    codes = {finding.code for finding in troubles(tmp_path, recipe)}
    assert codes == {
        "delivery", "ledger", "checksum", "cost", "logging", "exhibit", "baseline",
    }  # fmt: skip
