# SPDX-License-Identifier: Apache-2.0
"""A run over several boots of the machines: where memory lies is drawn anew for each.

A restored machine would have the memory layout of the moment it was saved, so the machines are
shut down and started again, as `testbed down --halt` and `testbed up` do.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace

from testbed.edge.guests.connection import closed_after
from testbed.edge.guests.guest import Guest
from testbed.lab.experiment.host_readings import HostReadings
from testbed.lab.experiment.recording import Recording
from testbed.lab.experiment.trials import Experiment
from testbed.lab.experiment.warm_up import warm_up
from testbed.lab.machines.machines import Machines
from testbed.verbs.lab import Lab
from testbed.verbs.upkeep.machines import bring_up, fair_sources

SETTLED_S = 60.0
"""Since the server booted: the check `floor` doubts what is measured earlier."""

Connected = Callable[[], AbstractContextManager[tuple[Machines, dict[str, Guest]]]]


def booted_anew(
    lab: Lab, recording: Recording, experiment: Experiment, connected: Connected, later: ExitStack
) -> Experiment:
    """Boot both machines again and return the experiment on them, warmed up at the rate it has.

    `connected` makes the guests ready; `later` closes them when the run is recorded. Raises
    MachineError when they do not come back, and whatever setting them up raises.
    """
    block, count = experiment.blocks_done + 1, len(recording.boots) + 1
    lab.terminal.say(f"boot {count}, before block {block}: the machines are started anew")
    with closed_after(recording.guests):
        pass
    lab.machines.down("halt")
    bring_up(lab, fair_sources(lab))
    machines, guests = later.enter_context(connected())
    recording.guests = guests
    again = replace(experiment, guests=guests, host=HostReadings.of(machines))
    settle(lab, guests["server"])
    warm_up(again.at_a_fixed_rate())
    return again


def settle(lab: Lab, server: Guest) -> None:
    """Wait until the server has run for SETTLED_S, which a first `up` may not take."""
    if (early_s := SETTLED_S - server.uptime_s()) > 0:
        with lab.terminal.step("until the server has settled", expect_s=early_s):
            time.sleep(early_s)


def parts(starts: Sequence[int], blocks: int, done: int) -> list[tuple[int, int]]:
    """Return (first, last) block of each boot that is still to come, after those that are done."""
    lasts = [start - 1 for start in starts[1:]] + [blocks]
    ranges = zip(starts, lasts, strict=True)
    return [(max(first, done + 1), last) for first, last in ranges if last > done]
