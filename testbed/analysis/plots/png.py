# SPDX-License-Identifier: Apache-2.0
"""A figure as a PNG on a white sheet, with a palette: a third of the bytes.

A figure has a dozen colours and what lies between them at its edges, some 350 in all. 256 of them
serve for all, one step of 255 off at most.
"""

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI, PLAIN_DPI = 144, 72
"""Two pixels of a PNG to one of the page: sharp on a slide and on dense screens. One to one in a
figure that is taller than TALL_PX, for hundreds of arms."""
TALL_PX, MOST_PX = 4_000, 60_000
"""Beyond MOST_PX it is shrunk: matplotlib's Agg draws fewer than 2^16 pixels in a direction."""


def png_of(figure: "Figure") -> bytes:
    """The figure, without the date and the version that would change its bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image  # comes with matplotlib, which writes its own PNGs with it

    height = figure.get_size_inches()[1] * 72
    dpi = DPI if height <= TALL_PX else min(PLAIN_DPI, PLAIN_DPI * MOST_PX / height)
    figure.set_facecolor("#ffffff")
    figure.patch.set_alpha(1)
    figure.set_dpi(dpi)
    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    size = canvas.get_width_height(physical=True)
    drawn = Image.frombuffer("RGBA", size, canvas.buffer_rgba(), "raw", "RGBA", 0, 1)
    picture = drawn.convert("RGB").quantize(
        method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE
    )
    buffer = io.BytesIO()
    picture.save(buffer, format="png", dpi=(dpi, dpi))
    return buffer.getvalue()
