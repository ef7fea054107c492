# SPDX-License-Identifier: Apache-2.0
"""Puts one fault of `faults` into a trial while it runs, and takes it out again."""

import contextlib
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Event

from testbed.edge.computer import host
from testbed.edge.guests.guest import Guest
from testbed.lab.guests.hook import Hook
from testbed.lab.selftest.faults import Argv, Fault
from testbed.model.errors import NoAnswer, TestbedError
from testbed.model.plan import Trial


@dataclass
class Injection:
    """One fault and the place where it goes; `witness` belongs to an Experiment.

    `problem` tells why the fault is not in, which no check can find then: its commands failed, or
    their moment did not come. None once it is in.
    """

    fault: Fault
    server: Guest
    hook: Hook
    problem: str | None = "its moment did not come"
    _stack: ExitStack = field(default_factory=ExitStack)
    _over: Event = field(default_factory=Event)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))

    @contextlib.contextmanager
    def around(self) -> Iterator[None]:
        """Frame the trials: whatever was put in is taken out in the end, also after an error."""
        try:
            yield
        finally:
            self._over.set()
            self._pool.shutdown()
            self._stack.close()
            for argv in self._filled(self.fault.undo):
                self.server.run(argv, check=False)

    def witness(self, _trial: Trial, step: str) -> None:
        """Put the fault in when its step begins; one with a delay waits in a thread."""
        if step != self.fault.step:
            return
        if self.fault.after_s:
            self._pool.submit(self._after_a_while)
        else:
            self._put_in()

    def _after_a_while(self) -> None:
        if not self._over.wait(self.fault.after_s):
            self._put_in()

    def _put_in(self) -> None:
        """Put the fault in; what fails is noted, and the trial goes on. A dead guest ends it."""
        try:
            for argv in self._filled(self.fault.commands):
                self.server.run(argv)
            if self.fault.unload_hook:
                self.hook.unload()
            for _ in range(self.fault.host_hogs):
                hog = (sys.executable, "-c", "while True: pass")
                self._stack.enter_context(host.beside(hog))
        except NoAnswer:
            raise
        except (TestbedError, OSError) as error:
            self.problem = _in_words(error)
        else:
            self.problem = None

    def _filled(self, commands: Sequence[Argv]) -> list[list[str]]:
        """Return commands with the target's port in them; other braces stay as they are."""
        port = self.hook.values["target_port"]
        return [[word.replace("{target_port}", port) for word in argv] for argv in commands]


def _in_words(error: TestbedError | OSError) -> str:
    """Return a failure with the last line of what the failing program said."""
    said = error.detail.splitlines() if isinstance(error, TestbedError) else []
    return ": ".join([str(error), *said[-1:]])
