# SPDX-License-Identifier: Apache-2.0
"""The lab sheets in a real browser, as the other pages: both versions, every language."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from testbed.analysis.reading.run import load_run
from testbed.handout import render_sheet
from testbed.handout.sample import sample_of
from tests.pages.test_pages import (
    DESKTOP,
    PHONE,
    Noticed,
    asks_for_nothing_complains_of_nothing_and_fits,
    opened,
    seen,
    violations,
)
from tests.unit.factories.handout_page import LANGUAGES, sheet
from tests.unit.factories.run_factory import make_run

SHEETS = [(language, kind) for language in LANGUAGES for kind in ("student", "instructor")]
EVERY = pytest.mark.parametrize("shown", SHEETS, indirect=True, ids="-".join)


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
def shown(
    request: pytest.FixtureRequest, browser: Browser, pages: dict[tuple[str, str], Path]
) -> Iterator[tuple[Page, Noticed]]:
    """One of them, loaded once for all tests of it."""
    with opened(browser, pages[request.param], PHONE) as both:
        yield both


@EVERY
def test_a_sheet_asks_for_nothing_and_fits_a_phone_a_desktop_and_paper(
    shown: tuple[Page, Noticed],
) -> None:
    asks_for_nothing_complains_of_nothing_and_fits(*shown)


@EVERY
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_sheet_can_be_read_by_everybody(shown: tuple[Page, Noticed], scheme: str) -> None:
    page, _ = shown
    for width in (PHONE, DESKTOP):
        seen(page, width, scheme=scheme)
        assert violations(page, scheme) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@EVERY
def test_words_of_the_drawing_stay_in_their_boxes_and_stand_out(
    shown: tuple[Page, Noticed], scheme: str
) -> None:
    """As the browser lays them out, whatever font it has."""
    page, _ = shown
    seen(page, PHONE, scheme=scheme)
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
def test_a_command_can_be_selected_without_its_prompt(shown: tuple[Page, Noticed]) -> None:
    page, _ = shown
    seen(page, DESKTOP)
    lines: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('pre.command')].map(p => p.innerText)"
    )
    assert "testbed up" in lines
    assert not any(line.startswith("$") for line in lines)
