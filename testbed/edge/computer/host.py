# SPDX-License-Identifier: Apache-2.0
"""Commands on this computer: the only place that starts local processes.

Commands are lists, never shell text. What needs the virtual machines' account
(`testbed.edge.computer.account`) is prefixed there; here a command is just run. Their words are read by
programs, so every command speaks English, whatever the user's language is.
"""

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from testbed.edge.output import journal
from testbed.model.errors import HostError, TooSlow

PLAIN = {"LC_ALL": "C.UTF-8", "LANGUAGE": ""}
"""English words and unchanged numbers, while names may hold any letter: in `C` alone Ruby refuses
what is not ASCII. An empty LANGUAGE counts as unset; a set one would win over LC_ALL.
"""


def plain(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment, this process's own by default, in which commands speak English."""
    return {**(os.environ if environment is None else environment), **PLAIN}


def find(tool: str, *, package: str) -> str:
    """Return the path of `tool`, or say which package has it."""
    path = shutil.which(tool, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise HostError(
            f"{tool} is not installed",
            hint=f"run ./lab, which installs what is missing, or install the package {package}",
        )
    return path


def run(
    argv: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    stdin: str | None = None,
    timeout_s: float | None = None,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run `argv` and return it with both streams as text.

    The command leads a process group of its own, which ends with it: on a
    time-out or on Ctrl-C nothing that it started stays behind.
    Raises HostError when it cannot start or fails (unless `check` is off), TooSlow when it takes
    longer than `timeout_s`.
    """
    journal.on_host(argv, cwd)
    try:
        process = subprocess.Popen(
            list(argv),
            cwd=cwd,
            env=plain(environment),
            stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
    except OSError as error:
        raise HostError(f"{argv[0]} cannot be started: {error.strerror}") from error
    try:
        out, err = process.communicate(stdin, timeout=timeout_s)
    except BaseException as error:
        _end_group(process)
        if isinstance(error, subprocess.TimeoutExpired):
            raise TooSlow(
                f"no end after {timeout_s:g} s: {shlex.join(argv)}",
                detail=_text(error.stderr),
            ) from error
        raise
    if check and process.returncode != 0:
        raise HostError(f"exit status {process.returncode}: {shlex.join(argv)}", detail=err or out)
    return subprocess.CompletedProcess(list(argv), process.returncode, out, err)


@contextlib.contextmanager
def beside(
    argv: Sequence[str],
    *,
    output: int | IO[bytes] = subprocess.DEVNULL,
    pass_fds: Sequence[int] = (),
) -> Iterator[subprocess.Popen[str]]:
    """Run `argv` while the block runs; it and its children end with the block.

    Both its streams go to `output`; it inherits the open files `pass_fds`, under their numbers.
    Raises HostError when it cannot start.
    """
    journal.on_host(argv)
    try:
        process = subprocess.Popen(
            list(argv), text=True, start_new_session=True, env=plain(),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=tuple(pass_fds),
        )  # fmt: skip
    except OSError as error:
        raise HostError(f"{argv[0]} cannot be started: {error.strerror}") from error
    try:
        yield process
    finally:
        _end_group(process)


def _end_group(process: subprocess.Popen[str]) -> None:
    """End the command and its children: asked first, made to after five seconds at most.

    What is left of the group when its leader has ended is made to at once.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=5)


def _text(stream: str | bytes | None) -> str:
    return stream.decode(errors="replace") if isinstance(stream, bytes) else stream or ""


def free_port(kind: socket.SocketKind = socket.SOCK_STREAM) -> int:
    """Return a port of 127.0.0.1 that nothing uses at this moment."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def port_is_free(port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> bool:
    """Tell whether `port` of 127.0.0.1 can be bound."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
