# SPDX-License-Identifier: Apache-2.0
"""How client and server behave as commands: options, signals, one-line errors, JSON records."""

import argparse
import json
import math
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

#: Exit codes of both commands.
OK = 0
FAILED = 1
UNUSABLE = 2  # an option, an address or a port that cannot be used


class Unusable(Exception):
    """Something the user has to change: told in one line, exit code 2."""


class Stopped(BaseException):
    """SIGINT or SIGTERM came. Not an `Exception`, so that nothing but `main` catches it."""

    def __init__(self, signal_number: int) -> None:
        super().__init__(signal.Signals(signal_number).name)
        self.exit_code = 128 + signal_number


def stop_on_signals() -> None:
    """Turn SIGINT and SIGTERM into `Stopped`, so that what was measured so far gets written."""

    def stop(signal_number: int, _frame: FrameType | None) -> None:
        ignore_signals()  # a second Ctrl-C must not cut the writing short
        raise Stopped(signal_number)

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def ignore_signals() -> None:
    """From here on the command only writes its record and ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class OptionParser(argparse.ArgumentParser):
    """argparse whose errors are one line, and whose option declarations are."""

    def option(self, name: str, default: Any, convert: Callable[[str], Any], text: str) -> None:
        """Declare an option that takes one value."""
        metavar = "FILE" if convert is record_path else name.strip("-").rpartition("-")[2].upper()
        if default is not None:
            text += " (default: %(default)s)"
        self.add_argument(name, default=default, type=convert, metavar=metavar, help=text)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where the options are explained; exit code 2."""
        self.exit(UNUSABLE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def number(
    kind: Callable[[str], float], low: float, high: float, unit: str
) -> Callable[[str], Any]:
    """An argparse type: an `int` or `float` from `low` to `high`, in `unit`."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = math.nan
        if low <= value <= high:  # false for nan
            return value
        whole = "a whole number" if kind is int else "a number"
        raise argparse.ArgumentTypeError(f"{text!r} is not {whole} from {low} to {high} {unit}")

    return convert


def record_path(text: str) -> Path:
    """An argparse type: a file that can be written. Known before the trial, not after it."""
    path = Path(text)
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"cannot write the file {text!r}")
    return path


def write_record(path: Path | None, record: dict[str, Any]) -> None:
    """Write JSON so that a reader sees the whole of it or nothing."""
    if path is None:
        return
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(record, separators=(",", ":")) + "\n", encoding="utf-8")
    partial.replace(path)


def notify_ready() -> None:
    """Tell systemd, if it started us and waits for that, that we are ready (sd_notify)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    if address.startswith("@"):  # an abstract socket
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        try:
            sock.sendto(b"READY=1", address)
        except OSError as error:
            complain(f"cannot tell systemd that it is ready: {error.strerror}")


def wait_for_go(fifo: Path | None) -> None:
    """Wait until somebody writes to the named pipe: everything is prepared, nothing has begun."""
    if fifo is not None:
        with fifo.open("rb") as words:
            words.readline()


def say(line: str) -> None:
    """A line for the reader, out at once even into a pipe."""
    print(line, flush=True)


def complain(line: str) -> None:
    """A line about what went wrong."""
    print(f"{Path(sys.argv[0]).name}: {line}", file=sys.stderr, flush=True)
