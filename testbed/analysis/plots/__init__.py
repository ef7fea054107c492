# SPDX-License-Identifier: Apache-2.0
"""The report's figures, each a function of the run that returns a `Drawing` (SVG text, PNG)."""

from testbed.analysis.plots.comparison import draw_comparison
from testbed.analysis.plots.cpu_time import draw_cpu_time, draw_per_cpu
from testbed.analysis.plots.ledger import draw_ledger
from testbed.analysis.plots.overlay import draw_overlay
from testbed.analysis.plots.style import Drawing

__all__ = [
    "Drawing",
    "draw_comparison",
    "draw_cpu_time",
    "draw_ledger",
    "draw_overlay",
    "draw_per_cpu",
]
