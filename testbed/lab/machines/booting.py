# SPDX-License-Identifier: Apache-2.0
"""Waiting for machines: that boot, or go on from a saved state, until each has been prepared.

Vagrant runs in the main thread, where Ctrl-C arrives; each machine is prepared beside it as soon
as it answers.
"""

import contextlib
import shlex
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier, BrokenBarrierError, Event

from testbed.edge.guests.connection import closed_on_failure
from testbed.edge.guests.guest import Guest
from testbed.edge.output.terminal import Terminal
from testbed.lab.machines.project import Project
from testbed.model.config import NetworkConfig
from testbed.model.errors import GuestError, MachineError

Prepare = Callable[[Guest], object]
FIRST_WORD_S = 60
"""A machine that goes on from its saved state answers within seconds."""


@dataclass(frozen=True)
class Booting:
    """Two guests that are about to answer."""

    guests: Mapping[str, Guest]
    project: Project
    terminal: Terminal
    limit_s: float

    def boot(self, start: Callable[[], None], prepare: Prepare) -> dict[str, float]:
        """Run `start`, which boots what does not run, and prepare each machine beside it.

        Return when each machine first answered, in seconds since 1970.
        Raises what `start` and `prepare` raise, and MachineError when a machine does not answer.
        """
        given_up, both = Event(), Barrier(len(self.guests))
        begun, answered = time.time(), dict[str, float]()

        def reach(guest: Guest) -> None:
            try:
                guest.connect(self.limit_s, given_up=given_up)
            except BaseException:
                both.abort()
                raise
            answered[guest.role] = time.time()
            self.terminal.took(f"{guest.role}: until SSH answers", time.time() - begun)
            # Compiling in one machine would take the CPUs that the other one boots with.
            with contextlib.suppress(BrokenBarrierError):
                both.wait()
            prepare(guest)

        pool = ThreadPoolExecutor(len(self.guests))
        with pool, closed_on_failure(self.guests, given_up):
            reached = [pool.submit(reach, guest) for guest in self.guests.values()]
            try:
                start()
            except MachineError as error:
                error.detail += self.project.last_words()
                raise
            for future in reached:
                future.result()
        close(self.guests)
        return answered

    def prepare(self, prepare: Prepare) -> None:
        """Prepare machines that run."""
        self.boot(lambda: None, prepare)

    def wake_or_prepare(self, network: NetworkConfig, prepare: Prepare) -> None:
        """Let resumed machines meet the present; what does not hold any more is set up again."""
        with self.terminal.step("clocks, link, counters", expect_s=2):
            try:
                self.wake(network)
            except GuestError as error:
                self.terminal.warn(f"{error.message}: setting up again")
                self.prepare(prepare)
                self.wake(network)

    def wake(self, network: NetworkConfig) -> None:
        """Set right what stood still while the machines were saved; prove link and counters.

        Raises GuestError, or MachineError, with what does not hold.
        """
        target = shlex.quote(network.target_address)
        count = "cat /sys/class/net/lab0/statistics/rx_packets"
        # The client alone can tell that everything up to the namespace behind the server is there.
        lines = {
            "server": "test $(cat /sys/class/net/lab0/carrier) = 1",
            "client": f"before=$({count}); ping -q -c 2 -i 0.2 -W 5 {target} && "
            f"test $(($({count}) - before)) -ge 2",
        }

        def one(guest: Guest) -> None:
            guest.connect(FIRST_WORD_S)
            line = f"date -s @{time.time():.3f} >/dev/null && {lines[guest.role]}"
            guest.shell(line, ["clock, link, counters"], check=True, timeout_s=30)

        with ThreadPoolExecutor(len(self.guests)) as pool, closed_on_failure(self.guests):
            list(pool.map(one, self.guests.values()))
        close(self.guests)


def close(guests: Mapping[str, Guest]) -> None:
    """Close the connections."""
    for guest in guests.values():
        guest.close()
