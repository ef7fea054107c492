# SPDX-License-Identifier: Apache-2.0
"""A two-VM testbed that measures what a packet hook costs, and refuses untrue comparisons.

In a notebook, `testbed.open_run("latest")` opens a run (docs/notebook.md).
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from testbed.notebook import OpenRun

__version__ = "0.1.0"


def open_run(run: "str | Path" = "latest") -> "OpenRun":
    """Open a run for reading: "latest", a run's name, or the path of a run directory.

    Raises testbed.notebook.NotebookError for a run that is not there or is damaged.
    """
    from testbed import notebook  # its libraries are large, and the command line wants none

    return notebook.open_run(run)
