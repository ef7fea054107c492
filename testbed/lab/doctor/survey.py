# SPDX-License-Identifier: Apache-2.0
"""Every check, side by side: each reads something and lets a pure function judge it.

A check that fails itself becomes a line that says so; the others go on. Nothing is changed by
looking, except that libvirt's session daemon starts when it is asked.
"""

import getpass
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from testbed.edge.computer.account import Account
from testbed.lab.doctor.diagnosis import Diagnosis
from testbed.lab.machines import processes
from testbed.lab.machines.box import Box, BoxStore
from testbed.lab.machines.processes import Process
from testbed.lab.machines.project import ROLES, Project
from testbed.model.config import Config
from testbed.model.errors import ConfigError, HostError, TestbedError, TooSlow

WORKERS = 8


class NoAccount(HostError):
    """Things that cannot be looked at before `./lab` has made root's account."""


@dataclass(frozen=True)
class Surroundings:
    """The input of the checks. `complaint` is the fault in testbed.toml, if there is one."""

    checkout: Path
    config: Config
    complaint: ConfigError | None = None

    @cached_property
    def account(self) -> Account:
        """The machines' account. Raises NoAccount where root has none."""
        try:
            return Account.current()
        except HostError as error:
            raise NoAccount(error.message, hint=error.hint) from error

    @property
    def who(self) -> str:
        """The name of the machines' account."""
        return self.account.name or user()

    @property
    def boxes(self) -> BoxStore:
        """The account's boxes."""
        return BoxStore(self.account, self.checkout, self.config.box)

    @cached_property
    def box(self) -> Box | None:
        """The box of today's recipe; None where it, or the key that belongs to it, is not made."""
        key = self.boxes.private_key
        return self.boxes.find() if key.exists() and key.with_suffix(".pub").exists() else None

    @cached_property
    def running(self) -> list[Process]:
        """Every virtual machine that runs on this computer."""
        return processes.machines()

    @property
    def own(self) -> dict[str, Process]:
        """This checkout's machines that run, by role; none where there is no account for them."""
        try:
            prefix = Project(self.account, self.checkout).domains.prefix
        except NoAccount:
            return {}
        by_name = {process.guest: process for process in self.running}
        return {role: by_name[prefix + role] for role in ROLES if prefix + role in by_name}


Check = Callable[[Surroundings], list[Diagnosis]]


def everything(surroundings: Surroundings, checks: dict[str, Check]) -> list[Diagnosis]:
    """Return what every check found, in their order."""
    with ThreadPoolExecutor(WORKERS) as pool:
        futures = [
            pool.submit(_guarded, name, check, surroundings) for name, check in checks.items()
        ]
        found = [diagnosis for future in futures for diagnosis in future.result()]
    return [_for_root(one) for one in found] if os.geteuid() == 0 else found


def _for_root(one: Diagnosis) -> Diagnosis:
    """Root needs no sudo, and may not have it."""
    return replace(one, fix=one.fix.replace("sudo ", ""))


def _guarded(name: str, check: Check, surroundings: Surroundings) -> list[Diagnosis]:
    """Run a check; what stops it becomes its line."""
    try:
        return check(surroundings)
    except NoAccount:
        return [Diagnosis(name, "note", "not looked at: there is no account", "`./lab setup`")]
    except TooSlow as error:
        return [slow(name, error)]
    except TestbedError as error:
        words = "; ".join([error.message, *error.detail.splitlines()[-1:]])
        generic = error.hint in ("", HostError.advice)  # that is what runs now
        hint = "see what the command in this line says" if generic else error.hint
        return [Diagnosis(name, "warning", f"could not be looked at: {words}", hint)]
    except OSError as error:
        return [
            Diagnosis(
                name, "warning", f"could not be looked at: {error}", "see that the file can be read"
            )
        ]
    except Exception as error:  # a bug in one check must not hide what the others found
        return [
            Diagnosis(
                name,
                "warning",
                f"could not be looked at: {error!r}",
                "a bug of testbed's own: please report this line",
            )
        ]


def slow(name: str, error: TooSlow) -> Diagnosis:
    """Tell of a command that did not answer in time: that says nothing about what it looks at."""
    return Diagnosis(
        name,
        "warning",
        f"slow: {error.message}",
        "`testbed doctor` again when this computer is less busy",
    )


def user() -> str:
    """Return the name of whoever runs this."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.geteuid()}"
