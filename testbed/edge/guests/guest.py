# SPDX-License-Identifier: Apache-2.0
"""A guest over SSH, through fabric: the only place that reaches into a machine.

Commands are lists and are quoted once, here: fabric's own `env=` pastes values unquoted. An agent,
where there is one, runs every line: it ends what runs too long, and saves a login each.
"""

import io
import shlex
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.edge.guests import agent
from testbed.edge.guests.agent import Agent, Job, Output, unpacked
from testbed.edge.guests.connection import broken, connect, run_line
from testbed.edge.output import journal
from testbed.model.deployed import Deployed
from testbed.model.errors import GuestError, Late, NoAnswer, ParseError, Stuck
from testbed.model.json_node import parse_json

SOURCES = "/opt/testbed/guest"
PUSHED = "/run/testbed-push.tar.gz"


@dataclass
class Guest:
    """One machine, reached as root at 127.0.0.1:`port` with this machine's key."""

    role: str
    port: int
    key: Path
    deployed: Deployed | None = field(default=None, repr=False)
    """The files in it, once this command has put them there and looked at them."""
    _connection: Any = field(default=None, repr=False)
    _agent: Any = field(default=None, repr=False)
    watch: Any = field(default=None, repr=False)
    """A `console_watch.Watch`, while one looks at what its kernel says on the console."""
    _closed: bool = field(default=False, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def connect(self, timeout_s: float, given_up: threading.Event | None = None) -> "Guest":
        """Open the connection, waiting for an sshd that is still starting.

        Raises MachineError when nothing answers within `timeout_s`, or when `given_up`
        was set meanwhile.
        """
        self._connection = connect(self.role, self.port, self.key, timeout_s, given_up)
        self._closed = False
        return self

    def start_agent(self) -> None:
        """End what an earlier agent left behind, and start one for the requests that follow.

        Raises NoAnswer with its last words when it does not start.
        """
        words = ["systemd-run", "--scope", "--quiet", "--collect", f"--unit={agent.UNIT}"]
        words += ["--property=OOMPolicy=continue"]  # it tells which of its jobs was killed
        # Asking systemd to end one where there is none takes as long as ending one.
        scope = f"{agent.UNIT}.scope"
        line = f"[ ! -e /sys/fs/cgroup/system.slice/{scope} ] || systemctl stop {scope}; exec "
        channel = self._connection.client.get_transport().open_session()
        channel.exec_command(line + shlex.join([*words, "python3", f"{SOURCES}/agent.py"]))
        self._agent = Agent(self.role, channel).start(timeout_s=60)

    def begin(self, job: Job) -> dict[str, Any]:
        """Start a job in the guest; return the agent's answer once it has begun.

        That holds `started_utc_ns` for one that only has to start, `status` else, and `stdout` and
        `stderr` of one that has ended. Raises NoAnswer as `run` does.
        """
        return self._asked(job.name, job.limit_s, job.request())

    def program(
        self, name: str, arguments: Sequence[str], *, check: bool = True, timeout_s: float = 60
    ) -> Output:
        """Run one of the agent's programs, in place of starting Python for it."""
        argv = (f"{name}.py", *arguments)
        words = {"do": "program", "program": name, "arguments": list(arguments)}
        return self._output(self._asked(shlex.join(argv), timeout_s, words), argv, check=check)

    @property
    def given_up(self) -> bool:
        """Whether it is taken for dead, though its connection is open."""
        return self._agent is not None and bool(self._agent.given_up)

    def give_up(self, why: str) -> None:
        """Let every request that waits fail now, and those to come, with `why`.

        A dead kernel leaves the connection open: a login on it would wait for ever.
        """
        if self._agent is not None:
            self._agent.give_up(why)

    def stop(self, names: Sequence[str]) -> None:
        """End jobs and wait until they have ended; those that do not run are no failure.

        Without an agent that answers, everything that it had started is ended.
        """
        if self._agent is not None and self._agent.alive:
            self._asked(f"stop {' '.join(names)}", 15, {"do": "stop", "names": list(names)})
        else:
            self.run(["systemctl", "stop", f"{agent.UNIT}.scope"], check=False, timeout_s=30)

    def uptime_s(self) -> float:
        """Return the guest's clock since its boot, seconds."""
        return float(self._asked("its clock", 15, {"do": "clock"})["uptime_s"])

    def memory(self) -> str:
        """Return the guest's /proc/meminfo."""
        return str(self._asked("its memory", 15, {"do": "memory"})["meminfo"])

    def _asked(self, what: str, limit_s: float, words: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the agent; raise NoAnswer when it is gone, Late when the job did not end in time."""
        if self._agent is None:
            raise GuestError(f"{self.role}: no agent runs there to do: {what}")
        journal.to_agent(self.role, words)
        if not (answer := self._agent.ask(what, limit_s=limit_s, **words)).get("late"):
            return dict(answer)
        if "stuck" in answer:
            raise Stuck(
                f"{self.role}: no end after {limit_s:g} s, and it cannot be killed: {what}",
                hint="it waits in the kernel, as above: only a new start ends that",
                detail=answer["stuck"],
            )
        raise self._no_end(what, limit_s)

    def _output(
        self, answer: Mapping[str, Any], argv: Sequence[str], *, check: bool = True
    ) -> Output:
        """Return what a job left behind; raise GuestError when it failed, unless `check` is off."""
        status = int(answer["status"])
        out, err = answer.get("stdout", ""), answer.get("stderr", "")
        output = Output(tuple(argv), status, out, err, cut=bool(answer.get("cut")))
        if check and status != 0:
            raise GuestError(
                f"{self.role}: exit status {status}: {shlex.join(argv)}",
                hint=f"its words are above; `testbed ssh {self.role}` lets you look",
                detail=output.stderr or output.stdout,
            )
        return output

    def _no_end(self, what: str, limit_s: float) -> Late:
        return Late(
            f"{self.role}: no end after {limit_s:g} s: {what}",
            hint=f"`testbed ssh {self.role}` lets you look",
        )

    def run(
        self, argv: Sequence[str], *, cwd: str | None = None, check: bool = True,
        timeout_s: float = 60,
    ) -> Output:  # fmt: skip
        """Run `argv` as root and return its output.

        Raises GuestError when it fails (unless `check` is off), takes longer than
        `timeout_s` or when the connection is gone.
        """
        return self.shell(_line([argv], cwd), argv, check=check, timeout_s=timeout_s)

    def run_all(
        self, commands: Sequence[Sequence[str]], *, cwd: str | None = None, check: bool = True,
        timeout_s: float = 60, most_bytes: int | None = None,
    ) -> Output:  # fmt: skip
        """Run commands one after the other in one round trip; stop at the first that fails.

        A command that prints more than `most_bytes`, to stdout or stderr, is ended.
        """
        line = _line(commands, cwd)
        return self.shell(line, [line], check=check, timeout_s=timeout_s, most_bytes=most_bytes)

    def shell(
        self, line: str, argv: Sequence[str], *, check: bool, timeout_s: float,
        most_bytes: int | None = None,
    ) -> Output:  # fmt: skip
        """Run a line whose every word has been quoted."""
        if self._connection is None or self._closed:  # else it would be opened again
            raise NoAnswer(f"{self.role}: not connected")
        if self._agent is not None and (self._agent.alive or self.given_up):
            words: dict[str, Any] = {"do": "line", "line": line}
            if most_bytes is not None:
                words["most_bytes"] = most_bytes
            answer = self._asked(shlex.join(argv), timeout_s, words)
        else:
            journal.on_guest(self.role, line)
            connection = self._connection
            answer = run_line(connection, self.role, line, argv, timeout_s, most_bytes) or {}
            if not answer:
                raise self._no_end(shlex.join(argv), timeout_s)
        return self._output(answer, argv, check=check)

    def json(self, name: str, arguments: Sequence[str], *, timeout_s: float = 60) -> Any:
        """Run one of the agent's programs that prints JSON, and return the value."""
        output = self.program(name, arguments, timeout_s=timeout_s)
        try:
            return parse_json(output.stdout, name).value
        except ParseError as error:
            raise GuestError(
                f"{self.role}: no JSON from: {shlex.join(output.argv)}",
                hint=f"what it printed is above; `testbed ssh {self.role}` lets you look",
                detail=output.stdout[-2000:],
            ) from error

    def push(self, tar: bytes, line: str) -> None:
        """Send a compressed tar as PUSHED; `line`, whose every word is quoted, unpacks it."""
        try:
            with self._lock:
                self._connection.put(io.BytesIO(tar), PUSHED)
        except broken() as error:
            raise GuestError(f"{self.role}: its sources could not be sent ({error})") from error
        self.shell(line, ["push", SOURCES], check=True, timeout_s=120)

    def put(self, path: str, content: bytes) -> None:
        """Write one remote file of any size, whole or not at all; its folder must exist."""
        new = f"{path}.new"
        try:
            with self._lock:
                self._connection.put(io.BytesIO(content), new)
        except broken() as error:
            raise GuestError(f"{self.role}: {path} could not be written ({error})") from error
        self.run(["mv", "-f", new, path])

    def scratch(self, folder: str) -> None:
        """Make an empty remote folder with a named pipe `go` in it."""
        answer = self._asked(f"scratch {folder}", 30, {"do": "scratch", "folder": folder})
        self._output(answer, ["scratch", folder])

    def go(self) -> None:
        """Write a word to the pipe of the last scratch folder: who waits there begins."""
        self._output(self._asked("go", 15, {"do": "go"}), ["go"])

    def fetch(self, folder: str) -> dict[str, bytes]:
        """Return {name: content} of the plain files in a remote folder.

        Names with a path in them are left out: a guest cannot choose where files go. Raises
        GuestError when there is no such folder, or what arrived is not what was sent.
        """
        answer = self._asked(f"fetch {folder}", 60, {"do": "fetch", "folder": folder})
        self._output(answer, ["fetch", folder])
        try:
            return unpacked(answer["files"])
        except (KeyError, ValueError) as error:
            raise GuestError(
                f"{self.role}: the files of {folder} did not arrive ({error})",
                hint="the machine may have started again in between: `testbed logs`",
            ) from error

    def close(self) -> None:
        """End the agent, and close the connection: who waits for an answer fails now."""
        self._closed = True
        if self._agent is not None:
            self._agent.close()
        if self._connection is not None:
            self._connection.close()


def _line(commands: Sequence[Sequence[str]], cwd: str | None) -> str:
    line = " && ".join(shlex.join(argv) for argv in commands)
    return f"cd {shlex.quote(cwd)} && {line}" if cwd is not None else line
