# SPDX-License-Identifier: Apache-2.0
"""matplotlib's SVG turned into one clean, deterministic <svg> element of half the size."""

import io
import re
from collections import Counter
from html import escape
from typing import TYPE_CHECKING

from testbed.analysis.formats.sanitize import harmless

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK = "#1d1d1c"
"""A colour that no figure uses otherwise: `currentColor` in an SVG, nearly black in a PNG."""


def svg_of(figure: "Figure", name: str, alternative: str) -> str:
    """The figure as one <svg> element: no prologue, no metadata, no fixed size, its own ids."""
    buffer = io.StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=empty)
    text = harmless(buffer.getvalue())
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = _own_ids(text, name)
    text = text.replace(INK, "currentColor")
    text = re.sub(r"font: (?:(\d+) )?(\S+px) 'DejaVu Sans'[^;\"]*", _font, text)
    view_box = re.search(r'viewBox="0 0 (\S+) (\S+)"', text)
    assert view_box is not None, "matplotlib writes a viewBox"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {view_box[1]} {view_box[2]}" width="{view_box[1]}" '
        f'height="{view_box[2]}" role="img" '
        f'aria-label="{escape(harmless(alternative))}">'
    )
    return head + _slim(text[text.index(">") + 1 :].strip(), name) + "\n"


def _font(match: re.Match[str]) -> str:
    """In single properties: WeasyPrint takes the weight of a `font` for its size."""
    weight = f"font-weight: {match[1]}; " if match[1] else ""
    return f"{weight}font-size: {match[2]}; font-family: 'DejaVu Sans', Verdana, sans-serif"


def _slim(svg: str, name: str) -> str:
    """Half the size: no blanks between elements, paths to a hundredth of a pixel, no groups
    around nothing or around one element, and styles that repeat as classes of the figure."""

    def path(match: re.Match[str]) -> str:
        points = re.sub(r"(\.\d\d)\d+", r"\1", " ".join(match[1].split()))
        return f' d="{points}"'

    svg = re.sub(r'\s+d="([^"]*)"', path, svg)
    svg = re.sub(r">\s+<", "><", svg)
    svg = re.sub(r"([:;])\s+(?=[^<>]*>)", r"\1", svg)  # inside of tags only
    svg = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", svg)
    lone = r"<g>((?:<(?:path|use|text)\b[^<]*?(?:/>|>[^<]*</text>))?)</g>"
    while (smaller := re.sub(lone, r"\1", svg)) != svg:
        svg = smaller
    styles = Counter(re.findall(r' style="([^"]*)"', svg))
    rules: list[str] = []
    for style, count in styles.items():
        if count > 2:
            own = f"{_prefix(name)}-{len(rules)}"
            rules.append(f".{own}{{{style}}}")
            svg = svg.replace(f' style="{style}"', f' class="{own}"')
    return svg.replace("</style>", "".join(rules) + "</style>", 1)


def _prefix(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", name)


def _own_ids(svg: str, name: str) -> str:
    """Ids that nothing refers to are dropped; the rest get the figure's name, for one page
    holds several figures. Backslashes and the like cannot occur: names come from arm names,
    reduced to letters, digits and dashes."""
    prefix = _prefix(name)
    used = set(re.findall(r"url\(#([^)]+)\)", svg)) | set(re.findall(r'href="#([^"]+)"', svg))

    def rename(match: re.Match[str]) -> str:
        return f' id="{prefix}-{match[1]}"' if match[1] in used else ""

    svg = re.sub(r'\s+id="([^"]+)"', rename, svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    return re.sub(r'href="#([^"]+)"', rf'href="#{prefix}-\1"', svg)
