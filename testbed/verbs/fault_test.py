# SPDX-License-Identifier: Apache-2.0
"""`testbed selftest`: real faults in real trials, and whether the checks find them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.edge.guest import Guest
from testbed.edge.store import RunDir
from testbed.edge.terminal import Terminal
from testbed.lab.arms import Hook
from testbed.lab.faults import CLEAN, FAULTS, Fault
from testbed.lab.host_readings import HostReadings
from testbed.lab.injection import Injection
from testbed.lab.machines import Machines
from testbed.lab.oracle import examine
from testbed.lab.recording import Recording
from testbed.lab.trials import Experiment
from testbed.model import arm as arm_manifest
from testbed.model.arm import Arm
from testbed.model.errors import UsageError
from testbed.model.plan import Plan
from testbed.verbs.experiment import ready_guests
from testbed.verbs.lab import Lab, print_json

SEED = 1
ALWAYS = ("baseline", "replication", "interleaved", "same-work", "exhibit")
"""What one trial of one arm cannot satisfy, and so says nothing about a fault."""


@dataclass(frozen=True)
class Outcome:
    """What the checks found in a trial with a fault: code → VALID, SUSPECT or INVALID."""

    fault: Fault
    found: dict[str, str]

    @property
    def caught(self) -> bool:
        """Whether the check that is there for it found it; without a fault: whether none did."""
        if self.fault is CLEAN:
            return not [code for code, verdict in self.found.items() if verdict == "INVALID"]
        return self.fault.caught_by in self.found


def selftest(lab: Lab, names: Sequence[str], *, as_json: bool) -> bool:
    """Run one trial with each fault; print a table of fault and check; True if all were caught.

    Raises UsageError for an unknown fault, MachineError when the machines are not up.
    """
    known = {fault.name: fault for fault in (CLEAN, *FAULTS)}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no fault {name!r}", hint=f"known: {', '.join(known)}")
    faults = [known[name] for name in names or known]
    used = {fault.arm for fault in faults} | {fault.loads for fault in faults if fault.loads}
    arms = {arm.name: arm for arm in arm_manifest.choose(lab.arms_dir, sorted(used))}
    outcomes = []
    with ready_guests(lab, "selftest", list(arms.values())) as (machines, guests):
        for number, fault in enumerate(faults, start=1):
            title = f"{number}/{len(faults)} {fault.name}: {fault.title}"
            with lab.terminal.step(title, expect_s=15):
                path = _run(lab, fault, arms, machines, guests)
            outcomes.append(Outcome(fault, _found(path)))
    _tell(outcomes, as_json=as_json)
    return all(outcome.caught for outcome in outcomes)


def _run(
    lab: Lab, fault: Fault, arms: dict[str, Arm], machines: Machines, guests: dict[str, Guest]
) -> Path:
    """Run one trial with the fault in it; return its run directory."""
    run_dir = RunDir(lab.checkout / ".testbed/selftest" / fault.name)
    shutil.rmtree(run_dir.path, ignore_errors=True)
    run_dir.path.mkdir(parents=True)
    quiet = Terminal(-1)
    bench = lab.config.bench.model_copy(update=dict(fault.bench))
    config = lab.config.model_copy(update={"bench": bench})
    said = config.machines.model_copy(update=dict(fault.machines))
    label = arms[fault.arm]
    if fault.expect_mode:
        expect = label.expect.model_copy(update={"mode": fault.expect_mode})
        label = label.model_copy(update={"expect": expect})
    loaded = arms[fault.loads or fault.arm]
    plan = Plan.shuffled([fault.arm], 1, SEED)
    recording = Recording(
        run_dir, config.model_copy(update={"machines": said}), plan, [label],
        ["testbed", "selftest", "--faults", fault.name], machines, guests, profile="selftest",
    )  # fmt: skip
    injection = Injection(fault, guests["server"], Hook(loaded, guests["server"], config.network))
    experiment = Experiment(
        config, plan, {fault.arm: loaded}, guests, HostReadings.of(machines), run_dir, quiet,
        witness=injection.witness,
    )  # fmt: skip
    with recording.whole(), injection.around():
        if fault.gate:
            examine(Hook(loaded, guests["server"], config.network), guests, config, run_dir, label)
        experiment.run()
    return run_dir.path


def _found(path: Path) -> dict[str, str]:
    from testbed.analysis.findings import Verdict, check_run
    from testbed.analysis.run import load_run

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
             "meant": outcome.fault.caught_by, "caught": outcome.caught}
            for outcome in outcomes
        ]  # fmt: skip
        print_json({"selftest": rows})
        return
    width = max(len(outcome.fault.name) for outcome in outcomes)
    print(f"{'fault':<{width}}  {'':<10}  {'its check':<10}  what else was found")
    for outcome in outcomes:
        fault, meant = outcome.fault, outcome.fault.caught_by
        others = [c for c in outcome.found if c != meant and c not in ALWAYS]
        verdict = "caught" if outcome.caught else "NOT CAUGHT"
        if fault is CLEAN:
            verdict = "clean" if outcome.caught else "FALSE ALARM"
        print(f"{fault.name:<{width}}  {verdict:<10}  {meant:<10}  {', '.join(others)}")
