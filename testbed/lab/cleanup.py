# SPDX-License-Identifier: Apache-2.0
"""Undoing: nothing of a trial runs in the guests and no hook is loaded."""

import contextlib
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from testbed.edge.guest import Guest
from testbed.lab import instruments
from testbed.lab.arms import Hook
from testbed.model.arm import Arm
from testbed.model.config import NetworkConfig
from testbed.model.errors import TestbedError


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let a second Ctrl-C wait until the undoing is done."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        previous = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    except ValueError:  # not in the main thread: signals do not come here
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, previous, strict=True):
            signal.signal(number, handler)


def clean(server: Guest, client: Guest, hook: Hook) -> None:
    """End every unit in both guests and unload the hook, each even if another fails.

    Raises the first failure after everything was tried.
    """
    def on_server() -> None:
        instruments.stop_all(server)
        hook.unload()

    with uninterrupted(), ThreadPoolExecutor(2) as pool:
        steps = [pool.submit(instruments.stop_all, client), pool.submit(on_server)]
        failures = [error for step in steps if (error := step.exception()) is not None]
    if failures:
        raise failures[0]


def sweep(
    server: Guest, client: Guest, arms: Sequence[Arm], network: NetworkConfig
) -> list[str]:
    """Undo what an earlier, killed command may have left; return what could not be undone."""
    left = []
    for arm in arms:
        try:
            clean(server, client, Hook(arm, server, network))
        except TestbedError as error:
            left.append(f"{arm.name}: {error.message}")
    return left
