# SPDX-License-Identifier: Apache-2.0
"""An arm in the server: loaded, verified, counted, unloaded, by its manifest's commands."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from testbed.edge.guests.agent import Output
from testbed.edge.guests.guest import SOURCES, Guest
from testbed.lab.guests.deploy import look
from testbed.lab.guests.words import shortened
from testbed.model.arm import Arm, placeholders
from testbed.model.config import NetworkConfig
from testbed.model.deployed import changes, named
from testbed.model.errors import ArmError, GuestError, Late, ParseError, Stuck, Wrecked
from testbed.model.json_node import Node, parse_json
from testbed.model.nic import INTERFACE

PROBED = ("runs", "run_time_ns")
"""The numbers that `probe` counts."""
T = TypeVar("T")
SHOWN = 500
"""Characters of what an arm printed that an error shows."""
STEP_LIMIT_S = 30
"""Loading takes 2 s where two busy cores emulate the server."""
MOST_BYTES = 1 << 20
"""The most that a command may print: a count for each of 8,192 CPUs takes a sixth."""
_DMESG = """\
read -r now rest < /proc/uptime
dmesg | awk -F '[][]' -v now="$now" -v ago="$1" '$2 > now - ago' | tail -n 30
"""
_LOGGED = """\
read -r now rest < /proc/uptime
dmesg | awk -F '[][]' -v now="$now" -v ago="$1" '$2 > now - ago { if (!n++) first = $0
    if (!worst && /WARNING: /) worst = $0 } END { print n + 0; print worst ? worst : first }'
"""


@dataclass
class Hook:
    """One arm on one server. `loaded`: whole or in part, as far as is known here."""

    arm: Arm
    server: Guest
    network: NetworkConfig
    interface: str = INTERFACE
    loaded: bool = False
    touched: bool = False
    """Whether it has begun to be loaded, ever."""
    step: str = ""
    """The name of its commands that run, or that failed first: undoing comes after that."""
    failed: bool = False

    @property
    def folder(self) -> str:
        """Where the arm's sources and build products are in the server."""
        return f"{SOURCES}/arms/{self.arm.folder}"

    @property
    def values(self) -> dict[str, str]:
        """Return the values of the manifest's placeholders."""
        return placeholders(self.network, self.folder, self.interface)

    @property
    def destination(self) -> tuple[str, int]:
        """Where the client sends."""
        return self.arm.destination(self.values)

    def load(self) -> None:
        """Attach the hook; raises ArmError with the kernel's or the verifier's own words."""
        self.loaded = True
        self.touched = bool(self.arm.commands.load)
        self._run("load", f"arm {self.arm.name} does not load")

    def verify(self) -> dict[str, Any]:
        """Return what the arm says of itself; raises ArmError when that is not what it claims."""
        said = self._run("verify", f"arm {self.arm.name} is not loaded as its manifest says")
        facts, mode = self._read("verify", said, lambda node: (node.mapping(), _mode(node)))
        if mode != self.arm.expect.mode:
            raise ArmError(
                f"arm {self.arm.name}: mode is {mode and mode[:SHOWN]!r}, "
                f"its manifest says {self.arm.expect.mode!r}",
                hint="correct its `load` command, or `expect.mode` in its arm.toml",
            )
        return facts

    def hits(self) -> list[int] | None:
        """Return the packets that the hook rewrote, one number a CPU; None without a hook."""
        if not self.arm.commands.count:
            return None
        said = self._run("count", f"arm {self.arm.name}: no hit counter")
        return self._read("count", said, _hits)

    def state(self) -> dict[str, Any]:
        """Return what the hook is and what it has counted; raises ArmError as those do."""
        return {"verify": self.verify(), "hits": self.hits(), "problem": None}

    def state_after(self, *, probe: bool) -> dict[str, Any]:
        """Return the same when the traffic has ended, or why it could not be asked.

        A hook that is no longer there is a finding of the trial, not a failure of the command;
        raises NoAnswer when the server is not there either. With `probe`: its own counters of
        time too, where it has some.
        """
        try:
            return self.state() | ({"probe": self.probe()} if probe else {})
        except Wrecked:
            raise
        except ArmError as error:
            self.step, self.failed = "", False
            words = f"{error.message}: {error.detail}" if error.detail else error.message
            return {"verify": None, "hits": None, "problem": words}

    def probe(self) -> dict[str, Any] | None:
        """Return what the arm's own counters of time say; None when it has none."""
        if not self.arm.commands.probe:
            return None
        said = self._run("probe", f"arm {self.arm.name}: no probe")
        return self._read("probe", said, _probed)

    def unload(self) -> None:
        """Detach the hook; succeeds also when nothing is loaded."""
        self._run("unload", f"arm {self.arm.name} does not unload")
        self.loaded = False

    def prove_gone(self) -> None:
        """Raise ArmError when verify still finds the hook after unloading.

        Raises GuestError when that could not be asked.
        """
        if not self.arm.commands.load:
            return
        if self._ran("verify").status == 0:
            raise ArmError(
                f"arm {self.arm.name} is still loaded after its unload commands",
                hint="the next trial would measure it too; `testbed down --destroy` clears it",
            )

    def prove_untouched(self) -> None:
        """Raise ArmError when files below /opt/testbed are not as they were put and built.

        The arm ran last: its commands run as root, and can change its own and all others.
        """
        demand_untouched(self.server, f"after arm {self.arm.name} ran")

    def _run(self, step: str, failure: str) -> str:
        if not getattr(self.arm.commands, step):
            return ""
        if not self.failed:
            self.step = step
        before, self.failed = self.failed, True
        begun = time.monotonic()
        done = self._ran(step)
        if done.status != 0:
            words = shortened(done.stderr or done.stdout) or f"(exit status {done.status})"
            if step == "load":
                words += self._kernel_words(time.monotonic() - begun)
            raise ArmError(
                failure,
                hint=f"the words above are its own; {self.arm.place}/arm.toml has the commands",
                detail=words,
            )
        self.failed = before
        if not before:
            self.step = ""
        return done.stdout

    def _ran(self, step: str) -> Output:
        """Run the commands of a step. Raises ArmError when they do not end, or print too much."""
        commands = self.arm.resolve(getattr(self.arm.commands, step), self.values)
        place = f"its commands are in {self.arm.place}/arm.toml"
        try:
            done = self.server.run_all(
                commands, cwd=self.folder, check=False, timeout_s=STEP_LIMIT_S,
                most_bytes=MOST_BYTES,
            )  # fmt: skip
        except Stuck as error:
            raise Wrecked(
                f"arm {self.arm.name}: its `{step}` did not end within {STEP_LIMIT_S} s and cannot "
                "be killed: it waits in the kernel",
                detail=error.detail,
            ) from error
        except Late as error:
            raise ArmError(
                f"arm {self.arm.name}: its `{step}` did not end within {STEP_LIMIT_S} s",
                hint=f"it was killed; {place}",
            ) from error
        if done.cut:
            raise ArmError(
                f"arm {self.arm.name}: its `{step}` printed more than 1 MiB and was ended",
                hint=f"the first of it is above; {place}",
                detail=shortened(done.stdout or done.stderr),
            )
        return done

    def logged(self, took_s: float) -> tuple[int, str]:
        """Return how many lines the kernel logged in the last seconds, and the worst or first.

        The kernel forgets the oldest of very many.
        """
        said = self.server.run(["sh", "-c", _LOGGED, "dmesg", str(math.ceil(took_s))]).stdout
        count, _, line = said.partition("\n")
        return (int(count) if count.isdecimal() else 0), shortened(line)

    def _kernel_words(self, took_s: float) -> str:
        """Return what the kernel logged while a step ran, under a heading; "" when that is nothing.

        A module's init that fails tells there why; `insmod` knows an error number.
        """
        try:
            said = self.server.run(["sh", "-c", _DMESG, "dmesg", str(math.ceil(took_s) + 1)])
        except GuestError:
            return ""
        return f"\n--- kernel log\n{shortened(said.stdout)}" if said.stdout.strip() else ""

    def _read(self, step: str, said: str, read: Callable[[Node], T]) -> T:
        """Return what `read` makes of what a step printed; raises ArmError with place and value."""
        try:
            return read(parse_json(said, step))
        except ParseError as error:
            cut = "…" if len(said) > SHOWN else ""
            why = error.message.removeprefix(f"{step}: ")
            raise ArmError(
                f"arm {self.arm.name}: `{step}` printed no JSON object that can be used: {why}",
                detail=f"{said[:SHOWN]}{cut}" if said.strip() else "(it printed nothing)",
            ) from error


def _mode(node: Node) -> str | None:
    found = node.find("mode")
    return None if found is None else found.as_text()


def _hits(node: Node) -> list[int]:
    return [count.as_int() for count in node.get("hits").items()]


def _probed(node: Node) -> dict[str, Any]:
    """All that was printed, once the two counts in it are seen to be such."""
    for key in PROBED:
        node.integer(key)
    return node.mapping()


def demand_untouched(server: Guest, when: str) -> None:
    """Raise ArmError that begins with `when` if what lies in the server is not what was put there.

    Not looked at where nothing was put by this command.
    """
    if server.deployed is None:
        return
    changed = changes(server.deployed.lies, look(server).files)
    if changed:
        raise ArmError(
            f"{when}, files are not as they were built and recorded: {named(changed)}",
            hint="only `build` makes files there; `load` and the others keep temporary files in "
            "/run. The next command replaces the changed files",
        )
