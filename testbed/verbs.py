# SPDX-License-Identifier: Apache-2.0
"""One function a verb: what `testbed up`, `bench`, `report` … do, without the command line."""

import contextlib
import json
import os
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from testbed.edge import host, store
from testbed.edge.account import Account
from testbed.edge.guest import Guest
from testbed.edge.store import RunDir
from testbed.edge.terminal import Terminal
from testbed.lab import cleanup, deploy
from testbed.lab.machines import Machines, closed_on_failure
from testbed.lab.recording import Recording
from testbed.lab.settings import ROLES
from testbed.lab.trials import Experiment
from testbed.model import arm as arm_manifest
from testbed.model import config as configuration
from testbed.model.arm import BASELINE, FAIR, Arm
from testbed.model.config import Config
from testbed.model.errors import HostError, MachineError, RunError, UsageError
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
    """Bring both machines up, set up and with the fair arms built."""
    arms = arm_manifest.choose(lab.arms_dir, [BASELINE, *FAIR])
    with lab.alone("up"):
        return lab.machines.up(lambda guest: _prepare(lab, guest, arms))


def _prepare(lab: Lab, guest: Guest, arms: Sequence[Arm]) -> None:
    deploy.set_up(guest, lab.checkout, lab.config)
    if guest.role == "server":
        deploy.build_arms(guest, arms, lab.checkout, lab.config)


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
            list(pool.map(lambda guest: _prepare(lab, guest, arms), guests.values()))
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


def report(lab: Lab, name: str | None) -> tuple[Path, str, bool]:
    """Render a run's page from its files alone.

    Returns the page, the answer in a sentence or more, and whether the run is INVALID.
    """
    from testbed.analysis.comparison import compare
    from testbed.analysis.findings import Verdict, check_run, worst
    from testbed.analysis.report import render_report
    from testbed.analysis.run import load_run
    from testbed.analysis.verdict import opening

    path = store.find_run(lab.results, name)
    run = load_run(path)
    run_dir = RunDir(path)
    for relative, text in render_report(run, templates=lab.checkout / "templates").items():
        run_dir.write(relative, text)
    findings = check_run(run)
    said = opening(run, findings, compare(run, findings))
    answer = "\n".join([f"{said.status}: {said.headline}", *said.reasons, *said.answers])
    return path / "report.html", answer, worst(findings) is Verdict.INVALID


def down(lab: Lab, *, destroy: bool) -> None:
    """Shut both machines down, or remove them and their disks."""
    with lab.alone("down"):
        lab.machines.down(destroy=destroy)


def status(lab: Lab, *, as_json: bool) -> None:
    """Print the state of both machines."""
    machines = lab.machines
    states = machines.states()
    chosen = machines.accelerator() if "running" in states.values() else None
    if as_json:
        print_json({"machines": states, "accelerator": chosen.name if chosen else None})
        return
    for role, state in states.items():
        print(f"{role:<8} {state}")
    if chosen is not None:
        print(f"CPUs     {chosen.name} ({chosen.reason})")


def runs(lab: Lab, *, as_json: bool) -> None:
    """Print every run, oldest first."""
    rows: list[dict[str, Any]] = []
    for path in store.all_runs(lab.results):
        try:
            plan = json.loads((path / "plan.json").read_text())
            arms = list(dict.fromkeys(arm for block in plan["blocks"] for arm in block))
        except (ValueError, KeyError, TypeError):
            lab.terminal.warn(f"{path.name}: plan.json is damaged")
            continue
        complete = (path / "manifest.json").is_file()
        rows.append({"run": path.name, "complete": complete, "arms": arms,
                     "trials": len(plan["blocks"])})  # fmt: skip
    if as_json:
        print_json({"runs": rows})
        return
    for row in rows:
        state = "complete" if row["complete"] else "INCOMPLETE"
        print(f"{row['run']}  {state:<10}  {row['trials']} x {', '.join(row['arms'])}")


def ssh(lab: Lab, role: str, command: list[str]) -> int:
    """Run ssh to one machine as root; return its exit status."""
    settings = _settings(lab, role)
    argv = [
        host.find("ssh", package="openssh-client"), "-q", "-i", settings["private_key"],
        "-p", str(settings["machines"][role]["ssh_port"]), "-o", "IdentitiesOnly=yes",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "root@127.0.0.1",
    ]  # fmt: skip
    words = command[1:] if command[:1] == ["--"] else command
    return subprocess.call([*argv, shlex.join(words)] if words else argv)


def vagrant(lab: Lab, arguments: Sequence[str]) -> int:
    """Run plain vagrant on these machines; return its exit status."""
    settings = lab.machines.settings()
    if settings is None:
        raise MachineError("there are no machines yet", hint="run `testbed up` first")
    return subprocess.call([*settings["command"], *arguments])


def logs(lab: Lab) -> None:
    """Print the logs that an earlier `up` left, each with its last lines."""
    project = lab.machines.project
    for path in sorted(project.glob("*.log")):
        print(f"==> {path}")
        print("\n".join(path.read_text(errors="replace").splitlines()[-10:]))


def box_build(lab: Lab) -> None:
    """Build the box of today's recipe, unless it is there; print where it is."""
    with lab.alone("box build"):
        print(lab.machines.boxes.build(lab.terminal).box)


def box_show(lab: Lab, *, as_json: bool) -> None:
    """Print what the box is."""
    box = lab.machines.boxes.find()
    if box is None:
        raise MachineError("the box is not built", hint="`testbed box build` builds it")
    facts = {"name": box.name, "file": str(box.box), "megabytes": round(box.size_bytes / 1e6),
             "built": box.built_utc, "kernel": box.kernel, "sha256": box.sha256,
             "packages": str(box.packages)}  # fmt: skip
    if as_json:
        print_json({"box": facts})
        return
    for name, value in facts.items():
        print(f"{name:<10} {value}")


def box_remove(lab: Lab) -> None:
    """Delete every box of this account, wherever Vagrant and libvirt keep a copy."""
    with lab.alone("box remove"):
        for path in lab.machines.remove_boxes():
            print(f"removed {path}")


def print_json(value: dict[str, Any]) -> None:
    """Print one versioned JSON object on stdout."""
    print(json.dumps({"schema": 1, **value}, indent=2))


def _settings(lab: Lab, role: str) -> dict[str, Any]:
    if role not in ROLES:
        raise UsageError(f"there is no machine {role!r}", hint="the machines: client, server")
    settings = lab.machines.settings()
    if settings is None or lab.machines.states()[role] != "running":
        raise MachineError(f"the {role} is not up", hint="run `testbed up` first")
    return settings


def _checkout() -> Path:
    """Return the checkout: the nearest folder upwards with a Vagrantfile and guest/arms."""
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parent.parent):
        if (folder / "Vagrantfile").is_file() and (folder / "guest/arms").is_dir():
            return folder
    raise RunError("no testbed checkout here", hint="change into the folder that holds ./lab")
