# SPDX-License-Identifier: Apache-2.0
"""What a cost is called: CPU time, or only time in which the server's CPUs were not idle.

Both are wall × CPUs less what the kernel counts as idle (cost.py). A virtual CPU that waits for a
CPU of the host takes that for work. With KVM the check `contention` keeps such waiting below 2 %,
so what is left is CPU time. Emulated CPUs waited for 14 to 26 % on two quiet cores, and the check
lets 30 % pass (docs/calibration.md): there it is named what it is.
"""

from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Run


def is_emulated(run: Run) -> bool:
    """Whether the machines ran without KVM; False also where that was not recorded."""
    return environment.accelerator(run) == "emulation"


def cost_noun(run: Run) -> str:
    """What a packet took, in a sentence: "CPU time" or "non-idle time"."""
    return "non-idle time" if is_emulated(run) else "CPU time"


def cost_unit(run: Run) -> str:
    """The unit of a cost: "CPU-µs" or "non-idle µs"."""
    return "non-idle µs" if is_emulated(run) else "CPU-µs"


def cost_head(run: Run) -> str:
    """The same at the head of a column."""
    unit = cost_unit(run)
    return unit[0].upper() + unit[1:]


def explanation(run: Run) -> str:
    """One sentence on that unit, where it is not CPU time; else empty."""
    if not is_emulated(run):
        return ""
    return (
        "Non-idle µs: time in which the server’s CPUs were not idle. They are emulated, and count "
        "the time that they waited for a CPU of the host as work, so this is not CPU time."
    )
