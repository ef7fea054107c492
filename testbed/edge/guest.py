# SPDX-License-Identifier: Apache-2.0
"""A guest over SSH, through fabric: the only place that reaches into a machine.

Commands are lists and are quoted once, here. fabric's own `env=` is not used (it
pastes values unquoted), nor is a time-out without an end of the remote process:
what may run long is a transient systemd unit (`testbed.lab.instruments`).

The libraries load when a guest is reached for, since most verbs that only read do not.
"""

import base64
import io
import json
import logging
import shlex
import socket
import tarfile
import threading
import time
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.edge.sources import as_source
from testbed.model.errors import GuestError, MachineError, NoAnswer

SOURCES = "/opt/testbed/guest"
# QEMU's port forward accepts a connection before the guest's sshd listens, and that
# connection may never be answered; a new attempt finds the sshd sooner.
BANNER_LIMIT_S = 8
# Its threads log whole tracebacks of attempts that fail while a machine boots.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Output:
    """What a remote command left behind."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str


@dataclass
class Guest:
    """One machine, reached as root at 127.0.0.1:`port` with this machine's key."""

    role: str
    port: int
    key: Path
    _connection: Any = field(default=None, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def connect(self, timeout_s: float, given_up: threading.Event | None = None) -> "Guest":
        """Open the connection, waiting for an sshd that is still starting.

        Raises MachineError when nothing answers within `timeout_s`, or when `given_up`
        was set meanwhile.
        """
        import paramiko

        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self._connection = self._open(max(5.0, deadline - time.monotonic()))
                return self
            except _broken() as error:
                wrong_key = isinstance(error, paramiko.AuthenticationException)
                stop = given_up is not None and given_up.is_set()
                if wrong_key or stop or time.monotonic() > deadline:
                    raise MachineError(
                        f"the {self.role} does not answer SSH at 127.0.0.1:{self.port} "
                        f"({type(error).__name__}: {error})",
                        hint="`testbed down --destroy` and `testbed up` start it afresh; "
                        "its console is in `testbed logs`",
                    ) from error
                time.sleep(0.3)

    def _open(self, timeout_s: float) -> Any:
        import fabric
        import paramiko

        connection = fabric.Connection(
            host="127.0.0.1",
            port=self.port,
            user="root",
            connect_timeout=min(10, timeout_s),
            config=fabric.Config(overrides={"load_ssh_configs": False}),
            connect_kwargs={
                "key_filename": str(self.key),
                "look_for_keys": False,
                "allow_agent": False,
                "banner_timeout": min(BANNER_LIMIT_S, timeout_s),
                "auth_timeout": 60,
            },
        )
        connection.client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
        connection.open()
        transport = connection.client.get_transport()
        assert transport is not None
        transport.set_keepalive(5)
        # Commands are short; Nagle's algorithm would add 40 ms to each.
        if isinstance(transport.sock, socket.socket):
            transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def run(
        self,
        argv: Sequence[str],
        *,
        cwd: str | None = None,
        check: bool = True,
        timeout_s: float = 60,
    ) -> Output:
        """Run `argv` as root and return its output.

        Raises GuestError when it fails (unless `check` is off), takes longer than
        `timeout_s` or when the connection is gone.
        """
        return self.shell(_line(argv, cwd), argv, check=check, timeout_s=timeout_s)

    def run_all(
        self,
        commands: Sequence[Sequence[str]],
        *,
        cwd: str | None = None,
        check: bool = True,
        timeout_s: float = 60,
    ) -> Output:
        """Run commands one after the other in one round trip; stop at the first that fails."""
        line = " && ".join(shlex.join(argv) for argv in commands)
        if cwd is not None:
            line = f"cd {shlex.quote(cwd)} && {line}"
        return self.shell(line, [line], check=check, timeout_s=timeout_s)

    def shell(self, line: str, argv: Sequence[str], *, check: bool, timeout_s: float) -> Output:
        """Run a line whose every word has been quoted."""
        from invoke.exceptions import CommandTimedOut

        if self._connection is None:
            raise GuestError(f"{self.role}: not connected")
        try:
            result = self._connection.run(
                line, hide=True, warn=True, in_stream=False, pty=False, timeout=timeout_s
            )
        except CommandTimedOut as error:
            raise NoAnswer(
                f"{self.role}: no end after {timeout_s:g} s: {shlex.join(argv)}",
                hint=f"`testbed ssh {self.role}` lets you look",
            ) from error
        except _broken() as error:
            raise NoAnswer(
                f"{self.role}: the connection broke during: {shlex.join(argv)} ({error})",
                hint="`testbed status` tells whether the machine still runs",
            ) from error
        output = Output(tuple(argv), result.return_code, result.stdout, result.stderr)
        if check and output.status != 0:
            raise GuestError(
                f"{self.role}: exit status {output.status}: {shlex.join(argv)}",
                detail=output.stderr or output.stdout,
            )
        return output

    def json(self, argv: Sequence[str], *, timeout_s: float = 60) -> Any:
        """Run a command that prints JSON and return the value."""
        output = self.run(argv, timeout_s=timeout_s)
        try:
            return json.loads(output.stdout)
        except ValueError as error:
            raise GuestError(
                f"{self.role}: no JSON from: {shlex.join(argv)}", detail=output.stdout[-2000:]
            ) from error

    def push(self, folder: Path, target: str) -> None:
        """Put the sources of `folder` into the remote folder `target`, sent as one tar."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
            tar.add(folder, arcname=".", filter=as_source)
        buffer.seek(0)
        with self._lock:
            self._connection.put(buffer, "/run/testbed-push.tar.gz")
        new = shlex.quote(target)
        self.shell(
            f"mkdir -p {new} && tar -xzf /run/testbed-push.tar.gz -C {new} && "
            f"rm /run/testbed-push.tar.gz",
            ["push", target], check=True, timeout_s=120,
        )  # fmt: skip

    def write(self, path: str, text: str) -> None:
        """Write a small remote file."""
        line = f"printf %s {shlex.quote(text)} > {shlex.quote(path)}"
        self.shell(line, ["write", path], check=True, timeout_s=30)

    def put(self, path: str, content: bytes) -> None:
        """Write one remote file of any size, whole or not at all; its folder must exist."""
        new = f"{path}.new"
        try:
            with self._lock:
                self._connection.put(io.BytesIO(content), new)
        except _broken() as error:
            raise GuestError(
                f"{self.role}: {path} could not be written ({error})",
                hint="`testbed status` tells whether the machine still runs",
            ) from error
        self.run(["mv", "-f", new, path])

    def fetch(self, folder: str) -> dict[str, bytes]:
        """Return {name: content} of the plain files in a remote folder, in one round trip.

        Names with a path in them are left out: a guest cannot choose where files go.
        """
        line = f"tar -C {shlex.quote(folder)} -cz . | base64 -w0"
        text = self.shell(line, ["fetch", folder], check=True, timeout_s=60).stdout
        try:
            with tarfile.open(fileobj=io.BytesIO(base64.b64decode(text))) as tar:
                return _plain_files(tar)
        except (tarfile.TarError, ValueError, EOFError, OSError, zlib.error) as error:
            raise GuestError(
                f"{self.role}: the files of {folder} did not arrive ({error})",
                hint="the machine may have started again in between: `testbed logs`",
            ) from error

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()


def _broken() -> tuple[type[Exception], ...]:
    """What a connection that is not there, or no longer, raises."""
    import paramiko
    from invoke.exceptions import UnexpectedExit

    return (OSError, EOFError, paramiko.SSHException, UnexpectedExit)


def _plain_files(tar: tarfile.TarFile) -> dict[str, bytes]:
    files = {}
    for member in tar:
        name = member.name.removeprefix("./")
        if member.isfile() and "/" not in name and (stream := tar.extractfile(member)):
            files[name] = stream.read()
    return files


def _line(argv: Sequence[str], cwd: str | None) -> str:
    line = shlex.join(argv)
    return f"cd {shlex.quote(cwd)} && {line}" if cwd is not None else line
