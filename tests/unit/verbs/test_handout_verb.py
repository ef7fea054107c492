# SPDX-License-Identifier: Apache-2.0
"""`testbed handout`: what it writes, where, and what it refuses."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.model.errors import ExitCode, HostError
from tests.unit.factories.run_factory import make_run

Run = Callable[..., Any]


def test_the_student_sheets_in_every_language(testbed: Run, checkout: Path) -> None:
    said = testbed("handout")
    assert said.status == 0, said.err
    folder = checkout / "results/handout"
    names = ["handout-en.html", "handout-ko.html"]
    assert said.out.split() == [str(folder / name) for name in names]
    assert sorted(path.name for path in folder.iterdir()) == names
    assert "답" in (folder / "handout-ko.html").read_text(encoding="utf-8")
    assert not any("instructor" in path.name for path in folder.iterdir())


def test_one_language_elsewhere(testbed: Run, tmp_path: Path) -> None:
    said = testbed("handout", "--lang", "ko", "--out", str(tmp_path / "a/b"))
    assert said.status == 0
    assert [path.name for path in (tmp_path / "a/b").iterdir()] == ["handout-ko.html"]


def test_the_instructors_with_a_certain_run(testbed: Run, checkout: Path) -> None:
    run = make_run(checkout / "results")
    said = testbed("handout", "--instructor", "--lang", "en", "--sample", run.name)
    assert said.status == 0, said.err
    page = checkout / "results/handout/instructor-en.html"
    assert said.out.strip() == str(page)
    assert f"Run {run.name}" in page.read_text()


def test_without_a_sample_run_the_instructor_is_told(testbed: Run, checkout: Path) -> None:
    said = testbed("handout", "--instructor", "--lang", "en")
    assert said.status == 0
    assert "no figures of a sample run: " in said.err
    assert "`--sample RUN`" in said.err
    assert "no figures are shown" in (checkout / "results/handout/instructor-en.html").read_text()


def test_a_sample_run_that_is_not_there(testbed: Run, checkout: Path) -> None:
    said = testbed("handout", "--instructor", "--sample", "nowhere")
    assert said.status == ExitCode.USAGE
    assert "there is no run 'nowhere'" in said.err
    assert not (checkout / "results/handout").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--lang", "tlh"), "there is no sheet in the language 'tlh'"),
        (("--sample", "x"), "--sample is for --instructor"),
        (("--starter", "x", "--pdf"), "--starter writes code and no pages"),
        (("--starter", "x", "--lang", "en"), "--starter writes code and no pages"),
    ],
)
def test_words_that_do_not_go_together(
    testbed: Run, checkout: Path, words: tuple[str, ...], message: str
) -> None:
    said = testbed("handout", *words)
    assert said.status == ExitCode.USAGE
    assert f"testbed: {message}" in said.err
    assert "  → " in said.err
    assert not (checkout / "results/handout").exists()
    assert not (checkout / "x").exists()


def test_a_template_that_was_broken_is_named(testbed: Run, checkout: Path) -> None:
    path = checkout / "templates/handout.html.j2"
    path.write_text(path.read_text().replace("{% block body %}", "{% block body", 1))
    said = testbed("handout")
    assert said.status == ExitCode.USAGE
    line = said.err.partition("handout.html.j2, line ")[2].partition(":")[0]
    assert path.read_text().splitlines()[int(line) - 1 :][:2]
    assert "correct the template" in said.err
    assert not (checkout / "results/handout").exists()


def test_a_folder_that_cannot_be_written(testbed: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = testbed("handout", "--lang", "en", "--out", str(tmp_path / "file/below"))
    assert said.status == ExitCode.HOST
    assert "cannot be written" in said.err


def test_a_pdf_beside_each_page(
    testbed: Run, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[tuple[str, Path]] = []

    def made(html: str, base: Path) -> bytes:
        given.append((html, base))
        return b"%PDF-"

    monkeypatch.setattr("testbed.edge.files.pdf.write_pdf", made)
    said = testbed("handout", "--pdf")
    assert said.status == 0, said.err
    folder = checkout / "results/handout"
    assert sorted(path.name for path in folder.iterdir()) == [
        "handout-en.html", "handout-en.pdf", "handout-ko.html", "handout-ko.pdf",
    ]  # fmt: skip
    assert (folder / "handout-ko.pdf").read_bytes() == b"%PDF-"
    assert [html[:15] for html, _ in given] == ["<!DOCTYPE html>"] * 2
    assert {base for _, base in given} == {folder}


def test_nothing_is_written_when_a_pdf_cannot_be_made(
    testbed: Run, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_html: str, _base: Path) -> bytes:
        raise HostError("a PDF needs the extra `pdf`", hint="pip install -e '.[pdf]'")

    monkeypatch.setattr("testbed.edge.files.pdf.write_pdf", fails)
    said = testbed("handout", "--pdf")
    assert said.status == ExitCode.HOST
    assert "the extra `pdf`" in said.err
    assert not (checkout / "results/handout").exists()


def test_the_starter(testbed: Run, checkout: Path) -> None:
    said = testbed("handout", "--starter", "exercise")
    assert said.status == 0, said.err
    assert said.out.split() == ["exercise/my-netfilter", "exercise/my-xdp"]
    module = (checkout / "exercise/my-netfilter/redirect_nf_mine.c").read_text()
    assert module.count("/* your code, in place of this line */") == 3
    assert not (checkout / "results/handout").exists()


def test_the_starter_with_the_holes_filled(testbed: Run, checkout: Path) -> None:
    assert testbed("handout", "--starter", "solved", "--instructor").status == 0
    for name in ("my-netfilter/redirect_nf_mine.c", "my-xdp/redirect.bpf.c"):
        text = (checkout / "solved" / name).read_text()
        assert "your code" not in text
        assert "SOLUTION" not in text


def test_somebodys_work_is_never_overwritten(testbed: Run, checkout: Path) -> None:
    work = checkout / "exercise/my-xdp/redirect.bpf.c"
    work.parent.mkdir(parents=True)
    work.write_text("mine\n")
    said = testbed("handout", "--starter", "exercise")
    assert said.status == ExitCode.USAGE
    assert "exercise/my-xdp is there already" in said.err
    assert work.read_text() == "mine\n"
    assert not (checkout / "exercise/my-netfilter").exists()


def test_build_products_are_not_handed_out(testbed: Run, checkout: Path) -> None:
    folder = checkout / "guest/starter/my-xdp"
    for name in ("redirect.bpf.o", "redirect.skel.h", "loader", ".redirect.o.cmd"):
        (folder / name).write_bytes(b"\xff")
    assert testbed("handout", "--starter", "exercise").status == 0
    assert sorted(path.name for path in (checkout / "exercise/my-xdp").iterdir()) == [
        "Makefile", "arm.toml", "redirect.bpf.c",
    ]  # fmt: skip


def test_without_the_exhibits_there_is_no_sheet(testbed: Run, checkout: Path) -> None:
    shutil.rmtree(checkout / "guest/arms/xdp-bounded-csum")
    said = testbed("handout")
    assert said.status == ExitCode.USAGE
    assert "the sheet needs the arms netfilter-logging and xdp-bounded-csum" in said.err


def test_the_loops_bound_is_read_and_not_remembered(testbed: Run, checkout: Path) -> None:
    source = checkout / "guest/arms/xdp-bounded-csum/redirect.bpf.c"
    source.write_text(source.read_text().replace("PAYLOAD_WORDS 256", "PAYLOAD_WORDS 300"))
    assert testbed("handout", "--lang", "en", "--instructor").status == 0
    page = (checkout / "results/handout/instructor-en.html").read_text()
    assert "Up to 601 bytes are right; from 602 on it is wrong, 871 of the 1,473 lengths" in page
    source.write_text(source.read_text().replace("#define PAYLOAD_WORDS 300", ""))
    said = testbed("handout")
    assert said.status == ExitCode.USAGE
    assert "where does its loop end?" in said.err
