# SPDX-License-Identifier: Apache-2.0
"""One tab of a browser, in which all pages are looked at, and axe-core's findings about them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Dialog

PHONE, DESKTOP, PAPER = 360, 1280, 673
"""Widths in CSS pixels; PAPER is A4 less the margins."""


@dataclass
class Noticed:
    """The requests of a page, beyond itself, and its complaints."""

    requests: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)


class Tab:
    """A tab that loads a page only where it shows another one, or one that a test has changed.

    A new tab for each page took twice the time: each has a process of its own.
    """

    def __init__(self, browser: Browser) -> None:
        context = browser.new_context(viewport={"width": PHONE, "height": 800}, offline=True)
        self.page = context.new_page()
        self.noticed = Noticed()
        self._shown: Path | None = None
        self.page.on("request", lambda request: self.noticed.requests.append(request.url))
        self.page.on("console", lambda message: self.noticed.words.append(message.text))
        self.page.on("pageerror", lambda error: self.noticed.words.append(str(error)))
        self.page.on("dialog", self._dialog)

    def _dialog(self, dialog: Dialog) -> None:
        self.noticed.words.append(dialog.message)
        dialog.dismiss()

    def show(self, path: Path, width: int = PHONE) -> "Tab":
        """Show a page, in the light."""
        if self._shown != path:
            self._shown = None
            self.page.goto("about:blank")
            self.noticed = Noticed()
            self.seen(width)
            self.page.goto(path.as_uri(), wait_until="load")
            self.noticed.requests.remove(path.as_uri())
            self._shown = path
        self.seen(width)
        return self

    def seen(self, width: int, *, scheme: Any = "light", media: Any = "screen") -> None:
        """Let the page be seen otherwise; it is laid out anew and not loaded again."""
        self.page.set_viewport_size({"width": width, "height": 800})
        self.page.emulate_media(media=media, color_scheme=scheme)

    def violations(self) -> list[tuple[Any, ...]]:
        """Return axe-core's findings on a phone and a desktop, in the light and the dark.

        Each has the width, the scheme, the rule, and the first elements that break it. The whole
        page is asked about all but colours, once: another width shows other elements at most, and
        those are asked about there. Colours are asked of one element of each look, which is a
        twentieth of them: see `ONE_OF_EACH_LOOK`. In the dark nothing else differs, and a phone has
        the smallest letters: `test_the_dark_changes_colours_alone`,
        `test_a_width_changes_no_colour_and_makes_letters_no_smaller_than_on_a_phone`.
        """
        self._shown = None  # the page will not be what it was
        self.page.evaluate(Axe().axe_script)
        self.seen(PHONE)
        assert self.page.evaluate(WITHOUT_DRAWN_CONTENT) == []
        found = self._asked(PHONE, "light", ALL_BUT_COLOURS)
        self.page.evaluate("() => { window.unseen = [...document.querySelectorAll('body *')]"
                           ".filter(e => !e.checkVisibility()) }")  # fmt: skip
        self.seen(DESKTOP)
        found += self._asked(DESKTOP, "light", OF_SCROLLING)
        seen_now = "window.unseen.filter(e => e.checkVisibility())"
        if self.page.evaluate(f"() => {seen_now}.length"):
            found += self._asked(DESKTOP, "light", ALL_BUT_COLOURS, f"{{include: {seen_now}}}")
        self.seen(PHONE)
        self.page.evaluate(ONE_OF_EACH_LOOK)
        for width, scheme in ((PHONE, "light"), (PHONE, "dark"), (DESKTOP, "light")):
            self.seen(width, scheme=scheme)
            found += self._asked(width, scheme, COLOURS)
        return found

    def _asked(
        self, width: int, scheme: str, options: dict[str, Any], where: str = "document"
    ) -> list[tuple[Any, ...]]:
        answer = self.page.evaluate(
            f"options => axe.run({where}, options).then(found => found.violations)", options
        )
        return [
            (width, scheme, broken["id"], [node["html"][:160] for node in broken["nodes"][:3]])
            for broken in answer
        ]


OF_COLOURS = ("color-contrast", "link-in-text-block")
_TOLD: dict[str, Any] = {"resultTypes": ["violations"]}
COLOURS = {**_TOLD, "runOnly": {"type": "rule", "values": OF_COLOURS}}
ALL_BUT_COLOURS = {**_TOLD, "rules": {name: {"enabled": False} for name in OF_COLOURS}}
OF_SCROLLING = {**_TOLD, "runOnly": {"type": "rule", "values": ["scrollable-region-focusable"]}}

WITHOUT_DRAWN_CONTENT = """() => {
    const inside = [...document.querySelectorAll('figure svg > :not(title, desc)')]
    const reached = inside.flatMap(e => [e, ...e.querySelectorAll('*')])
        .filter(e => e.matches('a, [tabindex], [role], [aria-label]'))
        .map(e => e.outerHTML.slice(0, 120))
    for (const element of inside) element.remove()
    return reached
}"""
"""Removes the lines and letters of figures, into which axe does not look; it walks over them.

Returns what it would look at there: links and elements with a role or a name.
"""

ONE_OF_EACH_LOOK = """() => {
    const look = e => {
        const style = getComputedStyle(e)
        const words = [...e.childNodes].some(n => n.nodeType === Node.TEXT_NODE && n.data.trim())
        return JSON.stringify([e.tagName, e.getAttribute('class'), e.getAttribute('style'), words,
            style.color, style.backgroundColor, style.backgroundImage, style.fontSize,
            style.fontWeight, style.opacity, style.display, style.position])
    }
    const known = new Map()
    const numbered = whole => {
        if (!known.has(whole)) known.set(whole, known.size)
        return known.get(whole)
    }
    const thin = e => {
        const looks = new Set()
        for (const child of [...e.children]) {
            const number = thin(child)
            if (looks.has(number)) child.remove()
            else looks.add(number)
        }
        return numbered(look(e) + '(' + [...looks].join(',') + ')')
    }
    thin(document.body)
}"""
"""Removes each element that looks as an earlier one of the same parent, down to its last child.

They have the same classes, colours, letters and ground. So the hundred rows of a table become one
for each look, and an odd cell keeps its row.
"""
