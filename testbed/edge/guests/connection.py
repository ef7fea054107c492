# SPDX-License-Identifier: Apache-2.0
"""Connections to guests, by fabric: opened while a machine still boots, closed whatever happens.

The libraries load when a guest is reached for, since most verbs that only read do not.
"""

import contextlib
import logging
import shlex
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

from testbed.model.errors import MachineError, NoAnswer

# QEMU's port forward accepts a connection before the guest's sshd listens, and that
# connection may never be answered; a new attempt finds the sshd sooner.
BANNER_LIMIT_S = 8
# Its threads log whole tracebacks of attempts that fail while a machine boots.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


class Closable(Protocol):
    """A guest, as far as closing it goes."""

    def close(self) -> None:
        """End what it does, and its connection."""


def connect(
    role: str, port: int, key: Path, timeout_s: float, given_up: threading.Event | None = None
) -> Any:
    """Return an open connection as root to 127.0.0.1:`port`, waiting for an sshd that starts.

    Raises MachineError when nothing answers within `timeout_s`, or when `given_up` was set
    meanwhile.
    """
    import paramiko

    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return _open(port, key, max(5.0, deadline - time.monotonic()))
        except broken() as error:
            wrong_key = isinstance(error, paramiko.AuthenticationException)
            stop = given_up is not None and given_up.is_set()
            if wrong_key or stop or time.monotonic() > deadline:
                raise MachineError(
                    f"the {role} does not answer SSH at 127.0.0.1:{port} "
                    f"({type(error).__name__}: {error})",
                    hint="`testbed down --destroy` and `testbed up` start it afresh; "
                    "its console is in `testbed logs`",
                ) from error
            time.sleep(0.3)


def _open(port: int, key: Path, timeout_s: float) -> Any:
    import fabric
    import paramiko

    connection = fabric.Connection(
        host="127.0.0.1",
        port=port,
        user="root",
        connect_timeout=min(10, timeout_s),
        config=fabric.Config(overrides={"load_ssh_configs": False}),
        connect_kwargs={
            "key_filename": str(key),
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
    transport.channel_timeout = 30  # paramiko waits an hour for a guest that hangs
    # Commands are short; Nagle's algorithm would add 40 ms to each.
    if isinstance(transport.sock, socket.socket):
        transport.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def run_line(
    connection: Any, role: str, line: str, argv: Sequence[str], timeout_s: float,
    most_bytes: int | None,
) -> dict[str, Any] | None:  # fmt: skip
    """Run a line in a session of its own; None when it did not end in time.

    A line that prints more than `most_bytes` ends by a signal (`cut`): root's login shell is bash.
    Raises NoAnswer, with `argv` in it, when the connection breaks.
    """
    from invoke.exceptions import CommandTimedOut

    if most_bytes is not None:
        head = f"head -c {most_bytes + 1}"
        line = f"exec > >({head}) 2> >({head} >&2); {line}"
    try:
        result = connection.run(
            line, hide=True, warn=True, in_stream=False, pty=False, timeout=timeout_s
        )
    except CommandTimedOut:
        return None
    except broken() as error:
        raise NoAnswer(
            f"{role}: the connection broke during: {shlex.join(argv)} ({error})"
        ) from error
    said = {"stdout": result.stdout, "stderr": result.stderr}
    cut = most_bytes is not None and any(len(text) > most_bytes for text in said.values())
    return {"status": result.return_code, **said, "cut": cut}


def broken() -> tuple[type[Exception], ...]:
    """Return the errors of a connection that is not there, or no longer."""
    import paramiko
    from invoke.exceptions import UnexpectedExit

    return (OSError, EOFError, paramiko.SSHException, UnexpectedExit)


@contextlib.contextmanager
def closed_on_failure(
    guests: Mapping[str, Closable], given_up: threading.Event | None = None
) -> Iterator[None]:
    """End what threads do in the guests when something fails here, as at Ctrl-C."""
    try:
        yield
    except BaseException:
        if given_up is not None:
            given_up.set()
        for guest in guests.values():
            guest.close()
        raise


@contextlib.contextmanager
def closed_after(guests: Mapping[str, Closable]) -> Iterator[None]:
    """Close the guests in the end, and wait until their agents have ended."""
    try:
        yield
    finally:
        with ThreadPoolExecutor(len(guests)) as pool:
            list(pool.map(lambda guest: guest.close(), guests.values()))
