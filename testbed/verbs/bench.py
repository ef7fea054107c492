# SPDX-License-Identifier: Apache-2.0
"""`testbed bench`: the experiment on machines that are up."""

import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from testbed.edge.store import RunDir
from testbed.lab import cleanup, deploy
from testbed.lab.machines import closed_on_failure
from testbed.lab.recording import Recording
from testbed.lab.trials import Experiment
from testbed.model import arm as arm_manifest
from testbed.model.plan import Plan
from testbed.verbs.lab import Lab
from testbed.verbs.machines import prepare


def bench(lab: Lab, names: Sequence[str], seed: int | None, command: Sequence[str]) -> Path:
    """Run the experiment with the named arms on running machines; return the run directory.

    Raises MachineError when the machines are not up, ArmError, GuestError; the run is
    then incomplete and says so, with the trials that were finished.
    """
    arms = arm_manifest.choose(lab.arms_dir, names)
    with lab.alone("bench"):
        machines = lab.machines
        guests = machines.guests()
        with (
            lab.terminal.step("sources, addresses, arms", expect_s=3),
            ThreadPoolExecutor(len(guests)) as pool,
            closed_on_failure(guests),
        ):
            list(pool.map(lambda guest: prepare(lab, guest, arms), guests.values()))
        every = arm_manifest.choose(lab.arms_dir, arm_manifest.known(lab.arms_dir))
        every = deploy.built(guests["server"], every)
        for left in cleanup.sweep(guests["server"], guests["client"], every, lab.config.network):
            lab.terminal.warn(f"left by an earlier command: {left}")

        plan = Plan.shuffled(
            [arm.name for arm in arms],
            lab.config.bench.trials,
            secrets.randbelow(2**31) if seed is None else seed,
        )
        run_dir = RunDir.create(lab.results)
        run_dir.point_latest()
        lab.terminal.say(f"run {run_dir.path.name}: {len(plan)} trials, seed {plan.seed}")
        recording = Recording(run_dir, lab.config, plan, arms, command, machines, guests)
        by_name = {arm.name: arm for arm in arms}
        with recording.whole():
            Experiment(lab.config, plan, by_name, guests, run_dir, lab.terminal).run()
    return run_dir.path
