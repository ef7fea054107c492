# SPDX-License-Identifier: Apache-2.0
"""The lab sheet as a page: complete, offline, made from what the tool runs with."""

import re
from pathlib import Path

import pytest

from testbed.analysis.page.report import render_report
from testbed.analysis.reading.run import load_run
from testbed.handout import render_sheet
from testbed.handout.commands import commands_of
from testbed.handout.facts import facts_of
from testbed.handout.outline import CLOSING, END, MARKS, SETUP, TASKS
from testbed.handout.sample import sample_of
from testbed.model.config import Config, MachinesConfig, NetworkConfig
from testbed.model.errors import ExitCode, UsageError
from tests.unit.factories.handout_page import LANGUAGES, TEMPLATES, Page, sheet
from tests.unit.factories.run_factory import RunRecipe, make_run

EVERY = pytest.mark.parametrize("language", LANGUAGES)
BOTH = pytest.mark.parametrize("instructor", [False, True])
ELSEWHERE = Config(
    network=NetworkConfig(
        client_address="172.20.0.7", server_address="172.20.0.2", match_port=9000,
        gateway_address="10.9.8.1", target_address="10.9.8.2", target_port=9083, namespace="inner",
    )
)  # fmt: skip


def page(language: str = "en", *, instructor: bool = False, config: Config | None = None) -> Page:
    return Page(render_sheet(sheet(config), language, instructor=instructor))


@EVERY
@BOTH
def test_the_page_asks_for_nothing_and_is_well_formed(language: str, instructor: bool) -> None:
    made = page(language, instructor=instructor)
    assert made.requests == ["data:,"]
    assert made.language == language
    assert len(set(made.ids)) == len(made.ids)
    assert {link.removeprefix("#") for link in made.links} <= set(made.ids)
    assert (made.unscoped, made.uncaptioned) == (0, 0)
    assert made.headings[0] == 1 and made.headings.count(1) == 1
    for before, after in zip(made.headings, made.headings[1:], strict=False):
        assert after <= before + 1, made.headings


@EVERY
@BOTH
def test_the_same_sheet_gives_the_same_bytes(language: str, instructor: bool) -> None:
    first = render_sheet(sheet(), language, instructor=instructor)
    assert render_sheet(sheet(), language, instructor=instructor) == first


@EVERY
@BOTH
def test_every_command_is_there_once_in_its_order(language: str, instructor: bool) -> None:
    made = page(language, instructor=instructor)
    commands = commands_of(Config())
    parts = [SETUP, *(part for task in TASKS for part in task.parts), END]
    ids = [name for part in parts if part.kind == "run" for name in part.names]
    assert list(made.commands) == [command.id for command in commands] == ids
    assert made.commands == {command.id: command.line for command in commands}


def test_commands_say_how_they_may_end() -> None:
    commands = {command.id: command for command in commands_of(Config())}
    assert commands["module-empty"].exits == commands["original"].exits == (ExitCode.INVALID,)
    assert commands["module"].exits == (ExitCode.OK,)
    made = page()
    for command in commands.values():
        said = made.text.partition(command.line)[2]
        following = said.partition("$")[0][:600]
        if ExitCode.INVALID in command.exits:
            assert f"exit code {int(command.exits[0])}" in following, command.id


@EVERY
def test_answers_are_the_instructors_alone(language: str) -> None:
    student, teacher = page(language), page(language, instructor=True)
    for secret in ("514", "959", "checksum_update_udp(h->udp.check, address + port)",
                   "1 each" if language == "en" else "각 1점"):  # fmt: skip
        assert secret not in student.text, secret
        assert secret in teacher.text, secret
    assert 'class="solution' not in student.html
    assert student.text.count("marks)" if language == "en" else "점)") >= len(TASKS)


def test_marks_add_up() -> None:
    assert MARKS == 100
    made = page()
    worth = [int(number) for number in re.findall(r"\((\d+) marks\)", made.text)]
    assert sum(worth) == MARKS
    of_tasks = [int(number) for number in re.findall(r"minutes, (\d+) marks", made.text)]
    assert sum(of_tasks) + sum(part.marks for part in CLOSING) == MARKS


@EVERY
def test_addresses_are_the_configurations(language: str) -> None:
    """Everywhere: in the text, the drawing, and the commands."""
    for instructor in (False, True):
        made = page(language, instructor=instructor, config=ELSEWHERE)
        for old in ("192.168.64", "10.0.1.", "8080", "8083", "sslab-ns"):
            assert old not in made.html, old
        for new in ("172.20.0.2:9000", "10.9.8.2:9083", "inner"):
            assert new in made.html, new
    assert "ip netns exec inner" in made.commands["inside"]


def test_another_load_and_another_nic() -> None:
    config = Config(machines=MachinesConfig(nic_model="virtio")).with_bench(
        trials=7, rate_pps=2000.0, duration_s=2.0
    )
    made = page(config=config, instructor=True)
    assert "offers 4,000 packets" in made.text
    assert "3,960 of 4,000" in made.text
    assert made.commands["bench"].endswith("--trials 7")
    assert "Run 7 trials" in made.text
    assert "no XDP. So your program" not in made.text
    assert "on a NIC of the model virtio" in made.text
    assert "p = 0.015625" in made.text


def test_facts_come_from_where_the_tool_has_them() -> None:
    """Return the facts about the original and its two recipes, by hand once."""
    made = sheet()
    facts = facts_of(made.config, made.arms, made.arms_dir)
    assert facts["packets"] == "14,000"
    assert facts["cases"] == "1,864"
    assert (facts["bounded_right"], facts["bounded_wrong"]) == ("513", "514")
    assert facts["bounded_wrong_lengths"] == "959"
    assert (facts["pub_module_delivered"], facts["pub_program_delivered"]) == ("71,093", "5")
    assert (facts["pub_softirq_ticks"], facts["pub_softirq_percent"]) == ("7", "38")
    assert (facts["pub_days"], facts["pub_top"], facts["pub_nic"]) == ("9", "400", "e1000")
    assert facts["smallest_p"] == "0.0625"
    assert facts["log_lines_a_trial"] == "28,000"


def test_a_real_runs_figures_are_marked_as_such(tmp_path: Path) -> None:
    recipe = RunRecipe(cost_us={"none": 295.0, "netfilter": 315.0, "xdp": 321.0})
    run = load_run(make_run(tmp_path, recipe))
    for language in LANGUAGES:
        html = render_sheet(sheet(sample=sample_of(run)), language, instructor=True)
        made = Page(html)
        assert made.text.count(run.run_id) == 2
        assert "emulation" in made.text
        for row in sample_of(run).rows:
            assert row.cost in made.text
            assert f"{row.delivered} / {row.offered}" in made.text
        assert run.run_id not in render_sheet(sheet(sample=sample_of(run)), language,
                                              instructor=False)  # fmt: skip


def test_without_a_sample_run_the_page_says_so() -> None:
    made = page(instructor=True)
    assert "no figures are shown" in made.text


@pytest.mark.usefixtures("sketched")
def test_a_runs_figures_are_those_of_its_report(tmp_path: Path) -> None:
    recipe = RunRecipe(cost_us={"none": 150.0, "netfilter": 165.0, "xdp": 300.0})
    path = make_run(tmp_path, recipe)
    found = sample_of(load_run(path))
    none, module, program = found.rows
    assert (none.name, none.ratio, none.interval, none.verdict) == ("none", "1", "", "")
    assert (module.delivered, module.offered) == ("70,000", "70,000")
    assert 1.9 < float(program.ratio) < 2.1
    assert program.verdict == "higher"
    markdown = render_report(load_run(path))["report.md"]
    for row in (module, program):
        assert f"| {row.cost} | {row.spread} | {row.ratio} | {row.interval} |" in markdown
    assert found.status in markdown


@EVERY
def test_what_manifests_say_is_data(language: str) -> None:
    made = sheet()
    evil = made.arms["xdp"].model_copy(
        update={"hook": "<b>x", "semantic_class": "<script>alert(1)</script>"}
    )
    changed = {**made.arms, "xdp": evil}
    html = render_sheet(
        type(made)(made.config, changed, made.arms_dir, made.exercises, made.templates, None),
        language, instructor=True,
    )  # fmt: skip
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.parametrize(
    ("name", "old", "new", "said"),
    [
        ("handout.html.j2", "{% for aim in aims %}", "{% for aim in aims", "handout.html.j2, line"),
        ("handout/parts.html.j2", "{% macro holes(", "{% macro holes", "parts.html.j2, line"),
        ("handout/parts.html.j2", "{{ command.line }}", "{{ command.lines }}",
         "handout/parts.html.j2, line 13: "),
    ],
)  # fmt: skip
def test_a_broken_template_is_named_with_its_line(
    tmp_path: Path, name: str, old: str, new: str, said: str
) -> None:
    templates = copied(tmp_path)
    text = (templates / name).read_text()
    assert old in text
    (templates / name).write_text(text.replace(old, new, 1))
    with pytest.raises(UsageError) as caught:
        render_sheet(sheet(templates=templates), "en", instructor=False)
    assert said in caught.value.message
    assert caught.value.hint == "correct the template"


def copied(parent: Path) -> Path:
    """Return a copy of the templates that may be broken."""
    import shutil

    return Path(shutil.copytree(TEMPLATES, parent / "templates"))
