# SPDX-License-Identifier: Apache-2.0
"""What a figure was measured on, in a line: modes, NIC, accelerator, kernel, run.

It is part of every figure, for a figure that leaves its page must still say what it is: "XDP"
alone could be three things.
"""

from collections.abc import Iterable

from testbed.analysis.conclusions.sentences import mode_text
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Arm, Run

MOST_NAMES = 4
"""Arms of one mode that are named; of more there is only their number."""
ACCELERATORS = {"kvm": "KVM", "emulation": "emulated, no KVM"}


def stamp(run: Run, arms: Iterable[Arm]) -> str:
    """ "netfilter: module · xdp: generic XDP · NIC e1000 · emulated, no KVM · Linux 6.1.0 · …"."""
    accelerator, cpus = environment.accelerator(run), environment.server_cpus(run)
    parts = [
        *modes(run, arms),
        f"NIC {environment.nic_driver(run)}",
        ACCELERATORS.get(accelerator, f"acceleration {accelerator}"),
        f"Linux {environment.kernel(run)}",
        "1 server CPU" if cpus == "1" else f"{cpus} server CPUs",
        f"run {run.run_id}",
    ]
    return "\u00a0· ".join(parts)


def modes(run: Run, arms: Iterable[Arm]) -> list[str]:
    """ "netfilter: module", by mode in the order of the arms, as `verify` found it."""
    by_mode: dict[str, list[str]] = {}
    for arm in (arm for arm in arms if not arm.is_baseline):
        mode = mode_text(run, arm)
        said = f"{mode} XDP" if arm.hook == "xdp" and mode != "not verified" else mode
        by_mode.setdefault(said, []).append(arm.name)
    return [
        f"{', '.join(names) if len(names) <= MOST_NAMES else f'{len(names)} arms'}: {mode}"
        for mode, names in by_mode.items()
    ]
