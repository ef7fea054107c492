# SPDX-License-Identifier: Apache-2.0
"""The page of a count and its picture."""

import json
import re
from html import unescape

import pytest

from testbed.analysis.counting import stages
from testbed.analysis.counting.stages import STAGES
from testbed.analysis.plots.count import Bar, draw_count
from testbed.analysis.receipt.answer import NOT_TIME
from testbed.analysis.receipt.judged import judge_count
from testbed.analysis.receipt.page import render_count
from tests.unit.factories.count_runs import ARMS, count_run, summary, with_facts

TIME = re.compile(r"\b(ns|µs|us|ms|seconds?|faster|slower|quicker|cheaper|cycles?|times as)\b")


@pytest.mark.usefixtures("sketched")
def test_the_page_opens_with_the_answer_and_turns_no_count_into_a_time() -> None:
    files = render_count(judge_count(count_run()))
    page = re.sub(r"(?s)<(style|svg).*?</\1>", "", str(files["report.html"]))
    text = unescape(re.sub(r"<[^>]+>", " ", page))
    assert text.index("executes 888 instructions more") < text.index("What stands out")
    assert NOT_TIME in text
    said = text.replace(NOT_TIME, "")
    assert not TIME.search(said), TIME.search(said)
    assert not TIME.search(str(files["report.md"]).replace(NOT_TIME, ""))


def test_the_same_count_gives_the_same_bytes() -> None:
    once, again = (render_count(judge_count(count_run())) for _ in range(2))
    assert once == again
    assert {name.partition("/")[0] for name in once} == {
        "report.html", "report.md", "derived", "plots",
    }  # fmt: skip


@pytest.mark.usefixtures("no_png")
def test_an_arms_title_is_data_on_the_page_and_in_the_picture() -> None:
    evil = "<script>alert(1)</script> $x$ | `a`"
    run = count_run(titles={"none": evil, "netfilter": evil, "xdp": evil})
    files = render_count(judge_count(run))
    assert "<script" not in str(files["report.html"])
    assert "<script" not in str(files["report.md"])
    assert "\\| \\`a\\`" in str(files["report.md"])


@pytest.mark.usefixtures("no_png")
def test_an_invalid_arm_is_drawn_without_a_difference() -> None:
    bars = [Bar("No hook", {stages.GRO: 10}, True), Bar("A", {stages.GRO: 12}, False),
            Bar("B", {stages.GRO: 99}, False, compared=False)]  # fmt: skip
    drawing = draw_count(bars, STAGES, "stamp", name="count-1")
    assert "A: 12, +2 over no hook" in drawing.alternative
    assert "B: 99." in drawing.alternative
    assert "12 (+2)" in drawing.svg
    assert "99, not compared" in drawing.svg
    assert "+89" not in drawing.svg


@pytest.mark.usefixtures("no_png")
def test_a_picture_of_one_arm_needs_no_other() -> None:
    drawing = draw_count([Bar("A", {stages.GRO: 12}, False)], STAGES, "stamp", name="count-1")
    assert "More or less" not in drawing.svg
    assert drawing.alternative.startswith("Instructions a packet, by stage. A: 12.")


@pytest.mark.usefixtures("no_png")
def test_every_stage_has_a_letter_in_both_widths() -> None:
    every = dict.fromkeys(STAGES, 100)
    for narrow in (False, True):
        drawing = draw_count(
            [Bar("No hook", every, True)], STAGES, "stamp", name="count-1", narrow=narrow
        )
        assert all(f">{letter}</text>" in drawing.svg for letter in "ABCDEFGHIJKLMNOPQ")


@pytest.mark.usefixtures("sketched")
def test_several_payloads_have_a_picture_each_and_a_line_over_them() -> None:
    full = [summary(arm) for arm in ARMS]
    half = [with_facts(arm, payload_bytes=500) for arm in ARMS]
    judged = judge_count(count_run(*full, *half))
    files = render_count(judged)
    assert {"plots/count-1000.svg", "plots/count-500.svg"} <= set(files)
    page = str(files["report.html"])
    assert "How the count grows with the payload" in page
    assert "from 211 to 1,472 bytes" in page
    assert "over the whole life of a packet of 500 bytes: generic XDP" in judged.opening.answers[2]
    assert set(json.loads(str(files["derived/count.json"]))["by_payload"]) == set(ARMS)
