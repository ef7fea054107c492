# SPDX-License-Identifier: Apache-2.0
"""The rendered files: deterministic, offline, honest; text from files is data."""

import csv
import io
import json
import re
import shutil
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from testbed.analysis.conclusions.csv_and_json import COLUMNS
from testbed.analysis.formats.templates import TEMPLATES, markdown_text
from testbed.analysis.page.report import render_report
from testbed.analysis.plots.svg import INK
from testbed.analysis.reading.run import load_run
from testbed.model.errors import UsageError
from tests.unit.factories.run_factory import RunRecipe, make_run
from tests.unit.factories.sketches import EVERY, rendered, sketched

pytestmark = pytest.mark.usefixtures("sketched")

LOSSY = RunRecipe(
    arms=("none", "netfilter", "xdp-bounded-csum"),
    delivered_share={"xdp-bounded-csum": 1 / 14_000},
    csum_errors={"xdp-bounded-csum": 13_999},
)

DRAWN = ("comparison", "ledger", "ledger-narrow", "cpu-none", "cpu-netfilter", "cpu-xdp")


class Page(HTMLParser):
    """Collects ids, requests a browser would make, headings, and the visible text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.requests: list[str] = []
        self.links: list[str] = []
        self.unscoped = 0
        self.words: list[str] = []
        self.hidden = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.hidden += tag in ("style", "svg")
        if "id" in given:
            self.ids.append(given["id"])
        if "src" in given:
            self.requests.append(given["src"])
        if tag == "link":
            self.requests.append(given["href"])
        if tag == "a":
            self.links.append(given["href"])
        if tag == "th" and "scope" not in given:
            self.unscoped += 1

    def handle_endtag(self, tag: str) -> None:
        self.hidden -= tag in ("style", "svg")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split()).replace("\u00a0", " ")


def before_the_checks(text: str) -> str:
    """Without the table that explains every check, whatever the run."""
    return text[: text.index("checks, their thresholds and sources")]


def test_the_files() -> None:
    files = rendered()
    assert {name for name in files if "mpstat" not in name} == {
        "report.html",
        "report.md",
        "derived/trials.csv",
        "derived/findings.json",
        *(f"plots/{name}.{end}" for name in DRAWN for end in ("svg", "png")),
    }
    assert sum(name.startswith("derived/mpstat/") for name in files) == 15
    assert {name for name, content in files.items() if isinstance(content, bytes)} == {
        name for name in files if name.endswith(".png")
    }


def test_twice_the_same_bytes(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    with sketched(EVERY):
        assert render_report(load_run(root)) == rendered(drawn=EVERY)


def test_the_page_is_sound_and_asks_for_nothing(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    files = rendered(drawn=EVERY)
    page = Page(files["report.html"])
    assert "script" not in page.tags
    assert page.requests == ["data:,"]
    assert len(page.ids) == len(set(page.ids))
    assert page.unscoped == 0
    assert page.tags.count("h1") == 1
    assert page.tags.count("table") >= page.tags.count("caption") >= 4
    assert not re.search(r"https?://(?!www\.w3\.org/)", files["report.html"])
    for link in page.links:
        if not link.startswith("#"):
            assert link.rstrip("/") in files or (root / link).exists(), link


def test_figures_are_well_formed_and_say_what_they_show() -> None:
    files = rendered(LOSSY, EVERY)
    for name, content in files.items():
        if name.endswith(".svg"):
            root = ET.fromstring(content)
            assert root.get("role") == "img"
            assert root.get("aria-label")
            assert "currentColor" in content
            assert INK not in content
    assert files["report.html"].count('role="img"') == 6


def test_a_valid_run_gives_one_answer_with_its_interval() -> None:
    text = Page(rendered()["report.html"]).text
    assert "VALID Every check holds" in text
    assert re.search(
        r"“XDP program, generic mode” took \d\.\d+ times the non-idle time per delivered packet of "
        r"“Netfilter kernel module” \(95 % interval \d\.\d+ to \d\.\d+, 5 blocks\)\.",
        text,
    )
    assert "e1000, has no XDP of its own" in text
    assert "testbed bench --arms none,netfilter,xdp" in text


def test_swapped_data_swaps_the_sentence() -> None:
    said = []
    for netfilter, xdp in ((300.0, 200.0), (200.0, 300.0)):
        recipe = RunRecipe(cost_us={"netfilter": netfilter, "xdp": xdp})
        text = Page(rendered(recipe)["report.html"]).text
        match = re.search(r"(\w+): “XDP program, generic mode” took (0|1)\.", text)
        said.append(match.groups() if match else ())
    assert said == [("Lower", "0"), ("Higher", "1")]


def test_noise_larger_than_the_effect_is_inconclusive_and_says_how_wide() -> None:
    text = Page(rendered(RunRecipe(spread=0.15))["report.html"]).text
    assert re.search(
        r"Inconclusive: “XDP program, generic mode” took \d\.\d\d times .* in these 5 blocks, "
        r"but the 95 % interval, 0\.\d\d to 1\.\d\d, reaches from \d+ % less to \d+ % more\. "
        r"The trials vary too much to say which takes less\. If mean and spread stay as they were, "
        r"a new run of \d+ blocks settles it with 80 % probability \(--trials \d+\)\.",
        text,
    )


def test_one_block_has_no_interval_and_says_so() -> None:
    text = Page(rendered(RunRecipe(trials=1))["report.html"]).text
    assert "INVALID No ratio is printed" in text
    assert "The run: one block has no interval." in text


def test_every_hook_stands_against_no_hook() -> None:
    files = rendered()
    assert "Ratio to no hook" in Page(files["report.html"]).text
    number = r"\d+(?:\.\d+)?"
    for title, ratio in (
        ("No hook", "1 \\|"),
        ("Netfilter kernel module", rf"1\.\d+ \| {number} to {number} \| \w+"),
        ("XDP program, generic mode", rf"1\.\d+ \| {number} to {number} \| \w+"),
    ):
        row = rf"^\| {title} \| \w+ \| {number} \| {number} \| {ratio}"
        assert re.search(row, files["report.md"], re.M), title


def test_loss_is_said_first_and_no_ratio_is_printed() -> None:
    files = rendered(LOSSY, EVERY)
    text = Page(files["report.html"]).text
    assert "INVALID No ratio is printed: in 5 of 15 trials less than 99 % of the packets" in text
    assert "delivered 5 of 70,000 packets (0.01 %)" in text
    assert text.index("delivered 5 of") < text.index("Cost per delivered packet")
    for page in (before_the_checks(text), files["report.md"]):
        assert "95 % interval" not in page
        assert "Ratio" not in page
    assert "% of no hook" not in files["report.html"]
    assert json.loads(files["derived/findings.json"])["comparisons"] == []


def test_one_short_trial_is_named_with_its_own_numbers(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    path = root / "raw/03-none/server.json"
    document = json.loads(path.read_text())
    document["trials"][0]["unique"] = 13_847
    path.write_text(json.dumps(document))
    text = Page(render_report(load_run(root))["report.html"]).text
    assert "in 1 of 15 trials less than 99 % of the packets arrived" in text
    assert "No hook: delivered 13,847 of 14,000 packets (98.91 %) in trial 3" in text


def test_findings_alike_are_said_once() -> None:
    recipe = RunRecipe(
        delivered_share={"xdp": 0.998}, mode={"xdp": "native"}, log_lines={"netfilter": 11}
    )
    text = Page(rendered(recipe)["report.html"]).text
    assert "XDP program, generic mode, all 5 trials: 13,972 of 14,000 packets arrived" in text
    assert "Netfilter kernel module, all 5 trials: 11 kernel log lines." in text
    assert text.count("The label would be false") == 2  # at the finding, and as the first to do


def test_of_findings_that_differ_in_degree_the_worst_is_named(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    for block, unique in ((2, 13_980), (4, 13_950)):
        path = root / f"raw/{block:02d}-xdp/server.json"
        document = json.loads(path.read_text())
        document["trials"][0]["unique"] = unique
        path.write_text(json.dumps(document))
    text = Page(render_report(load_run(root))["report.html"]).text
    assert (
        "XDP program, generic mode, 2 of 5 trials (2, 4); the worst, trial 4: "
        "13,950 of 14,000 packets arrived (99.64 %), the rest was lost after the hook."
    ) in text


def test_an_exhibit_beside_fair_arms_is_not_ranked_by_the_axis() -> None:
    arms = ("none", "netfilter", "xdp", "netfilter-logging")
    recipe = RunRecipe(arms=arms, log_lines={"netfilter-logging": 50})
    files = rendered(recipe, ("comparison",))
    text = Page(files["report.html"]).text
    assert "Compared without Netfilter module that logs every packet" in text
    assert "per delivered packet of “Netfilter kernel module”" in text
    assert "% of no hook" not in files["plots/comparison.svg"]


def test_an_incomplete_run_says_so_first_and_compares_nothing() -> None:
    files = rendered(RunRecipe(complete=False, trials_done=7))
    text = Page(files["report.html"]).text
    assert "INCOMPLETE This run did not finish: 7 of 15 planned trials have files." in text
    assert "95 % interval" not in before_the_checks(text)
    assert "manifest.json with checksums" not in text
    assert files["report.md"].index("INCOMPLETE") < files["report.md"].index("| Arm")


def test_a_run_without_any_trial_still_has_a_page() -> None:
    files = rendered(RunRecipe(complete=False, trials_done=0))
    assert "0 of 15 planned trials" in files["report.html"]
    assert not [name for name in files if name.endswith(".svg")]


def test_a_run_of_one_arm() -> None:
    text = Page(rendered(RunRecipe(arms=("xdp",)))["report.html"]).text
    assert "Only one hook was measured" in text


def test_an_unknown_number_is_an_empty_cell() -> None:
    files = rendered(RunRecipe(missing=("raw/02-xdp/server.json",)))
    rows = list(csv.DictReader(io.StringIO(files["derived/trials.csv"])))
    assert tuple(rows[0]) == COLUMNS
    assert len(rows) == 15
    (row,) = (r for r in rows if (r["arm"], r["block"]) == ("xdp", "2"))
    assert (row["offered"], row["delivered"], row["cost_us"]) == ("14000", "", "")
    assert "raw/02-xdp/server.json: missing" in files["report.html"]


def test_text_from_files_is_data(tmp_path: Path) -> None:
    root = make_run(tmp_path)
    evil = "<script>alert(1)</script> $x_1$ | **b** “&amp;”"
    plan = json.loads((root / "plan.json").read_text())
    plan["arms"][2]["title"] = evil
    plan["command"].append("<img src=x>")
    (root / "plan.json").write_text(json.dumps(plan))
    (root / "facts/host.json").write_text(json.dumps({"accelerator_reason": evil}))
    with sketched(EVERY):
        files = render_report(load_run(root))
    page = Page(files["report.html"])
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert evil in page.text
    assert "<script" not in files["report.md"]
    assert "$x_1$" in files["plots/comparison.svg"]
    ET.fromstring(files["plots/comparison.svg"])


def test_markdown_text_is_escaped() -> None:
    assert markdown_text("a|b <i>*x*\n# y") == r"a\|b &lt;i&gt;\*x\* \# y"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("report.html.j2", "a\n{% if %}", "report.html.j2, line 2"),
        ("report.html.j2", "a\nb\n{{ nonsense }}", "report.html.j2, line 3: 'nonsense'"),
        ("report.html.j2", "a\n{{ 1 // 0 }}", "report.html.j2, line 2: ZeroDivisionError"),
        ("report.html.j2", "{% include 'no.css' %}", "report.html.j2, line 1: 'no.css'"),
        ("style.css", "a {\n{% if %}", "style.css, line 2"),
        ("base.html.j2", "<p>\n{{ nothing.there }}", "base.html.j2, line 2: 'nothing'"),
        ("report.md.j2", None, "report.md.j2 is missing"),
    ],
)
def test_a_broken_template_is_named_with_its_line(
    tmp_path: Path, name: str, text: str | None, message: str
) -> None:
    directory = tmp_path / "templates"
    directory.mkdir()
    shutil.copytree(TEMPLATES, directory, dirs_exist_ok=True)
    if text is None:
        (directory / name).unlink()
    else:
        (directory / name).write_text(text)
    run = load_run(make_run(tmp_path))
    with pytest.raises(UsageError) as caught:
        render_report(run, directory)
    assert message in caught.value.message


def test_the_sections_come_in_the_order_of_a_readers_questions() -> None:
    html = rendered()["report.html"]
    assert re.findall(r'<h2 id="([^"]+)"', html) == [
        "verdict", "cost", "ledger", "same-work", "instruments", "trials", "cpu", "findings",
        "method", "environment", "repeat", "files",
    ]  # fmt: skip


def test_a_loss_too_small_to_draw_is_written_in_the_picture_and_in_the_table() -> None:
    """Seven packets of 70,000: a river would be a fortieth of a hair thinner."""
    recipe = RunRecipe(delivered_share={"xdp": 1 - 7 / 14_000})
    files = rendered(recipe, ("ledger", "ledger-narrow"))
    for name in ("plots/ledger.svg", "plots/ledger-narrow.svg"):
        assert "\u221235 (0.05\u00a0%)" in files[name]
    assert "69,965 (\u221235)" in files["report.md"]
    text = Page(files["report.html"]).text
    assert "35 of 70,000 packets lost between “client NIC tx” and “server NIC rx”" in text


def test_every_hop_has_its_packets_and_its_counter() -> None:
    files = rendered()
    rows = re.findall(
        r"^\| ([a-z][^|]+) \| ([^|]*) \| ([^|]*) \| ([^|]*) \| ", files["report.md"], re.M
    )
    hops = {row[0]: [cell.strip() for cell in row[1:]] for row in rows if "hop" not in row[0]}
    assert hops["accepted sends"] == ["70,000"] * 3
    assert hops["veth tx"] == ["70,000"] * 3
    assert "Every packet that was sent passed every hop" in Page(files["report.html"]).text
    (row, *_) = csv.DictReader(io.StringIO(files["derived/trials.csv"]))
    assert row["udp_delivered"] == row["veth_rx"] == row["client_nic_tx"] == "14000"


def test_a_suspicion_is_written_on_the_chart_of_costs() -> None:
    sound = rendered(drawn=("comparison",))
    assert "SUSPECT" not in sound["plots/comparison.svg"]
    doubted = rendered(RunRecipe(rcvbuf_errors={"xdp": 1}), ("comparison",))
    assert ">SUSPECT: " in doubted["plots/comparison.svg"]
    ET.fromstring(doubted["plots/comparison.svg"])


def test_what_is_said_against_mpstat_stands_at_its_chart_and_in_its_column() -> None:
    files = rendered(RunRecipe(trials=1))
    assert "columns that rest on few ticks" in files["report.md"]
    html = files["report.html"]
    assert html.index('<p class="badge suspect">') > html.index('id="cpu"')
    assert '<a class="tone suspect" href="#cpu">SUSPECT</a>' in html


def test_the_matrix_of_the_same_work_gate_has_a_column_an_arm() -> None:
    text = Page(rendered()["report.html"]).text
    assert "Did the arms do the same work?" in text
    assert re.search(r"Frames none netfilter xdp .*? same same same", text)


def test_without_the_gate_the_page_says_that_nobody_knows(tmp_path: Path) -> None:
    run = replace(load_run(make_run(tmp_path)), gate={})
    files = render_report(run)
    assert "Nobody knows: no arm of this run was held against a reference" in files["report.html"]
    assert "Nobody knows" in files["report.md"]


def test_controls_are_marked_and_stand_beside_what_they_control(tmp_path: Path) -> None:
    run = load_run(make_run(tmp_path))
    again = replace(
        run.arm("xdp"), name="xdp-again", title="Again", control_kind="again", control_of="xdp"
    )
    doubled = [replace(trial, arm="xdp-again") for trial in run.trials_of("xdp")]
    run = replace(
        run,
        arms=(*run.arms, again),
        trials=(*run.trials, *doubled),
        blocks=tuple((*block, "xdp-again") for block in run.blocks),
    )
    files = render_report(run)
    assert files["report.html"].count('<span class="mark">control</span>') >= 4
    assert "| Again (control) | XDP program, generic mode | 1.000 |" in files["report.md"]
