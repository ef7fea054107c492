# SPDX-License-Identifier: Apache-2.0
"""Every failure a user can meet: what happened, what to do next, and the exit code.

A new kind of failure is a new subclass here, so that this page lists them all.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """What `testbed` returns to the shell."""

    OK = 0
    BUG = 1
    USAGE = 2
    HOST = 3
    MACHINE = 4
    GUEST = 5
    ARM = 6
    INVALID = 7
    INTERRUPTED = 130


class Interrupted(BaseException):
    """Ctrl-C or SIGTERM.

    Not KeyboardInterrupt: the SSH library catches that one, passes it to the remote
    command and goes on waiting.
    """


class TestbedError(Exception):
    """A failure with one line on what happened, one on what to do, and the evidence.

    `hint` tells the next step; `detail` is another program's own words, shown below it.
    """

    __test__ = False  # the name starts with "Test", and pytest looks at names
    exit_code = ExitCode.BUG

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.detail = detail.strip()


class UsageError(TestbedError):
    """An option, a name or a configuration value that cannot be used."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """`testbed.toml` or a manifest that does not say what it must."""


class HostError(TestbedError):
    """This computer lacks a tool, a permission, disk, memory or a free port."""

    exit_code = ExitCode.HOST


class MachineError(TestbedError):
    """The box could not be built, or a virtual machine did not come up."""

    exit_code = ExitCode.MACHINE


class GuestError(TestbedError):
    """A command inside a virtual machine failed."""

    exit_code = ExitCode.GUEST


class NoAnswer(GuestError):
    """A guest did not answer: the connection broke, or a command did not end in time."""


class ArmError(TestbedError):
    """An arm did not build, load, verify or unload."""

    exit_code = ExitCode.ARM


class RunError(UsageError):
    """A run directory that is missing, incomplete or not readable."""


class ParseError(RunError):
    """A result file that does not hold what it should; names the file and the place."""
