# SPDX-License-Identifier: Apache-2.0
"""A report's figures, drawn by a copy of this process while this one reads, judges and writes.

Two thirds of a report's time go into matplotlib: half a second until it is loaded, a second of
drawing. The copy loads it while there is nothing to draw yet, and shares the drawing out again.
"""

import os
from dataclasses import dataclass, replace

from testbed.analysis.page.figures import Figures, count_pictures, draw_figures
from testbed.analysis.page.judged import Judged
from testbed.analysis.receipt.page import Picture
from testbed.edge.computer.aside import Aside, shared


@dataclass(frozen=True)
class ToDraw:
    """The figures to draw, and their run."""

    judged: Judged
    pictures: list[Picture]
    overlay: bool
    per_cpu: bool

    @classmethod
    def of(cls, judged: Judged, *, overlay: bool, per_cpu: bool) -> "ToDraw":
        """Leave out what no figure shows, and what is most of a run on its way to a copy.

        That is the gate's 5,000 cases, and every packet of a count.
        """
        run, pictures = replace(judged.run, gate={}), count_pictures(judged)
        return cls(replace(judged, run=run, lane=None), pictures, overlay, per_cpu)


def drawing() -> Aside[ToDraw, Figures]:
    """Begin to load what draws; to be called while this process has a single thread."""
    # numpy's threads, for matrices that nobody has here, would be in the way of the next copy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import numpy  # noqa: F401  (both need it)

    return Aside(_draw, prepare=_load)


def _load() -> None:
    from matplotlib import figure  # noqa: F401
    from matplotlib.backends import backend_agg, backend_svg  # noqa: F401


def _draw(job: ToDraw) -> Figures:
    return draw_figures(
        job.judged, overlay=job.overlay, per_cpu=job.per_cpu, pictures=job.pictures, each=shared
    )
