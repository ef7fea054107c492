# SPDX-License-Identifier: Apache-2.0
"""One function a verb: what `testbed up`, `bench`, `report` … do, without the command line."""

from testbed.verbs.experiment import Precision, Request, bench
from testbed.verbs.fault_test import selftest
from testbed.verbs.gate import check
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
from testbed.verbs.results import Report, compare, report, runs

__all__ = [
    "Lab",
    "Precision",
    "Report",
    "Request",
    "bench",
    "box_build",
    "box_remove",
    "box_show",
    "check",
    "compare",
    "down",
    "logs",
    "report",
    "runs",
    "selftest",
    "ssh",
    "status",
    "up",
    "vagrant",
]
