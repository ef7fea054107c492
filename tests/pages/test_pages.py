# SPDX-License-Identifier: Apache-2.0
"""Every page in a real browser: it asks for nothing, fits, can be read by all, and does nothing."""

import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Page

from testbed.analysis.formats.templates import TEMPLATES
from tests.pages.gallery import EVIL, gallery
from tests.pages.tab import DESKTOP, PAPER, PHONE, Tab

NAMES = tuple(gallery(Path()))
Maker = Callable[[str], Path]


def wider_than_the_window(page: Page) -> list[str]:
    """Elements that stick out to the right, unless they scroll by themselves or are in one that
    does."""
    found: list[str] = page.evaluate(
        """() => {
            const width = document.documentElement.clientWidth
            const scrolls = e => e && (/auto|scroll/.test(getComputedStyle(e).overflowX)
                                       || scrolls(e.parentElement))
            if (document.documentElement.scrollWidth <= width) return []
            return [...document.querySelectorAll('body *')]
                .filter(e => e.getBoundingClientRect().right > width + 0.5 && !scrolls(e))
                .map(e => e.outerHTML.slice(0, 120))
                .concat(['the page is ' + document.documentElement.scrollWidth + ' wide'])
        }"""
    )
    return found


@pytest.fixture(scope="module")
def name(request: pytest.FixtureRequest) -> str:
    """Return a page of the gallery: all tests of it come one after the other."""
    chosen: str = request.param
    return chosen


@pytest.fixture
def shown(name: str, tab: Tab, made: Maker) -> Tab:
    """The same page in the tab."""
    return tab.show(made(name))


def asks_for_nothing_complains_of_nothing_and_fits(tab: Tab) -> None:
    """Hold a loaded page against all of that: on a phone, a desktop and paper."""
    for width, media in ((PHONE, "screen"), (DESKTOP, "screen"), (PAPER, "print")):
        tab.seen(width, media=media)
        assert wider_than_the_window(tab.page) == [], (width, media)
    assert [url for url in tab.noticed.requests if not url.startswith("data:")] == []
    assert tab.noticed.words == []


EVERY = pytest.mark.parametrize("name", NAMES, indirect=True)


@EVERY
def test_a_page_asks_for_nothing_complains_of_nothing_and_fits_a_phone_a_desktop_and_paper(
    shown: Tab,
) -> None:
    asks_for_nothing_complains_of_nothing_and_fits(shown)


@EVERY
def test_headings_leave_out_no_level(shown: Tab) -> None:
    shown.seen(DESKTOP)
    levels: list[int] = shown.page.evaluate(
        "() => [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@EVERY
def test_a_page_can_be_read_by_everybody(shown: Tab) -> None:
    """axe-core: contrast, names, headings, tables, landmarks, keyboard."""
    assert shown.violations() == []


@pytest.mark.parametrize(
    ("fault", "rule"),
    [
        ("document.querySelector('tbody tr:last-child td:last-child').style.color = '#bbb'",
         "color-contrast"),
        ("document.querySelector('tbody tr:last-child td:last-child').className = 'pale';"
         "document.head.append(Object.assign(document.createElement('style'), {textContent:"
         "'@media (prefers-color-scheme: dark) { .pale { color: #444 } }'}))", "color-contrast"),
        ("document.querySelector('figure.ledger .wider svg').removeAttribute('aria-label')",
         "svg-img-alt"),
        ("[...document.querySelectorAll('h2')].pop().after("
         "Object.assign(document.createElement('h6'), {textContent: 'x'}))", "heading-order"),
    ],
)  # fmt: skip
def test_a_fault_anywhere_on_a_page_is_noticed(
    tab: Tab, made: Maker, fault: str, rule: str
) -> None:
    tab.show(made("one-arm")).page.evaluate(f"() => {{ {fault} }}")
    assert {found[2] for found in tab.violations()} == {rule}


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.css")), ids=lambda path: path.name)
def test_the_dark_changes_colours_alone(path: Path) -> None:
    """So a page that axe passes in the light is asked about colours alone in the dark."""
    for block in re.findall(r"prefers-color-scheme[^{]*\{(.*?)\n\}", path.read_text(), re.DOTALL):
        selector, _, rules = block.partition("{")
        assert selector.strip() == ":root"
        set_here = [rule.strip() for rule in rules.replace("}", "").split(";") if rule.strip()]
        assert set_here
        for rule in set_here:
            assert re.fullmatch(r"--[a-z]+:\s*#[0-9a-f]{3,8}", rule), rule


@pytest.mark.parametrize("path", sorted(TEMPLATES.rglob("*.css")), ids=lambda path: path.name)
def test_a_width_changes_no_colour_and_makes_letters_no_smaller_than_on_a_phone(path: Path) -> None:
    """So the dark of a phone is the dark of a desktop, whose letters need no more contrast."""
    text = path.read_text()
    blocks = re.findall(r"@media[^{]*width[^{]*\{.*?\n\}", text, re.DOTALL)
    assert blocks
    for block in blocks:
        assert block.startswith("@media (max-width:")
        rules = re.findall(r"([^{}]+)\{([^{}]*)\}", block.partition("{")[2])
        for selector, inside in rules:
            for rule in filter(None, map(str.strip, inside.split(";"))):
                name, _, value = rule.partition(":")
                assert re.fullmatch(
                    r"font-size|display|columns|(min-)?width|(margin|padding)(-\w+)?", name
                ), rule
                if name == "font-size":
                    wide = _font_size(text, selector.strip().split(",")[0])
                    assert float(value.strip().removesuffix("rem")) <= wide, selector


def _font_size(text: str, selector: str) -> float:
    """Return the size that a style sheet gives such an element at any width, in rem."""
    blocks = re.findall(rf"^{re.escape(selector)}[ ,][^{{]*\{{([^}}]*)\}}", text, re.MULTILINE)
    sizes = [re.search(r"font(?:-size)?: [^;]*?([\d.]+)rem", block) for block in blocks]
    return float([size[1] for size in sizes if size][-1])


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_of_figures_stands_out_from_the_page(tab: Tab, made: Maker, scheme: str) -> None:
    """axe does not look into SVG: words there are the page's ink on the page's paper."""
    page = tab.show(made("sample")).page
    tab.seen(DESKTOP, scheme=scheme)
    fills: list[str] = page.evaluate(
        "() => [...document.querySelectorAll('figure svg text')]"
        ".map(text => getComputedStyle(text).fill)"
    )
    ink: str = page.evaluate("() => getComputedStyle(document.body).color")
    assert len(fills) > 50
    assert set(fills) == {ink}


@pytest.mark.parametrize("name", ["hostile", "counted-invalid", "not-counted", "index"])
def test_text_from_a_run_is_shown_and_does_nothing(tab: Tab, made: Maker, name: str) -> None:
    page = tab.show(made(name), DESKTOP).page
    assert page.evaluate("() => window.pwned") is None
    assert page.evaluate("() => document.querySelectorAll('script, img, iframe').length") == 0
    assert (
        page.evaluate("() => [...document.links].filter(a => /^javascript/i.test(a.href)).length")
        == 0
    )
    assert page.evaluate("() => document.querySelectorAll('style').length") == page.evaluate(
        "() => document.querySelectorAll('head > style, svg style').length"
    )
    shown: str = page.evaluate("() => document.body.textContent")
    assert "window.pwned = 1" in shown
    assert "{{ 7 * 7 }}" in shown
    assert tab.noticed.words == []
    assert EVIL[:20] not in made(name).read_text()


def test_an_invalid_run_says_so_and_why_before_anything_else(tab: Tab, made: Maker) -> None:
    page = tab.show(made("invalid"), PHONE).page
    verdict = page.locator("section.verdict")
    assert "INVALID" in verdict.inner_text()
    assert "delivered 5 of 70,000 packets" in verdict.inner_text()
    first_figure = page.locator("figure").first.bounding_box()
    box = verdict.bounding_box()
    assert first_figure and box
    assert box["y"] + box["height"] < first_figure["y"]


def test_links_of_a_page_lead_to_files_of_the_run(tab: Tab, made: Maker) -> None:
    for name in ("sample", "beside-published", "100-trials", "published"):
        path = made(name)
        page = tab.show(path, DESKTOP).page
        hrefs: list[str] = page.evaluate(
            "() => [...document.links].map(a => a.getAttribute('href'))"
        )
        ids: list[str] = page.evaluate(
            "() => [...document.querySelectorAll('[id]')].map(e => e.id)"
        )
        files = {href for href in hrefs if not href.startswith("#")}
        assert {href for href in hrefs if href.startswith("#")} <= {f"#{name}" for name in ids}
        assert [href for href in files if not (path.parent / href).exists()] == []
        assert {href for href in files if href.endswith(".png")}
