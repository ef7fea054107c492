# SPDX-License-Identifier: Apache-2.0
"""`testbed bench`: the experiment on machines that are up."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import partial
from pathlib import Path
from typing import Any

from testbed.edge import journal, store
from testbed.edge.connection import closed_after, closed_on_failure
from testbed.edge.guest import Guest
from testbed.edge.store import RunDir
from testbed.lab import cleanup, deploy, hostfacts
from testbed.lab.console_watch import watched
from testbed.lab.host_readings import HostReadings
from testbed.lab.load import warm_up
from testbed.lab.machines import Machines
from testbed.lab.oracle import run_gate
from testbed.lab.recording import Recording
from testbed.lab.resuming import Unfinished
from testbed.lab.trials import Experiment, Grow
from testbed.model import arm as arm_manifest
from testbed.model.arm import BASELINE, Arm
from testbed.model.errors import RunError
from testbed.model.plan import Plan
from testbed.verbs.lab import Lab
from testbed.verbs.machines import prepare, tell_left_out


@dataclass(frozen=True)
class Precision:
    """When `--until-precise` stops: at this half-width of the ratio's interval, as a share."""

    target: float
    at_least: int
    at_most: int

    def as_json(self) -> dict[str, Any]:
        """Return what plan.json holds."""
        return {"target": self.target, "min_blocks": self.at_least, "max_blocks": self.at_most}


@dataclass(frozen=True)
class Request:
    """What the user asked `bench` for."""

    names: Sequence[str]
    seed: int | None
    command: Sequence[str]
    controls: bool = False
    precision: Precision | None = None
    probe: bool = False
    original: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what plan.json holds for `resume`."""
        return {"names": list(self.names), "controls": self.controls, "probe": self.probe}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Request":
        """Return what a run was asked for, as its plan.json tells."""
        asked, wanted = document["request"], document["until_precise"]
        precision = wanted and Precision(
            wanted["target"], wanted["min_blocks"], wanted["max_blocks"]
        )
        return cls(
            asked["names"], int(document["seed"]), document["command"], probe=asked["probe"],
            controls=asked["controls"], precision=precision,
        )  # fmt: skip


def bench(lab: Lab, request: Request) -> Path:
    """Run the experiment with the named arms on running machines; return the run directory.

    Raises MachineError when the machines are not up, ArmError, GuestError; the run is
    then incomplete and says so, with the trials that were finished.
    """
    arms = arm_manifest.choose(lab.arms_dir, request.names)
    with ready_guests(lab, "bench", arms) as (machines, guests):
        if request.controls:
            arms = arm_manifest.with_controls(arms)
        seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        plan = _plan(lab, request, [arm.name for arm in arms], seed)
        run_dir = RunDir.create(lab.results)
        run_dir.point_latest()
        journal.write_to(run_dir.path / store.LOG)
        lab.terminal.say(f"run {run_dir.path.name}: {len(plan)} trials, seed {plan.seed}")
        recording = Recording(
            run_dir, lab.config, plan, arms, request.command, machines, guests,
            profile="original" if request.original else "fair",
            precision=request.precision.as_json() if request.precision else None,
            request=request.as_json(), sources=deploy.stamp_of(lab.checkout, arms),
        )  # fmt: skip
        _measure(lab, request, recording)
    return run_dir.path


def resume(lab: Lab, name: str | None) -> Path:
    """Go on with a run that was cut off, with the block in which that happened.

    Order, seed and rate are those of the run. Raises RunError when it is complete, or names what
    is no longer as it was when it began; and what `bench` raises.
    """
    found = Unfinished.of(store.find_run(lab.results, name))
    configured, lab = lab.config, replace(lab, configured=found.config)
    request = Request.of(found.document)
    arms = arm_manifest.choose(lab.arms_dir, request.names)
    with ready_guests(lab, "bench", arms) as (machines, guests):
        if request.controls:
            arms = arm_manifest.with_controls(arms)
        sources, host = deploy.stamp_of(lab.checkout, arms), hostfacts.collect(machines)
        described = [arm.model_dump(mode="json", by_alias=True) for arm in arms]
        unlike = list(found.differences(configured, sources, described, host))
        if unlike:
            raise RunError(
                f"{found.path.name} cannot go on: it would not be one experiment",
                hint="put back what changed, or start a new run",
                detail="\n".join(unlike),
            )
        done = found.blocks_done
        found.drop_rest()
        run_dir = RunDir(found.path)
        run_dir.point_latest()
        journal.write_to(run_dir.path / store.LOG)
        total = len(found.plan.blocks)
        lab.terminal.say(f"run {run_dir.path.name}: {done} of {total} blocks are done, going on")
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        recording = Recording(
            run_dir, lab.config, found.plan, arms, request.command, machines, guests,
            precision=found.document["until_precise"], load=list(found.document["load"]),
            request=request.as_json(), sources=sources,
            resumed=[*found.document["resumed"], {"utc": now, "block": done + 1}],
        )  # fmt: skip
        _measure(lab, request, recording, blocks_done=done)
    return run_dir.path


def _measure(lab: Lab, request: Request, recording: Recording, blocks_done: int = 0) -> None:
    """The gate, the warm-up and the trials, framed by what the run records."""
    machines, guests, arms = recording.machines, recording.guests, recording.arms
    experiment = Experiment(
        lab.config, recording.plan, {**by_name(arms), BASELINE: baseline(lab)}, guests,
        HostReadings.of(machines), recording.run_dir, lab.terminal,
        repeats=lab.config.bench.trials if request.original else 1, blocks_done=blocks_done,
    )  # fmt: skip
    with _resumable(lab, recording), recording.whole():
        if not request.original:
            oracle = recording.run_dir.path / "oracle"
            left = [arm for arm in arms if not (oracle / arm.name / "oracle.json").exists()]
            run_gate(guests, left, lab.config, recording.run_dir, lab.terminal)
            if blocks_done:  # the rate is that of the blocks before
                warm_up(experiment.at_a_fixed_rate())
            else:
                experiment, recording.load = warm_up(experiment)
                recording.config = experiment.config
            recording.write_plan(recording.plan)
        experiment.run(_grower(lab, recording, request.precision))
        if request.probe:
            experiment.probe()


@contextmanager
def _resumable(lab: Lab, recording: Recording) -> Iterator[None]:
    """Where a run is cut off that can go on, say so before the error says why."""
    path = recording.run_dir.path
    try:
        yield
    except BaseException:
        with suppress(RunError):  # nothing of it was planned yet, or it is of a kind that cannot
            found = Unfinished.of(path)
            if done := found.blocks_done:
                lab.terminal.warn(
                    f"{path.name} is incomplete: {done} of {len(found.plan.blocks)} blocks are "
                    "done, and `testbed bench --resume latest` does the rest"
                )
        raise


def _plan(lab: Lab, request: Request, names: Sequence[str], seed: int) -> Plan:
    """Return the order: shuffled blocks, or in the published profile one arm after the other."""
    if request.original:
        return Plan.one_after_the_other(names, seed)
    bench = lab.config.bench
    blocks = request.precision.at_least if request.precision else bench.trials
    return Plan.shuffled(names, blocks, seed, warm_up=[BASELINE] if bench.warm_up else ())


def _grower(lab: Lab, recording: Recording, precision: Precision | None) -> Grow:
    """Return what lengthens a plan, two blocks at a time, until the ratio is known well enough."""

    def grow(plan: Plan) -> Plan:
        if precision is None or len(plan.blocks) >= precision.at_most:
            return plan
        from testbed.analysis.until_precise import reached

        enough, half_width = reached(recording.run_dir.path, precision.target)
        if enough:
            return plan
        longer = plan.longer(min(len(plan.blocks) + 2, precision.at_most))
        wide = "not known" if half_width is None else f"± {half_width * 100:.1f} %"
        why = f"wanted ± {precision.target * 100:g} %"
        if half_width is not None and half_width <= precision.target:
            why = "narrow enough, and to be confirmed by three more blocks"
        lab.terminal.say(
            f"after {len(plan.blocks)} blocks the interval is {wide}; {why}: "
            f"on to {len(longer.blocks)}"
        )
        recording.write_plan(longer)
        return longer

    return grow


@contextmanager
def ready_guests(
    lab: Lab, verb: str, arms: Sequence[Arm]
) -> Iterator[tuple[Machines, dict[str, Guest]]]:
    """Hold the lock while both machines are connected, set up, with `arms` built, and swept."""
    tell_left_out(lab, arms)
    with lab.alone(verb):
        machines = lab.machines
        guests = machines.guests()
        with closed_after(guests):
            with (
                lab.terminal.step("sources, addresses, arms", expect_s=3),
                ThreadPoolExecutor(len(guests)) as pool,
                closed_on_failure(guests),
            ):
                ready = partial(prepare, lab, arms=arms, agent=True)
                found = dict(zip(guests, pool.map(ready, guests.values()), strict=True))
            every = arm_manifest.choose(lab.arms_dir, arm_manifest.known(lab.arms_dir))
            every = deploy.built(guests["server"], every, found["server"])
            network = lab.config.network
            for left in cleanup.sweep(guests["server"], guests["client"], every, network):
                lab.terminal.warn(f"left by an earlier command: {left}")
            with watched(guests, machines.project.path):
                yield machines, guests


def baseline(lab: Lab) -> Arm:
    """Return the arm without a hook: the warm-up's, whatever arms a run compares."""
    return arm_manifest.load(lab.arms_dir / BASELINE)


def by_name(arms: Sequence[Arm]) -> dict[str, Arm]:
    """Return the arms by the names that a plan has for them."""
    return {arm.name: arm for arm in arms}
