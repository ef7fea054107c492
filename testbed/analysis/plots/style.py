# SPDX-License-Identifier: Apache-2.0
"""One look for all figures, and what a finished figure is: an SVG element, and files of it.

- One unit of a figure is one CSS pixel (72 dpi), so sizes here are what a reader sees.
- Text stays text, laid out with the DejaVu Sans that matplotlib brings along: the page's font,
  find-in-page and screen readers work, files are small, and the layout is the same everywhere.
  DejaVu is wide, so another font fits where it fitted.
- Ink is `currentColor` on nothing: the page decides on light or dark. A file on its own gets a
  white sheet.
- Colours are Okabe and Ito's; marker, hatch and order say the same again for print and for eyes
  that do not tell colours apart.
- At the foot of each figure stands what it was measured on: it may travel without its page.
"""

import textwrap
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from testbed.analysis.formats.sanitize import harmless
from testbed.analysis.plots.png import png_of
from testbed.analysis.plots.svg import INK, svg_of
from testbed.analysis.reading.records import Arm

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

P = ParamSpec("P")
T = TypeVar("T")

FONT_PX = 12.0
SMALL_PX = 10.5
STAMP_PX = 9.0
STAMP_LINE = 12.0
STAMP_CHARACTER = 5.75
"""Width of a character of STAMP_PX in DejaVu Sans, generously."""
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
    """A figure: the text alternative, the SVG element to put into a page, and a PNG."""

    name: str
    alternative: str
    svg: str
    png: bytes

    @property
    def file(self) -> str:
        """The SVG as a file of its own, on a white sheet whatever the viewer's background."""
        sheet = '<rect width="100%" height="100%" fill="#fff"/>'
        head, bracket, rest = self.svg.partition(">")
        return f'<?xml version="1.0" encoding="utf-8"?>\n{head}{bracket}{sheet}{rest}'


def look_of(index: int, arm: Arm) -> tuple[str, str]:
    """Colour and marker of the arm at a place of the order; grey dots are the arm without hook."""
    if arm.is_baseline:
        return "#7f7f7f", "o"
    return COLOURS[index % len(COLOURS)], MARKERS[index % len(MARKERS)]


def part_name(name: str, number: int) -> str:
    """Of a figure that goes on in further ones, to fit on a page: "cpu-xdp", "cpu-xdp-part2"."""
    return f"{name}-part{number + 1}" if number else name


def styled(draw: Callable[P, T]) -> Callable[P, T]:
    """Runs a drawing function, and the writing of its files, under this module's settings."""

    @wraps(draw)
    def under_settings(*args: P.args, **kwargs: P.kwargs) -> T:
        from matplotlib import rc_context

        with rc_context(_RC):
            return draw(*args, **kwargs)

    return under_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """A figure of `width` and `height` pixels above its stamp, which takes `foot` pixels more."""

    figure: "Figure"
    width: float
    height: float
    foot: float
    stamp: str

    def axes(self, left: float, bottom: float, width: float, height: float) -> "Axes":
        """Axes at a place in pixels from the lower left corner above the stamp, with left and
        lower spine only."""
        whole = self.height + self.foot
        axes = self.figure.add_axes(
            (
                left / self.width,
                (bottom + self.foot) / whole,
                width / self.width,
                height / whole,
            )
        )
        axes.patch.set_alpha(0)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(length=3, width=0.8)
        return axes

    def finish(self, name: str, alternative: str) -> Drawing:
        """The figure as it goes to pages and files."""
        spoken = f"{alternative} {self.stamp}"
        with warnings.catch_warnings():
            # A title's letter that matplotlib's font lacks: a page's own fonts have it, and in a
            # PNG a box is more than a warning is to whom only renders a run.
            warnings.filterwarnings("ignore", message="Glyph .* missing from font")
            svg = svg_of(self.figure, name, spoken)
            png = png_of(self.figure)
        return Drawing(name=name, alternative=spoken, svg=svg, png=png)


def new_sheet(width_px: float, height_px: float, stamp: str) -> Sheet:
    """A sheet with the stamp at its foot, in as many lines as it takes, four at most."""
    from matplotlib.figure import Figure

    room = int((width_px - 16) / STAMP_CHARACTER)
    lines = textwrap.wrap(
        harmless(stamp), room, max_lines=4, placeholder=" \u2026", break_on_hyphens=False
    )
    foot = STAMP_LINE * len(lines) + 8
    whole = height_px + foot
    figure = Figure(figsize=(width_px / 72, whole / 72), dpi=72)
    figure.patch.set_alpha(0)
    for number, line in enumerate(reversed(lines)):
        figure.text(
            8 / width_px, (5 + STAMP_LINE * number) / whole, line, fontsize=STAMP_PX, alpha=0.8
        )
    return Sheet(figure=figure, width=width_px, height=height_px, foot=foot, stamp=stamp)
