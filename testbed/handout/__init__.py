# SPDX-License-Identifier: Apache-2.0
"""The lab sheet: configuration, arms' manifests and a sample run in, pages out. Same in, same out.

Nothing on the sheet that the code knows is written down twice: addresses come from the
configuration, hooks from the manifests, thresholds from the checks, holes from the solution.
"""

from testbed.handout.exercises import Exercise, read_exercises
from testbed.handout.page import Sheet, render_sheet

__all__ = ["Exercise", "Sheet", "read_exercises", "render_sheet"]
