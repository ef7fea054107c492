# SPDX-License-Identifier: Apache-2.0
"""`testbed doctor`: everything that is wrong with this computer at once, each with its fix."""

import shutil
import sys
from dataclasses import asdict, replace

from testbed.edge.output.terminal import Terminal, coloured
from testbed.lab.doctor import boot, table
from testbed.lab.doctor.checks import CHECKS
from testbed.lab.doctor.diagnosis import Diagnosis, ok, worst
from testbed.lab.doctor.survey import Surroundings, everything
from testbed.lab.machines import accelerator
from testbed.model.config import Config
from testbed.model.errors import ConfigError, ExitCode, TestbedError
from testbed.verbs.lab import Lab, print_json


def doctor(terminal: Terminal, *, with_boot: bool, as_json: bool) -> ExitCode:
    """Print what is good and bad on this computer; return HOST when something is a problem.

    A machine that does not boot, where all else is well, is MACHINE.
    """
    lab, complaint = _lab(terminal)
    surroundings = Surroundings(lab.checkout, lab.config, complaint)
    with terminal.step("looking at this computer", expect_s=3):
        found = everything(surroundings, CHECKS)
    code = ExitCode.HOST if worst(found) == "problem" else ExitCode.OK
    if with_boot:
        booted = _boot(lab, surroundings)
        if booted.level == "problem" and code is ExitCode.OK:
            code = ExitCode.MACHINE
        found.append(booted)
    if as_json:
        print_json({"level": worst(found), "checks": [asdict(one) for one in found]})
    else:
        print("\n".join(table.lines(found, _width(), colour=coloured(sys.stdout))))
        terminal.say(table.summary(found))
    return code


def _lab(terminal: Terminal) -> tuple[Lab, ConfigError | None]:
    """Return the checkout, with every default where testbed.toml cannot be used."""
    lab = Lab.here(terminal)
    try:
        _ = lab.config
    except ConfigError as error:
        return replace(lab, configured=Config()), error
    return lab, None


def _boot(lab: Lab, surroundings: Surroundings) -> Diagnosis:
    """Boot a throw-away machine; what goes wrong becomes its line."""
    try:
        account, box = surroundings.account, surroundings.box
        if box is None:
            return Diagnosis(
                "boot", "problem", "there is no box to boot from", "`testbed box build`"
            )
        machines = lab.config.machines
        chosen = accelerator.choose(machines.accelerator, account, box)
        expect_s = 10 if chosen.name == "kvm" else 50
        title = f"booting a machine to throw away ({chosen.name})"
        with lab.terminal.step(title, expect_s=expect_s):
            took_s = boot.seconds_to_ssh(account, box, chosen, machines.boot_timeout_s)
    except TestbedError as error:
        if error.detail:
            lab.terminal.warn(error.detail)
        return Diagnosis("boot", "problem", error.message, error.hint or "see the line before")
    return ok("boot", f"SSH answered after {took_s:.1f} s ({chosen.name}, {box.name}); removed")


def _width() -> int | None:
    """Return the terminal's width; None for a pipe, where a line stays a line."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None
