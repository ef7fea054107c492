# SPDX-License-Identifier: Apache-2.0
"""The lab sheets in a real browser, as the other pages: both versions, every language."""

from pathlib import Path

import pytest

from testbed.analysis.reading.run import load_run
from testbed.handout import render_sheet
from testbed.handout.sample import sample_of
from tests.pages.tab import DESKTOP, PHONE, Tab
from tests.pages.test_pages import asks_for_nothing_complains_of_nothing_and_fits
from tests.unit.factories.handout_page import LANGUAGES, sheet
from tests.unit.factories.run_factory import make_run

SHEETS = [(language, kind) for language in LANGUAGES for kind in ("student", "instructor")]
EVERY = pytest.mark.parametrize("which", SHEETS, indirect=True, ids="-".join)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    """Every sheet as a file."""
    folder = tmp_path_factory.mktemp("sheets")
    made = sheet(sample=sample_of(load_run(make_run(folder))))
    paths = {}
    for language, kind in SHEETS:
        path = folder / f"{kind}-{language}.html"
        path.write_text(render_sheet(made, language, instructor=kind == "instructor"))
        paths[language, kind] = path
    return paths


@pytest.fixture(scope="module")
def which(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return the language and kind of a sheet: all tests of it come one after the other."""
    chosen: tuple[str, str] = request.param
    return chosen


@pytest.fixture
def shown(which: tuple[str, str], tab: Tab, pages: dict[tuple[str, str], Path]) -> Tab:
    """The same sheet in the tab."""
    return tab.show(pages[which])


@EVERY
def test_a_sheet_asks_for_nothing_and_fits_a_phone_a_desktop_and_paper(shown: Tab) -> None:
    asks_for_nothing_complains_of_nothing_and_fits(shown)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@EVERY
def test_words_of_the_drawing_stay_in_their_boxes_and_stand_out(shown: Tab, scheme: str) -> None:
    """As the browser lays them out, whatever font it has."""
    page = shown.page
    shown.seen(PHONE, scheme=scheme)
    outside = page.evaluate(
        """() => {
            const svg = document.querySelector('svg.path')
            const edge = svg.getBoundingClientRect()
            const place = element => element.getBoundingClientRect()
            const boxes = [...svg.querySelectorAll('rect.box')].map(place)
            const out = []
            for (const text of svg.querySelectorAll('text')) {
                const r = text.getBoundingClientRect()
                if (r.left < edge.left || r.right > edge.right) out.push(text.textContent)
                for (const b of boxes)
                    if (r.top < b.bottom && r.bottom > b.top
                        && r.left < b.right && r.right > b.left
                        && (r.left < b.left || r.right > b.right)) out.push(text.textContent)
            }
            return out
        }"""
    )
    assert outside == []
    colours = page.evaluate(
        """() => {
            const fill = s => getComputedStyle(document.querySelector('svg.path ' + s)).fill
            const ink = getComputedStyle(document.body).color
            return [fill('.ink'), ink, fill('.frame'), fill('.used')]
        }"""
    )
    assert colours[0] == colours[1]
    assert len(set(colours[1:])) == 3


@EVERY
def test_a_command_can_be_selected_without_its_prompt(shown: Tab) -> None:
    shown.seen(DESKTOP)
    lines: list[str] = shown.page.evaluate(
        "() => [...document.querySelectorAll('pre.command')].map(p => p.innerText)"
    )
    assert "testbed up" in lines
    assert not any(line.startswith("$") for line in lines)


@EVERY
def test_a_sheet_can_be_read_by_everybody(shown: Tab) -> None:
    assert shown.violations() == []
