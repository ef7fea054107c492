# SPDX-License-Identifier: Apache-2.0
"""`testbed selftest`: real faults in real trials, and whether the checks find them."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.edge.files.store import RunDir
from testbed.edge.guests.guest import Guest
from testbed.edge.output.terminal import Terminal
from testbed.lab.experiment.host_readings import HostReadings
from testbed.lab.experiment.recording import Recording
from testbed.lab.experiment.trials import Experiment
from testbed.lab.experiment.warm_up import warm_up
from testbed.lab.gate.examining import examine
from testbed.lab.guests.building import recorded
from testbed.lab.guests.hook import Hook
from testbed.lab.machines.machines import Machines
from testbed.lab.selftest.faults import CLEAN, FAULTS, Fault
from testbed.lab.selftest.injection import Injection
from testbed.model import arm as arm_manifest
from testbed.model.arm import BASELINE, Arm
from testbed.model.errors import ExitCode, UsageError
from testbed.model.plan import Plan, Trial, under
from testbed.verbs.lab import Lab, print_json
from testbed.verbs.measuring.ready import baseline, ready_guests

SEED = 1
ALWAYS = ("baseline", "replication", "interleaved", "same-work", "exhibit", "ticks")
"""Checks that one trial of one arm cannot satisfy, so that they say nothing about a fault.

One trial at a lowered rate has fewer than 100 ticks in a column. That concerns only mpstat's chart.
"""


LONGEST_S = 2.5
"""A trial of a fault sends for so long at most, half of a trial that is compared.

At 1,000 packets/s, the lowest rate that a warm-up chooses, the rarest fault still takes two.
"""
CLEAN_TRIES = 3
"""So often at most: beside another program's load a fault like that load could not be told."""


@dataclass(frozen=True)
class Outcome:
    """The findings in a trial with a fault: code → VALID, SUSPECT or INVALID."""

    fault: Fault
    found: dict[str, str]
    clean: dict[str, str]
    """The findings in a trial without a fault, on the same machine minutes earlier."""
    problem: str | None = None
    """Why the fault could not be put into the trial; such a trial says nothing about the checks."""

    @property
    def caught(self) -> bool | None:
        """Whether the check that is there for it found more than it finds without the fault.

        Without a fault: whether none found anything INVALID. None when the fault was not in.
        """
        if self.problem is not None:
            return None
        if self.fault is CLEAN:
            return not _alarms(self.found)
        return _gravity(self.found, self.fault.caught_by) > _gravity(
            self.clean, self.fault.caught_by
        )


def _alarms(found: dict[str, str]) -> set[str]:
    """Return the findings that a trial without a fault must not have."""
    return {code for code, verdict in found.items() if verdict == "INVALID"} - set(ALWAYS)


def _gravity(found: dict[str, str], code: str) -> int:
    return ("VALID", "SUSPECT", "INVALID").index(found.get(code, "VALID"))


def selftest(lab: Lab, names: Sequence[str], *, as_json: bool) -> ExitCode:
    """Run one trial with each fault; print a table of fault and check; return the exit code.

    That is INVALID when a fault was not caught, else GUEST when one could not be put in.

    Raises UsageError for an unknown fault, MachineError when the machines are not up.
    """
    known = {fault.name: fault for fault in (CLEAN, *FAULTS)}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no fault {name!r}", hint=f"known: {', '.join(known)}")
    faults = [CLEAN, *(known[name] for name in names or known if name != CLEAN.name)]
    used = {fault.arm for fault in faults} | {fault.loads for fault in faults if fault.loads}
    arms = {arm.name: arm for arm in arm_manifest.choose(lab.arms_dir, _places(lab, used))}
    outcomes: list[Outcome] = []
    with ready_guests(lab, "selftest", list(arms.values())) as (machines, guests):
        lab = _at_a_load_that_is_carried(lab, machines, guests)
        for number, fault in enumerate(faults, start=1):
            title = f"{number}/{len(faults)} {fault.name}: {fault.title}"
            for _ in range(CLEAN_TRIES if fault is CLEAN else 1):
                with lab.terminal.step(title, expect_s=12, kind=fault.name):
                    path, problem = _run(lab, fault, arms, machines, guests)
                found = _found(path)
                if not _alarms(found):
                    break
            clean = outcomes[0].found if outcomes else found
            outcomes.append(Outcome(fault, found, clean, problem))
    _tell(outcomes, as_json=as_json)
    return exit_code(outcomes)


def exit_code(outcomes: Sequence[Outcome]) -> ExitCode:
    """Return what the outcomes come to: a fault that was not in counts as neither."""
    if any(outcome.caught is False for outcome in outcomes):
        return ExitCode.INVALID
    return ExitCode.GUEST if any(outcome.problem for outcome in outcomes) else ExitCode.OK


def _places(lab: Lab, names: Iterable[str]) -> list[str]:
    """Return the names; of an arm that is there for a fault alone, the path of its folder."""
    folder = lab.checkout / "guest/faults"
    return [str(folder / name) if (folder / name).is_dir() else name for name in sorted(names)]


def _at_a_load_that_is_carried(lab: Lab, machines: Machines, guests: dict[str, Guest]) -> Lab:
    """Return the lab with the load that the warm-up found, the same for every fault."""
    alone = under(lab.config.bench, [BASELINE])
    plan = Plan.shuffled(alone, 1, SEED, warm_up=alone)
    experiment = Experiment(
        lab.config, plan, {BASELINE: baseline(lab)}, guests, HostReadings.of(machines),
        _fresh(lab, "warm-up"), lab.terminal,
    )  # fmt: skip
    found = warm_up(experiment)[0].config
    shorter = {"duration_s": min(found.bench.duration_s, LONGEST_S)}
    bench = found.bench.model_copy(update=shorter)
    return replace(lab, configured=found.model_copy(update={"bench": bench}))


def _fresh(lab: Lab, name: str) -> RunDir:
    path = lab.checkout / ".testbed/selftest" / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    return RunDir(path)


def _run(
    lab: Lab, fault: Fault, arms: dict[str, Arm], machines: Machines, guests: dict[str, Guest]
) -> tuple[Path, str | None]:
    """Run one trial with the fault in it; return its run directory, and why the fault was not."""
    run_dir = _fresh(lab, fault.name)
    quiet = Terminal(-1)
    bench = lab.config.bench.model_copy(update=dict(fault.bench))
    config = lab.config.model_copy(update={"bench": bench})
    said = config.machines.model_copy(update=dict(fault.machines))
    label = arms[fault.arm]
    if fault.expect_mode:
        expect = label.expect.model_copy(update={"mode": fault.expect_mode})
        label = label.model_copy(update={"expect": expect})
    loaded = arms[fault.loads or fault.arm]
    plan = Plan.shuffled(under(bench, [fault.arm]), 1, SEED)
    recording = Recording(
        run_dir, config.model_copy(update={"machines": said}), plan, [label],
        ["testbed", "selftest", "--faults", fault.name], machines, guests, profile="selftest",
        **recorded(guests["server"], [loaded]),
    )  # fmt: skip
    injection = Injection(fault, guests["server"], Hook(loaded, guests["server"], config.network))

    def witness(trial: Trial, step: str) -> None:
        lab.terminal.doing(step)
        injection.witness(trial, step)

    experiment = Experiment(
        config, plan, {fault.arm: loaded}, guests, HostReadings.of(machines), run_dir, quiet,
        witness=witness,
    )  # fmt: skip
    with recording.whole(), injection.around():
        if fault.gate:
            hook = Hook(loaded, guests["server"], config.network)
            examine(hook, guests, config, run_dir, SEED, quiet, label)
        experiment.run()
    return run_dir.path, injection.problem if fault.is_put_in else None


def _found(path: Path) -> dict[str, str]:
    from testbed.analysis.findings import Verdict, check_run
    from testbed.analysis.reading.run import load_run

    found: dict[str, str] = {}
    ranked = sorted(check_run(load_run(path)), key=lambda finding: finding.verdict.severity)
    for finding in ranked:
        if finding.verdict is not Verdict.VALID:
            found[finding.code] = finding.verdict.value
    return found


def _tell(outcomes: Sequence[Outcome], *, as_json: bool) -> None:
    if as_json:
        rows: list[dict[str, Any]] = [
            {"fault": outcome.fault.name, "title": outcome.fault.title, "found": outcome.found,
             "meant": outcome.fault.caught_by, "caught": outcome.caught,
             "problem": outcome.problem}
            for outcome in outcomes
        ]  # fmt: skip
        print_json({"selftest": rows})
        return
    width = max(len(outcome.fault.name) for outcome in outcomes)
    print(f"{'fault':<{width}}  {'':<11}  {'its check':<10}  what else was found")
    for outcome in outcomes:
        fault, meant = outcome.fault, outcome.fault.caught_by
        others = [
            code
            for code in outcome.found
            if code != meant and _gravity(outcome.found, code) > _gravity(outcome.clean, code)
        ]
        if fault is CLEAN:
            others = [code for code in outcome.found if code not in ALWAYS]
        if outcome.problem is not None:
            print(f"{fault.name:<{width}}  {'NOT PUT IN':<11}  {meant:<10}")
            print(f"  could not be injected: {outcome.problem}")
            continue
        verdict = "caught" if outcome.caught else "NOT CAUGHT"
        if fault is CLEAN:
            verdict = "clean" if outcome.caught else "FALSE ALARM"
        print(f"{fault.name:<{width}}  {verdict:<11}  {meant:<10}  {', '.join(others)}")
