# SPDX-License-Identifier: Apache-2.0
"""`testbed bench`: the experiment on machines that are up."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from testbed.edge.files import store
from testbed.edge.files.store import RunDir
from testbed.edge.output import journal
from testbed.lab.experiment.host_readings import HostReadings
from testbed.lab.experiment.recording import Recording, part_from
from testbed.lab.experiment.resuming import Unfinished
from testbed.lab.experiment.trials import Experiment
from testbed.lab.experiment.warm_up import warm_up
from testbed.lab.gate.examining import run_gate
from testbed.lab.guests import building
from testbed.lab.guests.deploy import Wanted
from testbed.lab.machines import host_facts
from testbed.model import arm as arm_manifest
from testbed.model.arm import BASELINE
from testbed.model.errors import RunError
from testbed.model.plan import Plan, under
from testbed.model.run_files import LOG, gated
from testbed.verbs.lab import Lab
from testbed.verbs.measuring.boots import booted_anew, parts, settle
from testbed.verbs.measuring.count_too import count_too
from testbed.verbs.measuring.growing import Precision, grower
from testbed.verbs.measuring.ready import baseline, connected
from testbed.verbs.upkeep.machines import sources_of


@dataclass(frozen=True)
class Request:
    """The user's request to `bench`."""

    names: Sequence[str]
    seed: int | None
    command: Sequence[str]
    controls: bool = False
    precision: Precision | None = None
    probe: bool = False
    original: bool = False
    boots: int = 1
    count: bool = True
    """Whether the arms are counted, too, when the trials are done."""

    def as_json(self) -> dict[str, Any]:
        """Return what plan.json holds for `resume`."""
        return {
            "names": list(self.names), "controls": self.controls, "probe": self.probe,
            "boots": self.boots, "count": self.count,
        }  # fmt: skip

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Request":
        """Return what a run was asked for, as its plan.json tells."""
        asked, wanted = document["request"], document["until_precise"]
        precision = wanted and Precision(
            wanted["target"], wanted["min_blocks"], wanted["max_blocks"]
        )
        return cls(
            asked["names"], int(document["seed"]), document["command"], probe=asked["probe"],
            controls=asked["controls"], precision=precision, boots=asked.get("boots", 1),
            count=asked.get("count", False),
        )  # fmt: skip


def bench(lab: Lab, request: Request) -> Path:
    """Run the experiment with the named arms on running machines; return the run directory.

    Raises MachineError when the machines are not up, ArmError, GuestError; the run is
    then incomplete and says so, with the trials that were finished.
    """
    arms = arm_manifest.choose(lab.arms_dir, request.names)
    with lab.alone("bench"), connected(lab, wanted := sources_of(lab, arms)) as (machines, guests):
        if request.controls:
            arms = arm_manifest.with_controls(arms)
        if not request.original:
            settle(lab, guests["server"])
        seed = secrets.randbelow(2**31) if request.seed is None else request.seed
        plan = _plan(lab, request, [arm.name for arm in arms], seed)
        run_dir = RunDir.create(lab.results)
        run_dir.point_latest()
        journal.write_to(run_dir.path / LOG)
        without = "" if lab.config.bench.gro else ", GRO off for every arm"
        lab.terminal.say(f"run {run_dir.path.name}: {len(plan)} trials, seed {plan.seed}{without}")
        recording = Recording(
            run_dir, lab.config, plan, arms, request.command, machines, guests,
            profile="original" if request.original else "fair",
            precision=request.precision.as_json() if request.precision else None,
            request=request.as_json(), **building.recorded(guests["server"], arms),
        )  # fmt: skip
        _measure(lab, request, recording, wanted)
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
    with lab.alone("bench"), connected(lab, wanted := sources_of(lab, arms)) as (machines, guests):
        if request.controls:
            arms = arm_manifest.with_controls(arms)
        made, host = building.recorded(guests["server"], arms), host_facts.collect(machines)
        described = [arm.model_dump(mode="json", by_alias=True) for arm in arms]
        unlike = list(found.differences(configured, made, described, host))
        if unlike:
            raise RunError(
                f"{found.path.name} cannot go on: it would not be one experiment",
                hint="put back what changed, or start a new run",
                detail="\n".join(unlike),
            )
        done, parts = found.blocks_done, found.parts
        found.drop_rest()
        run_dir = RunDir(found.path)
        run_dir.point_latest()
        journal.write_to(run_dir.path / LOG)
        total = len(found.plan.blocks)
        lab.terminal.say(f"run {run_dir.path.name}: {done} of {total} blocks are done, going on")
        part = part_from(done + 1)
        resumed = {"utc": part["started_utc"], "block": part["block"]}
        recording = Recording(
            run_dir, lab.config, found.plan, arms, request.command, machines, guests,
            precision=found.document["until_precise"], load=list(found.document["load"]),
            request=request.as_json(), **made,
            resumed=[*found.document["resumed"], resumed], parts=[*parts, part],
            boots=[one for one in found.document.get("boots", []) if one["block"] <= done],
        )  # fmt: skip
        _measure(lab, request, recording, wanted, blocks_done=done)
    return run_dir.path


def _measure(
    lab: Lab, request: Request, recording: Recording, wanted: Wanted, blocks_done: int = 0
) -> None:
    """The gate, the warm-up, the trials and then the count, framed by what the run records."""
    machines, guests, arms = recording.machines, recording.guests, recording.arms
    by_name = {arm.name: arm for arm in arms} | {BASELINE: baseline(lab)}
    experiment = Experiment(
        lab.config, recording.plan, by_name, guests,
        HostReadings.of(machines), recording.run_dir, lab.terminal,
        repeats=lab.config.bench.trials if request.original else 1, blocks_done=blocks_done,
        witness=lambda _, step: lab.terminal.doing(step),
    )  # fmt: skip
    anew = partial(connected, lab, wanted)
    counted = partial(count_too, lab, recording, wanted) if request.count else None
    with ExitStack() as later, _resumable(lab, recording), recording.whole(counted):
        if not request.original:
            done = gated(recording.run_dir.path)
            left = [arm for arm in arms if arm.name not in done]
            seed = recording.plan.seed
            run_gate(guests, left, lab.config, recording.run_dir, lab.terminal, seed)
            if not blocks_done:
                experiment, recording.load = warm_up(experiment)
                recording.config, recording.plan = experiment.config, experiment.plan
            elif blocks_done < len(recording.plan.blocks) or request.probe:
                warm_up(experiment.at_a_fixed_rate())  # the rate is that of the blocks before
            recording.write_plan(recording.plan)
        grow, plan = grower(lab, recording, request.precision), recording.plan
        starts = plan.boot_starts(request.boots)
        for number, (first, last) in enumerate(parts(starts, len(plan.blocks), blocks_done)):
            experiment = replace(experiment, blocks_done=first - 1)
            if number:
                experiment = booted_anew(lab, recording, experiment, anew, later)
            if request.boots > 1:
                recording.note_boot(first)
            experiment.run(grow, last if request.boots > 1 else None)
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
    bench = lab.config.bench
    conditions = under(bench, names)
    if request.original:
        return Plan.one_after_the_other(conditions, seed)
    blocks = request.precision.at_least if request.precision else bench.trials
    warm_up = under(bench, [BASELINE] if bench.warm_up else [])
    return Plan.shuffled(conditions, blocks, seed, warm_up)
