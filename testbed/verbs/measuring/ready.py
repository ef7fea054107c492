# SPDX-License-Identifier: Apache-2.0
"""Both machines made ready for a command: connected, set up, its arms built, all else swept."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

from testbed.edge.guests.connection import closed_after, closed_on_failure
from testbed.edge.guests.guest import Guest
from testbed.lab.guests import building, cleanup
from testbed.lab.guests.blame import wrecks_shut_off
from testbed.lab.guests.console_watch import watched
from testbed.lab.guests.deploy import Wanted
from testbed.lab.guests.offloads import gro_as_configured
from testbed.lab.machines.machines import Machines
from testbed.model import arm as arm_manifest
from testbed.model.arm import BASELINE, Arm
from testbed.model.errors import ArmError
from testbed.model.nic import NICS
from testbed.verbs.lab import Lab
from testbed.verbs.upkeep.machines import prepare, sources_of


@contextmanager
def ready_guests(
    lab: Lab, verb: str, arms: Sequence[Arm], broken: dict[str, ArmError] | None = None
) -> Iterator[tuple[Machines, dict[str, Guest]]]:
    """Hold the lock while both machines are connected, set up, with `arms` built, and swept.

    Arms that cannot be used come into `broken`, by their folders; ArmError where none is given.
    """
    with lab.alone(verb), connected(lab, sources_of(lab, arms), broken) as ready:
        yield ready


@contextmanager
def connected(
    lab: Lab, wanted: Wanted, broken: dict[str, ArmError] | None = None
) -> Iterator[tuple[Machines, dict[str, Guest]]]:
    """The same for one that holds the lock and has read the sources already."""
    machines, nic = lab.machines, NICS[lab.config.machines.nic_model]
    failed = building.without_native_xdp((arm for arm, _ in wanted.arms.values()), nic)
    if broken is None:
        building.demand_built(failed)
    guests = machines.guests()
    with wrecks_shut_off(machines.domains), closed_after(guests):
        with (
            lab.terminal.step("sources, addresses, arms", expect_s=3),
            ThreadPoolExecutor(len(guests)) as pool,
            closed_on_failure(guests),
        ):
            ready = partial(prepare, lab, wanted=wanted, agent=True)
            outcomes = list(pool.map(ready, guests.values()))
        failed |= {name: error for outcome in outcomes for name, error in outcome.items()}
        if broken is None:
            building.demand_built(failed)
        else:
            broken.update(failed)
        every = arm_manifest.choose(lab.arms_dir, arm_manifest.known(lab.arms_dir))
        there = building.built(guests["server"], every)
        network = lab.config.network
        for left in cleanup.sweep(guests["server"], guests["client"], there, network):
            lab.terminal.warn(f"left by an earlier command: {left}")
        cleanup.prove_swept(guests["server"], there, every, network)
        with (
            watched(guests, machines.project.path, machines.states),
            gro_as_configured(guests["server"], lab.config),
        ):
            yield machines, guests


def baseline(lab: Lab) -> Arm:
    """Return the arm without a hook: the warm-up's, whatever arms a run compares."""
    return arm_manifest.load(lab.arms_dir / BASELINE)
