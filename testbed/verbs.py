# SPDX-License-Identifier: Apache-2.0
"""One function a verb: what `testbed up`, `bench`, `report` … do, without the command line."""

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import filelock

import testbed
from testbed.edge import store
from testbed.edge.account import Account
from testbed.edge.guest import Guest
from testbed.edge.store import RunDir
from testbed.edge.terminal import Terminal
from testbed.lab import cleanup, deploy, hostfacts, instruments
from testbed.lab.machines import Machines
from testbed.lab.trials import Experiment
from testbed.model import arm as arm_manifest
from testbed.model import config as configuration
from testbed.model.arm import Arm
from testbed.model.config import Config
from testbed.model.errors import ExitCode, HostError, RunError
from testbed.model.plan import Plan


@dataclass(frozen=True)
class Lab:
    """One checkout with its configuration; what every verb starts from."""

    checkout: Path
    config: Config
    terminal: Terminal

    @classmethod
    def here(cls, terminal: Terminal) -> "Lab":
        """Return the checkout that holds the current folder, or the package's own.

        Raises ConfigError for a `testbed.toml` that cannot be used.
        """
        checkout = _checkout()
        return cls(checkout, configuration.load(checkout), terminal)

    @property
    def machines(self) -> Machines:
        """The two machines of this checkout."""
        return Machines(self.config, self.checkout, Account.current(), self.terminal)

    @property
    def results(self) -> Path:
        """Where runs are kept."""
        return self.checkout / "results"

    @property
    def arms_dir(self) -> Path:
        """Where arms are kept."""
        return self.checkout / "guest/arms"

    @contextlib.contextmanager
    def alone(self, verb: str) -> Iterator[None]:
        """Hold this checkout's lock; raise HostError naming who has it."""
        folder = self.checkout / ".testbed"
        folder.mkdir(exist_ok=True)
        holder = folder / "lock.json"
        lock = filelock.FileLock(folder / "lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout as error:
            with contextlib.suppress(OSError, ValueError):
                facts = json.loads(holder.read_text())
                raise HostError(
                    f"`testbed {facts['verb']}` (process {facts['pid']}) is at work here",
                    hint="wait for it, or end it with Ctrl-C in its terminal",
                ) from error
            raise HostError("another testbed command is at work here") from error
        try:
            holder.write_text(json.dumps({"verb": verb, "pid": os.getpid()}))
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()


def up(lab: Lab) -> dict[str, Guest]:
    """Bring both machines up, set up and with every arm built."""
    with lab.alone("up"):
        return _up(lab, [arm_manifest.load(lab.arms_dir / n) for n in arm_manifest.known(lab.arms_dir)])


def _up(lab: Lab, arms: Sequence[Arm]) -> dict[str, Guest]:
    guests = lab.machines.up()
    deploy.set_up(guests, lab.checkout, lab.config, lab.terminal)
    deploy.build_arms(guests["server"], arms, lab.config, lab.terminal)
    return guests


def bench(lab: Lab, names: Sequence[str], seed: int | None, command: Sequence[str]) -> Path:
    """Run the experiment with the named arms on running machines; return the run directory.

    Raises MachineError when the machines are not up, ArmError, GuestError; the run is
    then incomplete and says so, with the trials that were finished.
    """
    arms = arm_manifest.choose(lab.arms_dir, names)
    with lab.alone("bench"):
        machines = lab.machines
        guests = machines.guests()
        deploy.set_up(guests, lab.checkout, lab.config, lab.terminal)
        deploy.build_arms(guests["server"], arms, lab.config, lab.terminal)
        everything = [arm_manifest.load(lab.arms_dir / n) for n in arm_manifest.known(lab.arms_dir)]
        built = [arm for arm in everything if arm.name in names]
        cleanup.sweep(guests["server"], guests["client"], built, lab.config.network)

        plan = Plan.shuffled(
            [arm.name for arm in arms],
            lab.config.bench.trials,
            secrets.randbelow(2**31) if seed is None else seed,
        )
        run_dir = RunDir.create(lab.results)
        run_dir.point_latest()
        lab.terminal.say(f"run {run_dir.path.name}: {len(plan)} trials, seed {plan.seed}")
        run_dir.write_json("plan.json", _plan_json(lab, arms, plan, command))
        started = datetime.now(timezone.utc)
        clock = time.monotonic()
        run_dir.write_json("facts/host.json", hostfacts.collect(machines))
        _facts(run_dir, guests, "before")
        loop = time.monotonic()
        Experiment(
            lab.config, plan, {arm.name: arm for arm in arms}, guests, run_dir, lab.terminal
        ).run()
        loop_s = time.monotonic() - loop
        _facts(run_dir, guests, "after")
        run_dir.close(
            {
                "schema": 1,
                "run_id": run_dir.path.name,
                "status": "complete",
                "command": list(command),
                "started_utc": started.isoformat(timespec="seconds"),
                "ended_utc": datetime.now(timezone.utc).isoformat(timespec="seconds"),
                "versions": {"testbed": testbed.__version__, "python": sys.version.split()[0]},
                "git": _git(lab.checkout),
                "accelerator": machines.accelerator().name,
                "exit_code": int(ExitCode.OK),
                "durations": {
                    "total_s": round(time.monotonic() - clock, 3),
                    "trials_s": round(loop_s, 3),
                },
            }
        )
    return run_dir.path


def report(lab: Lab, name: str | None) -> tuple[Path, bool]:
    """Render a run's page from its files alone; return the page and whether the run is INVALID."""
    from testbed.analysis.findings import Verdict, check_run, worst
    from testbed.analysis.report import render_report
    from testbed.analysis.run import load_run

    path = store.find_run(lab.results, name)
    run = load_run(path)
    run_dir = RunDir(path)
    for relative, text in render_report(run, templates=lab.checkout / "templates").items():
        run_dir.write(relative, text)
    return path / "report.html", worst(check_run(run)) is Verdict.INVALID


def _plan_json(lab: Lab, arms: Sequence[Arm], plan: Plan, command: Sequence[str]) -> dict[str, Any]:
    return {
        "schema": 1,
        "profile": "fair",
        "command": list(command),
        "config": lab.config.model_dump(mode="json"),
        "arms": [arm.model_dump(mode="json", by_alias=True) for arm in arms],
        "blocks": [list(block) for block in plan.blocks],
        "seed": plan.seed,
    }


def _facts(run_dir: RunDir, guests: dict[str, Guest], when: str) -> None:
    for role, guest in guests.items():
        run_dir.write_json(f"facts/{role}-{when}.json", guest.json(instruments.facts()))


def _git(checkout: Path) -> dict[str, Any] | None:
    def ask(*words: str) -> str:
        argv = ["git", "-C", str(checkout), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    if shutil.which("git") is None:
        return None
    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except subprocess.CalledProcessError:
        return None


def _checkout() -> Path:
    """Return the checkout: the nearest folder upwards with a Vagrantfile and guest/arms."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (folder / "Vagrantfile").is_file() and (folder / "guest/arms").is_dir():
            return folder
    raise RunError("no testbed checkout here", hint="change into the folder that holds ./lab")
