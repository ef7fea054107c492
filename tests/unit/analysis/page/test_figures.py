# SPDX-License-Identifier: Apache-2.0
"""Figures as files: what each was measured on stands in it, and nothing else gets in."""

import io
import re
import struct
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from testbed.analysis.page.figures import Figures, draw_figures
from testbed.analysis.page.judged import Judged, judge
from testbed.analysis.page.report import render_report
from testbed.analysis.plots import draw_comparison, draw_cpu_time, draw_per_cpu
from testbed.analysis.plots.bars import COLOURS
from testbed.analysis.plots.cpu_time import ROW
from testbed.analysis.plots.stamp import stamp
from testbed.analysis.plots.style import Drawing
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from testbed.edge.computer import aside
from testbed.edge.computer.aside import shared
from tests.unit.factories.run_factory import RunRecipe, make_run

ON = ("generic XDP", "NIC e1000", "emulated, no KVM", "Linux 6.1.0-41-amd64", "20251206T054640Z")


def run_of(tmp_path: Path, recipe: RunRecipe | None = None) -> Run:
    return load_run(make_run(tmp_path, recipe))


def words_of(svg: str) -> str:
    return " ".join(" ".join(ET.fromstring(svg).itertext()).split()).replace("\u00a0", " ")


def size_of(png: bytes) -> tuple[int, int]:
    width, height = struct.unpack(">II", png[16:24])
    return width, height


def chunks_of(png: bytes) -> list[bytes]:
    found, at = [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        found.append(png[at + 4 : at + 8])
        at += 12 + length
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """A sound run, judged."""
    return judge(run_of(tmp_path_factory.mktemp("sound")))


@pytest.fixture(scope="module")
def alone(sound: Judged) -> Figures:
    """All its figures, drawn in this process."""
    return draw_figures(sound, overlay=True, per_cpu=True)


def test_every_figure_says_what_it_was_measured_on(sound: Judged, alone: Figures) -> None:
    files = render_report(sound.run, judged=sound, overlay=True, figures=lambda: alone)
    svgs = {name: text for name, text in files.items() if name.endswith(".svg")}
    assert len(svgs) == 10
    for name, text in svgs.items():
        assert isinstance(text, str)
        words = words_of(text)
        label = ET.fromstring(text).get("aria-label") or ""
        bare = "none" in name or "netfilter" in name
        for fact in ON[1:] if bare else ON:
            assert fact in words, (name, words)
            assert fact in label.replace("\u00a0", " "), name


def test_the_stamp_says_the_mode_that_was_found_not_the_one_on_the_label(tmp_path: Path) -> None:
    run = run_of(tmp_path, RunRecipe(mode={"xdp": "native"}))
    said = stamp(run, run.arms).replace("\u00a0", " ")
    assert said.startswith("netfilter: module · xdp: native XDP · NIC e1000 · ")


def test_a_stamp_of_many_arms_counts_them(tmp_path: Path) -> None:
    arms = tuple(f"a{number}" for number in range(9))
    run = run_of(tmp_path, RunRecipe(arms=("none", *arms), trials=1))
    assert stamp(run, run.arms).startswith("9 arms: on\u00a0· ")


def test_every_svg_has_a_png_beside_it_without_words_of_its_making(
    sound: Judged, alone: Figures
) -> None:
    """That it is the same twice shows where it is drawn again, in two processes."""
    files = render_report(sound.run, judged=sound, overlay=True, figures=lambda: alone)
    svgs = {name.removesuffix(".svg") for name in files if name.endswith(".svg")}
    pngs = {name.removesuffix(".png") for name in files if name.endswith(".png")}
    assert svgs == pngs
    for name in (f"{name}.png" for name in pngs):
        png = files[name]
        assert isinstance(png, bytes)
        assert set(chunks_of(png)) <= {b"IHDR", b"PLTE", b"pHYs", b"IDAT", b"IEND"}


def test_a_png_is_the_figure_at_twice_its_size(alone: Figures) -> None:
    (drawing,) = alone.ledger
    found = re.search(r'viewBox="0 0 (\S+) (\S+)"', drawing.svg)
    assert found
    assert size_of(drawing.png) == tuple(round(float(length) * 2) for length in found.groups())


def rgb(colour: str) -> tuple[int, ...]:
    return tuple(bytes.fromhex(colour.removeprefix("#")))


def test_a_png_has_the_figures_colours_on_a_white_sheet_and_a_few_kilobytes(
    alone: Figures,
) -> None:
    (drawing,) = alone.cpu_time["xdp"]
    picture = Image.open(io.BytesIO(drawing.png))
    assert picture.mode == "P"
    assert len(drawing.png) < 40_000
    pixels = picture.convert("RGB")
    counted = {colour: count for count, colour in pixels.getcolors(256) or ()}
    assert max(counted, key=lambda colour: counted[colour]) == (255, 255, 255)
    used = [rgb(colour) for name, colour in COLOURS.items() if f">%{name}<" in drawing.svg]
    assert len(used) >= 3
    for colour in used:
        assert counted[colour] > 1_000, colour
    greys = [colour for colour in counted if len(set(colour)) == 1]
    assert len(greys) > 60, "letters without the shades at their edges"


def test_figures_that_are_drawn_in_two_processes_are_the_same(
    sound: Judged, alone: Figures, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aside, "can_fork", lambda: True)
    assert draw_figures(sound, overlay=True, per_cpu=True, each=shared) == alone
    assert alone.beside is not None
    assert [drawing.name for drawing in alone.every()] == [
        "comparison", "ledger", "ledger-narrow", "cpu-none", "cpu-netfilter", "cpu-xdp",
        "per-cpu-none", "per-cpu-netfilter", "per-cpu-xdp", "beside-published",
    ]  # fmt: skip


def heights(drawings: tuple[Drawing, ...]) -> list[float]:
    found = [re.search(r'viewBox="0 0 \S+ (\S+)"', drawing.svg) for drawing in drawings]
    return [float(match[1]) for match in found if match]


@pytest.mark.usefixtures("no_png")
def test_two_hundred_trials_go_on_in_rows_and_figures_that_fit_a_page(sound: Judged) -> None:
    run = sound.run
    recorded = run.trials_of("xdp")
    numbers = range(1, 201)
    blocks = tuple(replace(recorded[n % 5], block=n, number=n) for n in numbers)
    run = replace(run, trials=blocks, blocks=tuple(("xdp",) for _ in blocks))
    drawings = draw_cpu_time(run, run.arm("xdp"))
    assert [d.name for d in drawings] == ["cpu-xdp", *(f"cpu-xdp-part{n}" for n in range(2, 4))]
    assert all(height < 1_000 for height in heights(drawings))
    words = " ".join(words_of(drawing.svg) for drawing in drawings).split()
    assert {str(number) for number in numbers} <= set(words)
    assert len(drawings) < 200 / ROW
    assert all(len(drawing.svg) < 120_000 for drawing in drawings)


@pytest.mark.usefixtures("no_png")
def test_many_arms_are_drawn_ten_to_a_figure_on_one_scale(tmp_path: Path) -> None:
    arms = tuple(f"a{number:02d}" for number in range(24))
    run = run_of(tmp_path, RunRecipe(arms=("none", *arms), trials=1))
    drawings = draw_comparison(run, {}, relative=False)
    assert [drawing.name for drawing in drawings] == [
        "comparison", "comparison-part2", "comparison-part3",
    ]  # fmt: skip
    scales = [set(re.findall(r">(\d+)</text>", drawing.svg)) for drawing in drawings]
    assert scales[0] & scales[1] & scales[2]
    assert all(height < 1_150 for height in heights(drawings))
    words = " ".join(words_of(drawing.svg) for drawing in drawings)
    assert all(f" {name} " in f" {words} " for name in ("No hook", *arms))


@pytest.mark.usefixtures("sketched")
def test_the_interval_of_a_mean_is_drawn_where_there_is_something_to_compare(
    sound: Judged,
) -> None:
    run = sound.run
    (banded,) = draw_comparison(run, {}, relative=True, bands=True)
    (bare,) = draw_comparison(run, {}, relative=True)
    assert len(re.findall(r"95\u00a0% interval [\d.]+ to [\d.]+", banded.alternative)) == 3
    assert "interval" not in bare.alternative
    (one_void,) = draw_comparison(run, {"xdp": ("hits",)}, relative=False, bands=True)
    assert one_void.alternative.count("interval") == 2


def test_each_cpu_has_a_panel_of_its_own(alone: Figures) -> None:
    (drawing,) = alone.per_cpu["xdp"]
    words = words_of(drawing.svg)
    assert all(f"CPU {number}" in words for number in range(4))
    assert re.search(r"CPU 0 at most \d+ %, CPU 1 at most", drawing.alternative)


def test_a_recording_without_single_cpus_has_no_such_figure(tmp_path: Path) -> None:
    run = run_of(tmp_path, RunRecipe(arms=("xdp",), trials=1))
    (trial,) = run.trials
    assert trial.mpstat
    samples = tuple(
        replace(sample, rows=tuple(row for row in sample.rows if row.cpu == "all"))
        for sample in trial.mpstat.samples
    )
    bare = replace(trial, mpstat=replace(trial.mpstat, samples=samples))
    assert draw_per_cpu(replace(run, trials=(bare,)), run.arms[0]) == ()


@pytest.mark.usefixtures("no_png")
def test_a_title_with_characters_that_no_file_may_hold_is_drawn_without_them(
    sound: Judged,
) -> None:
    run = sound.run
    arms = tuple(replace(arm, title=f"a\x00b\ud800c\u202e {arm.name}") for arm in run.arms)
    files = render_report(replace(run, arms=arms))
    for name, content in files.items():
        if isinstance(content, str) and name.endswith((".svg", ".html", ".md")):
            content.encode()
            assert not re.search("[\x00\u202e]", content), name
            if name.endswith(".svg"):
                ET.fromstring(content)
