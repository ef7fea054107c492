# SPDX-License-Identifier: Apache-2.0
"""One function a verb: what `testbed up`, `bench`, `report` … do, without the command line."""

from testbed.verbs.experiment import Precision, Request, bench
from testbed.verbs.fault_test import selftest
from testbed.verbs.gate import check
from testbed.verbs.handout import handout, starter
from testbed.verbs.lab import Lab
from testbed.verbs.listing import runs
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
from testbed.verbs.results import Report, Wanted, compare, report

__all__ = [
    "Lab",
    "Precision",
    "Report",
    "Request",
    "Wanted",
    "bench",
    "box_build",
    "box_remove",
    "box_show",
    "check",
    "compare",
    "down",
    "handout",
    "logs",
    "report",
    "runs",
    "selftest",
    "ssh",
    "starter",
    "status",
    "up",
    "vagrant",
]
