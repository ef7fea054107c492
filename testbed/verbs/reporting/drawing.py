# SPDX-License-Identifier: Apache-2.0
"""A report's figures, drawn by a copy of this process while this one reads, judges and writes.

Two thirds of a report's time go into matplotlib: half a second until it is loaded, a second of
drawing. The copy loads it while there is nothing to draw yet, and shares the drawing out again.
"""

import os
from dataclasses import dataclass, replace

from testbed.analysis.page.figures import Figures, draw_figures
from testbed.analysis.page.judged import Judged
from testbed.edge.computer.aside import Aside, shared


@dataclass(frozen=True)
class Job:
    """What is to be drawn, of which run."""

    judged: Judged
    overlay: bool
    per_cpu: bool

    @classmethod
    def of(cls, judged: Judged, *, overlay: bool, per_cpu: bool) -> "Job":
        """No figure shows the gate's 5,000 cases, which are most of a run on its way to a copy."""
        run = replace(judged.run, gate={})
        return cls(replace(judged, run=run), overlay, per_cpu)


def drawing() -> Aside[Job, Figures]:
    """Begin to load what draws; to be called while this process has a single thread."""
    # numpy's threads, for matrices that nobody has here, would be in the way of the next copy.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import numpy  # noqa: F401  (both need it)

    return Aside(_draw, prepare=_load)


def _load() -> None:
    from matplotlib import figure  # noqa: F401
    from matplotlib.backends import backend_agg, backend_svg  # noqa: F401


def _draw(job: Job) -> Figures:
    return draw_figures(job.judged, overlay=job.overlay, per_cpu=job.per_cpu, each=shared)
