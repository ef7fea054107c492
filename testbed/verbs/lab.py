# SPDX-License-Identifier: Apache-2.0
"""One checkout with its configuration: what every verb starts from."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed import __version__
from testbed.edge.computer.account import Account
from testbed.edge.computer.checkout import find_checkout
from testbed.edge.files.lab_folder import demand_version
from testbed.edge.output.durations import FILE, Durations
from testbed.edge.output.terminal import Terminal
from testbed.model.errors import HostError

if TYPE_CHECKING:
    from testbed.lab.machines.machines import Machines
    from testbed.model.config import Config


WAIT = "wait for it, or end it with Ctrl-C in its terminal"


@dataclass(frozen=True)
class Lab:
    """One checkout with its configuration; what every verb starts from.

    `configured` is in place of what `testbed.toml` says.
    """

    checkout: Path
    terminal: Terminal
    configured: "Config | None" = None

    @classmethod
    def here(cls, terminal: Terminal) -> "Lab":
        """Return the checkout that holds the current folder, or the package's own."""
        checkout = find_checkout()
        demand_version(checkout, __version__)
        terminal.learned = Durations(checkout / FILE)
        return cls(checkout, terminal)

    @cached_property
    def config(self) -> "Config":
        """The configuration; raises ConfigError for a `testbed.toml` that cannot be used.

        Read when it is first asked for: what looks or reads results does without.
        """
        from testbed.model.config import load

        return self.configured or load(self.checkout)

    @property
    def machines(self) -> "Machines":
        """The two machines of this checkout; what reads results never asks for them."""
        from testbed.lab.machines.machines import Machines

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
        import filelock

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
                    hint=WAIT,
                ) from error
            raise HostError("another testbed command is at work here", hint=WAIT) from error
        self._tell_of_the_dead(holder)
        try:
            holder.write_text(json.dumps({"verb": verb, "pid": os.getpid()}))
            yield
        finally:
            holder.unlink(missing_ok=True)
            lock.release()

    def _tell_of_the_dead(self, holder: Path) -> None:
        """Name the command that left its note in the lock's folder: it cannot have ended well."""
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            facts = json.loads(holder.read_text())
            self.terminal.warn(
                f"`testbed {facts['verb']}` (process {facts['pid']}) was killed; "
                "its leftovers are cleaned up now"
            )


def print_json(value: dict[str, Any]) -> None:
    """Print one versioned JSON object on stdout."""
    print(json.dumps({"schema": 1, **value}, indent=2))
