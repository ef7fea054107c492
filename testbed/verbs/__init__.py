# SPDX-License-Identifier: Apache-2.0
"""One function a verb: what `testbed up`, `bench`, `report` … do, without the command line.

Each is imported when it is first asked for: `report` needs no SSH, and `up` no packets.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from testbed.verbs.lab import Lab
    from testbed.verbs.measuring.count_test import count_selftest
    from testbed.verbs.measuring.experiment import Request, bench, resume
    from testbed.verbs.measuring.fault_test import selftest
    from testbed.verbs.measuring.gate import check
    from testbed.verbs.measuring.growing import Precision
    from testbed.verbs.reporting.lab_sheet import handout, starter
    from testbed.verbs.reporting.listing import runs
    from testbed.verbs.reporting.results import Report, Wanted, compare, report
    from testbed.verbs.upkeep.doctor import doctor
    from testbed.verbs.upkeep.lab_folder import init
    from testbed.verbs.upkeep.leftovers import clear_away
    from testbed.verbs.upkeep.machines import (
        box_build,
        box_remove,
        box_show,
        down,
        logs,
        ssh,
        up,
        vagrant,
    )
    from testbed.verbs.upkeep.status import status

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
    "init",
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
    **dict.fromkeys(("Request", "bench", "resume"), "measuring.experiment"),
    **dict.fromkeys(("Report", "Wanted", "compare", "report"), "reporting.results"),
    **dict.fromkeys(("handout", "starter"), "reporting.lab_sheet"),
    "Lab": "lab",
    "Precision": "measuring.growing",
    "check": "measuring.gate",
    "clear_away": "upkeep.leftovers",
    "count_selftest": "measuring.count_test",
    "doctor": "upkeep.doctor",
    "init": "upkeep.lab_folder",
    "runs": "reporting.listing",
    "selftest": "measuring.fault_test",
    "status": "upkeep.status",
}
"""Where a verb lives, if not in `upkeep/machines.py`."""


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(
        import_module(f"{__name__}.{_MODULES.get(name, 'upkeep.machines')}"), name
    )
    globals()[name] = value
    return value
