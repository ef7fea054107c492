# SPDX-License-Identifier: Apache-2.0
"""Every page in a real browser: it asks for nothing, fits, can be read by all, and does nothing."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from testbed.analysis.formats.templates import TEMPLATES
from tests.pages.gallery import EVIL, LARGE, gallery

NAMES = tuple(gallery(Path()))
PHONE, DESKTOP, PAPER = 360, 1280, 673
"""Widths in CSS pixels; PAPER is A4 less the margins."""
Maker = Callable[[str], Path]


@dataclass
class Noticed:
    """The requests of a page, beyond itself, and its complaints."""

    requests: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


@contextmanager
def opened(
    browser: Browser, path: Path, width: int, *, scheme: Any = "light", media: Any = "screen"
) -> Iterator[tuple[Page, Noticed]]:
    noticed = Noticed()
    context = browser.new_context(
        viewport={"width": width, "height": 800}, color_scheme=scheme, offline=True
    )
    page = context.new_page()
    page.on("request", lambda request: noticed.requests.append(request.url))
    page.on("console", lambda message: noticed.words.append(message.text))
    page.on("pageerror", lambda error: noticed.words.append(str(error)))
    page.on("dialog", lambda dialog: noticed.words.append(dialog.message))
    page.emulate_media(media=media)
    page.goto(path.as_uri(), wait_until="load")
    noticed.requests.remove(path.as_uri())
    yield page, noticed
    context.close()


def seen(page: Page, width: int, *, scheme: Any = "light", media: Any = "screen") -> None:
    """Let an opened page be seen otherwise; it is laid out anew and not loaded again."""
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(media=media, color_scheme=scheme)


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


ALL: dict[str, Any] = {"resultTypes": ["violations"]}
OF_COLOURS = ("color-contrast", "link-in-text-block")
COLOURS = {**ALL, "runOnly": {"type": "rule", "values": OF_COLOURS}}


def violations(page: Page, scheme: str = "light") -> list[tuple[str, list[str]]]:
    """Return the findings of axe-core: the rule, and the first elements that break it.

    In the dark only the rules about colours are asked: nothing else differs there, as
    `test_the_dark_changes_colours_alone` shows.
    """
    options = ALL if scheme == "light" else COLOURS
    found = Axe().run(page, options=options).response["violations"]
    return [(v["id"], [node["html"][:160] for node in v["nodes"][:3]]) for v in found]


@pytest.fixture(scope="module")
def shown(
    request: pytest.FixtureRequest, browser: Browser, made: Maker
) -> Iterator[tuple[Page, Noticed]]:
    """A page of the gallery, loaded once for all tests of it."""
    with opened(browser, made(request.param), PHONE) as both:
        yield both


def asks_for_nothing_complains_of_nothing_and_fits(page: Page, noticed: Noticed) -> None:
    """Hold a loaded page against all of that: on a phone, a desktop and paper."""
    for width, media in ((PHONE, "screen"), (DESKTOP, "screen"), (PAPER, "print")):
        seen(page, width, media=media)
        assert wider_than_the_window(page) == [], (width, media)
    assert [url for url in noticed.requests if not url.startswith("data:")] == []
    assert noticed.words == []


EVERY = pytest.mark.parametrize("shown", NAMES, indirect=True)


@EVERY
def test_a_page_asks_for_nothing_complains_of_nothing_and_fits_a_phone_a_desktop_and_paper(
    shown: tuple[Page, Noticed],
) -> None:
    asks_for_nothing_complains_of_nothing_and_fits(*shown)


@pytest.mark.parametrize(
    ("shown", "width", "scheme"),
    [
        (name, width, scheme)
        for name in NAMES
        for width in (PHONE, DESKTOP)
        for scheme in ("light", "dark")
        if name not in LARGE or (width, scheme) == (PHONE, "light")
    ],
    indirect=["shown"],
)
def test_a_page_can_be_read_by_everybody(
    shown: tuple[Page, Noticed], width: int, scheme: str
) -> None:
    """axe-core: contrast, names, headings, tables, landmarks, keyboard."""
    page, _ = shown
    seen(page, width, scheme=scheme)
    assert violations(page, scheme) == []


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


@EVERY
def test_headings_leave_out_no_level(shown: tuple[Page, Noticed]) -> None:
    page, _ = shown
    seen(page, DESKTOP)
    levels: list[int] = page.evaluate(
        "() => [...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_ink_of_figures_stands_out_from_the_page(
    browser: Browser, made: Maker, scheme: str
) -> None:
    """axe does not look into SVG: words there are the page's ink on the page's paper."""
    with opened(browser, made("sample"), DESKTOP, scheme=scheme) as (page, _):
        fills: list[str] = page.evaluate(
            "() => [...document.querySelectorAll('figure svg text')]"
            ".map(text => getComputedStyle(text).fill)"
        )
        ink: str = page.evaluate("() => getComputedStyle(document.body).color")
    assert len(fills) > 50
    assert set(fills) == {ink}


@pytest.mark.parametrize("name", ["hostile", "counted-invalid", "not-counted", "index"])
def test_text_from_a_run_is_shown_and_does_nothing(
    browser: Browser, made: Maker, name: str
) -> None:
    with opened(browser, made(name), DESKTOP) as (page, noticed):
        assert page.evaluate("() => window.pwned") is None
        assert page.evaluate("() => document.querySelectorAll('script, img, iframe').length") == 0
        assert (
            page.evaluate(
                "() => [...document.links].filter(a => /^javascript/i.test(a.href)).length"
            )
            == 0
        )
        assert page.evaluate("() => document.querySelectorAll('style').length") == page.evaluate(
            "() => document.querySelectorAll('head > style, svg style').length"
        )
        shown: str = page.evaluate("() => document.body.textContent")
        assert "window.pwned = 1" in shown
        assert "{{ 7 * 7 }}" in shown
        assert noticed.words == []
    assert EVIL[:20] not in made(name).read_text()


def test_an_invalid_run_says_so_and_why_before_anything_else(browser: Browser, made: Maker) -> None:
    with opened(browser, made("invalid"), PHONE) as (page, _):
        verdict = page.locator("section.verdict")
        assert "INVALID" in verdict.inner_text()
        assert "delivered 5 of 70,000 packets" in verdict.inner_text()
        first_figure = page.locator("figure").first.bounding_box()
        box = verdict.bounding_box()
        assert first_figure and box
        assert box["y"] + box["height"] < first_figure["y"]


def test_links_of_a_page_lead_to_files_of_the_run(browser: Browser, made: Maker) -> None:
    for name in ("sample", "beside-published", "100-trials", "published"):
        path = made(name)
        with opened(browser, path, DESKTOP) as (page, _):
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
