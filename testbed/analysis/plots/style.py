# SPDX-License-Identifier: Apache-2.0
"""One look for all figures, and matplotlib turned into clean, deterministic SVG.

- One unit of a figure is one CSS pixel (72 dpi), so sizes here are what a reader sees.
- Text stays text, laid out with the DejaVu Sans that matplotlib brings along: the page's font,
  find-in-page and screen readers work, files are small, and the layout is the same everywhere.
  DejaVu is wide, so another font fits where it fitted.
- Ink is `currentColor` on nothing: the page decides on light or dark. A file on its own gets a
  white sheet (`Drawing.file`).
- Colours are Okabe and Ito's; marker, hatch and order say the same again for print and for eyes
  that do not tell colours apart.
"""

import io
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from testbed.analysis.records import Arm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

INK = "#123456"
"""A colour that no figure uses otherwise; `svg_of` turns it into currentColor."""
FONT_PX = 12.0
SMALL_PX = 10.5
FAINT = 0.14
COLOURS = ("#CC79A7", "#0072B2", "#D55E00", "#009E73", "#E69F00", "#56B4E9")
MARKERS = "vsD^PX"

_RC: Any = {
    "svg.hashsalt": "testbed",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": FONT_PX,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": SMALL_PX,
    "ytick.labelsize": SMALL_PX,
    "hatch.linewidth": 0.7,
    "path.simplify": False,
    "text.parse_math": False,  # titles are data: a "$" in one is a dollar
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A figure: the text alternative, and the SVG element to put into a page."""

    name: str
    alternative: str
    svg: str

    @property
    def file(self) -> str:
        """The same as a file of its own, on a white sheet whatever the viewer's background."""
        sheet = '<rect width="100%" height="100%" fill="#fff"/>'
        head, bracket, rest = self.svg.partition(">")
        return f'<?xml version="1.0" encoding="utf-8"?>\n{head}{bracket}{sheet}{rest}'


def look_of(index: int, arm: Arm) -> tuple[str, str]:
    """Colour and marker of the arm at a place of the order; grey dots are the arm without hook."""
    if arm.is_baseline:
        return "#7f7f7f", "o"
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Runs a drawing function, and the writing of its SVG, under this module's settings."""

    @wraps(draw)
    def under_settings(*args: P.args, **kwargs: P.kwargs) -> T:
        from matplotlib import rc_context

        with rc_context(_RC):
            return draw(*args, **kwargs)

    return under_settings


def new_figure(width_px: float, height_px: float) -> "Figure":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_px / 72, height_px / 72), dpi=72)
    figure.patch.set_alpha(0)
    return figure


def axes_in(figure: "Figure", left: float, bottom: float, width: float, height: float) -> "Axes":
    """Axes at a place in pixels from the lower left corner, with left and lower spine only."""
    whole_width, whole_height = figure.get_size_inches() * 72
    axes = figure.add_axes(
        (
            left / whole_width,
            bottom / whole_height,
            width / whole_width,
            height / whole_height,
        )
    )
    axes.patch.set_alpha(0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3, width=0.8)
    return axes


def svg_of(figure: "Figure", name: str, alternative: str) -> Drawing:
    """The figure as one <svg> element: no prologue, no metadata, no fixed size, its own ids."""
    buffer = io.StringIO()
    empty = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=empty)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.S)
    text = _own_ids(text, name)
    text = text.replace(INK, "currentColor")
    text = re.sub(r"'DejaVu Sans'[^;\"]*", "'DejaVu Sans', Verdana, sans-serif", text)
    view_box = re.search(r'viewBox="0 0 (\S+) (\S+)"', text)
    assert view_box is not None, "matplotlib writes a viewBox"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {view_box[1]} {view_box[2]}" width="{view_box[1]}" '
        f'height="{view_box[2]}" role="img" aria-label="{escape(alternative)}">'
    )
    body = _slim(text[text.index(">") + 1 :].strip(), name)
    return Drawing(name=name, alternative=alternative, svg=head + body + "\n")


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
