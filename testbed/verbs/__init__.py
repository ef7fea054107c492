# SPDX-License-Identifier: Apache-2.0
"""One function a verb: what `testbed up`, `bench`, `report` … do, without the command line."""

from testbed.verbs.bench import bench
from testbed.verbs.lab import Lab
from testbed.verbs.machines import (
    box_build,
    box_remove,
    box_show,
    down,
    logs,
    ssh,
    status,
    up,
    vagrant,
)
from testbed.verbs.report import report, runs

__all__ = [
    "Lab",
    "bench",
    "box_build",
    "box_remove",
    "box_show",
    "down",
    "logs",
    "report",
    "runs",
    "ssh",
    "status",
    "up",
    "vagrant",
]
