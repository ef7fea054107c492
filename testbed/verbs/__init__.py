# SPDX-License-Identifier: Apache-2.0
"""One function a verb: what `testbed up`, `bench`, `report` … do, without the command line.

Each is imported when it is first asked for: `report` needs no SSH, and `up` no packets.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.verbs.count_test import count_selftest
    from testbed.verbs.doctor import doctor
    from testbed.verbs.experiment import Request, bench, resume
    from testbed.verbs.fault_test import selftest
    from testbed.verbs.gate import check
    from testbed.verbs.growing import Precision
    from testbed.verbs.lab import Lab
    from testbed.verbs.lab_sheet import handout, starter
    from testbed.verbs.leftovers import clear_away
    from testbed.verbs.listing import runs
    from testbed.verbs.machines import (
        box_build,
        box_remove,
        box_show,
        down,
        logs,
        ssh,
        up,
        vagrant,
    )
    from testbed.verbs.results import Report, Wanted, compare, report
    from testbed.verbs.status import status

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
    "clear_away",
    "compare",
    "count_selftest",
    "doctor",
    "down",
    "handout",
    "logs",
    "report",
    "resume",
    "runs",
    "selftest",
    "ssh",
    "starter",
    "status",
    "up",
    "vagrant",
]

_MODULES = {
    **dict.fromkeys(("Request", "bench", "resume"), "experiment"),
    **dict.fromkeys(("Report", "Wanted", "compare", "report"), "results"),
    **dict.fromkeys(("handout", "starter"), "lab_sheet"),
    "Lab": "lab",
    "Precision": "growing",
    "check": "gate",
    "clear_away": "leftovers",
    "count_selftest": "count_test",
    "doctor": "doctor",
    "runs": "listing",
    "selftest": "fault_test",
    "status": "status",
}
"""Where a verb lives, if not in `machines`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_MODULES.get(name, 'machines')}"), name)
    globals()[name] = value
    return value
