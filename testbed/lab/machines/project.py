# SPDX-License-Identifier: Apache-2.0
"""The folder of one checkout's machines: what they were made with, and what happened to them."""

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from testbed.edge.computer import lasting
from testbed.edge.computer.account import Account
from testbed.edge.computer.identity import CARRIED, CLAIM, carried, carry, checkout_of
from testbed.edge.computer.lasting import NOTE, Lasting
from testbed.edge.hypervisor.libvirt import Domains
from testbed.edge.hypervisor.states import PANICKED, RUNNING
from testbed.lab.guests.console import is_panicked
from testbed.model.deployed import Deployed

ROLES = ("client", "server")
WAKING = "waking"


@dataclass(frozen=True)
class Project:
    """Files that belong to the machines' account; a missing or damaged one reads as None."""

    account: Account
    checkout: Path

    @property
    def path(self) -> Path:
        """The folder."""
        return self.account.project_dir(self.checkout)

    @property
    def domains(self) -> Domains:
        """The machines as libvirt knows them."""
        return Domains(self.account, f"tb{self.account.project_id(self.checkout)}-")

    def states(self, domains: Domains) -> dict[str, str]:
        """Return {role: state}; an absent machine is `not created`, a dead kernel's `panicked`."""
        found = domains.states() if self.path.exists() else {}
        for role, state in found.items():
            if state == RUNNING and is_panicked(self.path / f"{role}-console.log"):
                found[role] = PANICKED
        return {role: found.get(role, "not created") for role in ROLES}

    def left(self) -> Lasting | None:
        """Return what works on the machines for a command that was killed, None without one."""
        return lasting.left(self.path / NOTE, self.account)

    def settings(self) -> dict[str, Any] | None:
        """Return what the machines were last brought up with.

        Before there was a choice of provider it was Vagrant.
        """
        data = self._read("machines.json")
        whole = data and "machines" in data and "ports" in data
        return {"provider": "vagrant", **data} if data and whole else None

    def claim(self) -> Path | None:
        """Make the folder, and write down whose it is, before anything else is there.

        Without the record nobody could tell later that the checkout is gone. Returns where the
        checkout was before it was moved here; None when it was not.
        """
        here, path = self.checkout.resolve(), self.path
        self.account.make_dir(path)
        before = checkout_of(path)
        if before != here:
            self.account.write(path / CLAIM, f"{here}\n")
        if carried(here) is None:
            with contextlib.suppress(OSError):  # where it cannot be written its path will do
                carry(here, path.name)
        return before if before != here else None

    def stage(self, settings: Mapping[str, Any]) -> None:
        """Put settings, Vagrantfile and set-up scripts where account and Vagrant read them."""
        self.account.make_dir(self.account.data_dir / "pool")
        text = json.dumps(settings, indent=2) + "\n"
        self.account.write(self.path / "machines.json", text)
        shutil.copy(self.checkout / "Vagrantfile", self.path / "Vagrantfile")
        shutil.copytree(self.checkout / "guest/setup", self.path / "setup", dirs_exist_ok=True)
        self.account.own(self.path)
        beside = self.checkout / ".testbed"
        beside.mkdir(exist_ok=True)
        (beside / "machines.json").write_text(text)

    def remove(self) -> None:
        """Delete the folder, and what plain Vagrant reads beside the Vagrantfile."""
        shutil.rmtree(self.path, ignore_errors=True)
        (self.checkout / ".testbed/machines.json").unlink(missing_ok=True)

    def give_up_name(self) -> None:
        """Let the checkout carry no name: nothing is left that has it."""
        (self.checkout / CARRIED).unlink(missing_ok=True)

    def is_prepared(self, stamp: Mapping[str, Any]) -> bool:
        """Whether the machines were last given what `stamp` tells."""
        return bool(self._read("prepared.json") == json.loads(json.dumps(dict(stamp))))

    def note_prepared(self, stamp: Mapping[str, Any] | None) -> None:
        """Write down what the machines were given; None while that is not finished."""
        if stamp is None:
            (self.path / "prepared.json").unlink(missing_ok=True)
        else:
            self.account.write(self.path / "prepared.json", json.dumps(dict(stamp)) + "\n")

    def deployed(self, role: str) -> Deployed:
        """Return what was put and built in a guest."""
        return Deployed.parse(self._read(f"deployed-{role}.json"))

    def note_deployed(self, role: str, deployed: Deployed) -> None:
        """Write down what was put and built in a guest."""
        self.account.write(self.path / f"deployed-{role}.json", json.dumps(deployed.as_json()))

    def boots(self) -> dict[str, Any]:
        """Return when the machines were booted, and how often and when last resumed."""
        known = self._read("boots.json") or {}
        return {name: known.get(name) for name in ("booted_utc", "resumes", "resumed_utc")}

    def note_boot(self, answered: Mapping[str, float]) -> None:
        """Write down that the machines were booted now; `answered` is read by bench/."""
        (self.path / WAKING).unlink(missing_ok=True)
        facts = {"booted_utc": _now(), "resumes": 0, "resumed_utc": None, "answered": answered}
        self.account.write(self.path / "boots.json", json.dumps(facts) + "\n")

    def note_waking(self) -> None:
        """Write down that machines are about to go on: their clocks will be behind until set."""
        self.account.write(self.path / WAKING, "")

    def is_waking(self) -> bool:
        """Whether machines were to go on, and the command was killed before they were set right."""
        return (self.path / WAKING).exists()

    def note_resumed(self) -> None:
        """Write down that the machines went on from a saved state now, and are set right."""
        (self.path / WAKING).unlink(missing_ok=True)
        known = self._read("boots.json") or {"booted_utc": None}
        facts = {**known, "resumes": int(known.get("resumes", 0)) + 1, "resumed_utc": _now()}
        self.account.write(self.path / "boots.json", json.dumps(facts) + "\n")

    def last_words(self) -> str:
        """Return the last lines of the machines' consoles."""
        said = ""
        for path in sorted(self.path.glob("*-console.log")):
            lines = path.read_text(errors="replace").splitlines()[-8:]
            said += f"\n--- {path}\n" + "\n".join(lines)
        return said

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            data = json.loads((self.path / name).read_text())
        except (OSError, ValueError):
            return None
        return data if isinstance(data, dict) else None


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
