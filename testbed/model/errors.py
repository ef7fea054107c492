# SPDX-License-Identifier: Apache-2.0
"""Every failure a user can meet: what happened, what to do next, and the exit code.

A new kind of failure is a new subclass here, so that this page lists them all.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes of `testbed`."""

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

    `hint` tells the next step, which a class may know for all its failures (`advice`); `detail` is
    another program's own words, shown above both.
    """

    __test__ = False  # the name starts with "Test", and pytest looks at names
    exit_code = ExitCode.BUG
    advice = ""

    def __init__(self, message: str, *, hint: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or self.advice
        self.detail = detail.strip()


class UsageError(TestbedError):
    """An option, a name or a configuration value that cannot be used."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """`testbed.toml`, or a file of the lab sheet, that does not say what it must."""


class ManifestError(ConfigError):
    """An arm's manifest that does not say what it must."""

    advice = "docs/arms.md lists every key of an arm.toml"


class HostError(TestbedError):
    """This computer lacks a tool, a permission, disk, memory or a free port."""

    exit_code = ExitCode.HOST
    advice = "`testbed doctor` looks for what is wrong with this computer"


class TooSlow(HostError):
    """A command on this computer did not end within its time limit."""


class MachineError(TestbedError):
    """The box could not be built, or a virtual machine did not come up."""

    exit_code = ExitCode.MACHINE


class GuestError(TestbedError):
    """A command inside a virtual machine failed."""

    exit_code = ExitCode.GUEST
    advice = "`testbed status` tells whether the machine still runs, `testbed up` mends it"


class NoAnswer(GuestError):
    """A guest did not answer: the connection broke, or a command did not end in time."""


class Late(NoAnswer):
    """A command in a guest did not end in time and was killed; the guest itself still answers."""


class Stuck(Late):
    """One that waits in the kernel, where no signal reaches it."""


class ArmError(TestbedError):
    """An arm did not build, load, verify or unload."""

    exit_code = ExitCode.ARM
    advice = "docs/arms.md tells what each command of an arm must print"


class Wrecked(ArmError):
    """An arm left the server in a state that only a new start ends."""

    advice = "only a new start ends that: `testbed down --destroy`, then `testbed up`"


class RunError(UsageError):
    """A run directory that is missing, incomplete or not readable."""


class ParseError(RunError):
    """A result file that does not hold what it should; names the file and the place."""

    advice = "the run is damaged there: get the file back, or measure again with `testbed bench`"
