# SPDX-License-Identifier: Apache-2.0
"""Do this computer's fonts have every character of a page? A PDF would show boxes in their place.

fontconfig, which Pango takes its fonts from, is asked by its own `fc-list`.
"""

import unicodedata
from collections.abc import Iterable
from html.parser import HTMLParser

from testbed.edge.computer import host
from testbed.model.errors import HostError

PACKAGES = (
    ("HANGUL", "fonts-nanum or fonts-noto-cjk"),
    ("CJK", "fonts-noto-cjk"),
    ("HIRAGANA", "fonts-noto-cjk"),
    ("KATAKANA", "fonts-noto-cjk"),
    ("IDEOGRAPHIC", "fonts-noto-cjk"),
    ("FULLWIDTH", "fonts-noto-cjk"),
    ("", "fonts-dejavu-core, or fonts-noto-core for more scripts"),
)
"""How a character's Unicode name begins, and the Debian packages with fonts that have it."""
NEVER_DRAWN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp", "Mn")
"""Categories without a picture of their own, or without one that a font could promise."""


def require(html: str) -> None:
    """Raise HostError naming the package when a character of the page is in no installed font."""
    missing = sorted(_drawn(html) - _covered())
    if not missing:
        return
    shown = ", ".join(f"“{letter}” (U+{ord(letter):04X})" for letter in missing[:3])
    more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
    raise HostError(
        f"no installed font has {shown}{more}, which the page holds",
        hint=f"install the package {package_of(missing[0])}, then run this again",
    )


def package_of(letter: str) -> str:
    """The Debian packages, one of which has the character."""
    name = unicodedata.name(letter, "")
    return next(package for start, package in PACKAGES if name.startswith(start))


def _covered() -> set[str]:
    """Every character of every installed font. Raises HostError without fontconfig."""
    tool = host.find("fc-list", package="fontconfig")
    done = host.run([tool, "--format=%{charset}\n"], timeout_s=30)
    return set(_letters(done.stdout.split()))


def _letters(ranges: Iterable[str]) -> Iterable[str]:
    """ "20-7e a0": hexadecimal code points, and from which to which."""
    for text in set(ranges):
        first, _, last = text.partition("-")
        yield from map(chr, range(int(first, 16), int(last or first, 16) + 1))


class _Text(HTMLParser):
    """The characters between the tags; what stands in <style> is not drawn."""

    def __init__(self) -> None:
        super().__init__()
        self.letters: set[str] = set()
        self.in_style = False

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.in_style = tag == "style"

    def handle_endtag(self, tag: str) -> None:
        self.in_style = False

    def handle_data(self, data: str) -> None:
        if not self.in_style:
            self.letters.update(data)


def _drawn(html: str) -> set[str]:
    text = _Text()
    text.feed(html)
    text.close()
    return {c for c in text.letters if unicodedata.category(c) not in NEVER_DRAWN}
