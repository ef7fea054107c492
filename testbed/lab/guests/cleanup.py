# SPDX-License-Identifier: Apache-2.0
"""Undoing: nothing of a trial runs in the guests and no hook is loaded."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from testbed.edge.guests.guest import Guest
from testbed.edge.output.terminal import Terminal
from testbed.edge.output.uninterrupted import uninterrupted
from testbed.lab.guests import jobs
from testbed.lab.guests.deploy import look
from testbed.lab.guests.hook import Hook, demand_untouched
from testbed.model.arm import Arm
from testbed.model.config import NetworkConfig
from testbed.model.errors import ArmError, NoAnswer, TestbedError, Wrecked


def clean(server: Guest, client: Guest, hook: Hook, begun: Sequence[Future[Any]] = ()) -> None:
    """End every job in both guests and unload a hook that is loaded, each even if another fails.

    `begun` is what threads still start there: jobs are ended until those have returned.
    Raises the first failure after everything was tried.
    """
    with uninterrupted(), ThreadPoolExecutor(2) as pool:
        for future in begun:
            future.cancel()
        while wait(begun, timeout=0).not_done:
            wait([pool.submit(jobs.stop_all, guest) for guest in (client, server)])
            wait(begun, timeout=0.1)
        at_client = pool.submit(jobs.stop_all, client)
        at_server = pool.submit(jobs.stop_all, server)
        wait([at_server])
        steps = [at_client, at_server]
        if hook.loaded:
            steps.append(pool.submit(hook.unload))
        failures = [error for step in steps if (error := step.exception()) is not None]
    if failures:
        raise failures[0]


def undoing(
    guests: Mapping[str, Guest], hook: Hook, begun: Sequence[Future[Any]], terminal: Terminal
) -> Callable[[object, object, object], None]:
    """Return what cleans up at the end of an ExitStack.

    Where the work failed already, what cannot be undone mostly comes from that: it is a warning,
    and the failure itself is what ends the command.
    """

    def undo(_kind: object, failure: object, _at: object) -> None:
        hook.failed |= failure is not None  # what is undone now is not the step that failed
        try:
            clean(guests["server"], guests["client"], hook, begun)
        except TestbedError as error:
            if not isinstance(failure, TestbedError) or isinstance(error, Wrecked):
                raise
            if not isinstance(failure, Wrecked | NoAnswer):
                terminal.warn(f"afterwards: {error.message}")

    return undo


def sweep(server: Guest, client: Guest, arms: Sequence[Arm], network: NetworkConfig) -> list[str]:
    """Undo what an earlier, killed command may have left; return what could not be undone."""
    hooks = [Hook(arm, server, network) for arm in arms]
    with uninterrupted(), ThreadPoolExecutor(4) as pool:
        stopped = [pool.submit(jobs.stop_all, guest) for guest in (client, server)]
        wait(stopped)
        steps = [*stopped, *(pool.submit(_unload, hook) for hook in hooks)]
        failures = [error for step in steps if (error := step.exception()) is not None]
    unexpected = [
        error for error in failures
        if not isinstance(error, TestbedError) or isinstance(error, Wrecked)
    ]  # fmt: skip
    if unexpected:
        raise unexpected[0]
    return [str(error) for error in failures]


def _unload(hook: Hook) -> None:
    """Unload an arm that may be loaded; one that cannot be and is not there is no failure."""
    try:
        hook.unload()
    except Wrecked:
        raise
    except ArmError as error:
        try:
            hook.prove_gone()  # its build may have made nothing that could unload it, or load it
        except ArmError:
            raise error from None


def prove_swept(
    server: Guest, arms: Sequence[Arm], mine: Sequence[Arm], network: NetworkConfig
) -> None:
    """Raise ArmError when unloading changed what lies in the server, with the arm that did it.

    To find it each is unloaded once more, alone. An arm that is not of `mine`, but was brought from
    elsewhere by an earlier command, is removed then, so that later commands go on without it.
    """
    try:
        demand_untouched(server, "as this command began")
    except ArmError as error:
        guilty = [arm for arm in arms if _unloading_changes(Hook(arm, server, network))]
        known = {arm.folder for arm in mine}
        away = [arm for arm in guilty or arms if arm.folder not in known]
        if away:
            server.run(["rm", "-rf", *(Hook(arm, server, network).folder for arm in away)])
        names = ", ".join(arm.name for arm in guilty or arms)
        raise ArmError(
            f"{error.message}; the `unload` of {names if guilty else f'one of {names}'} did that",
            hint=error.hint,
        ) from error


def _unloading_changes(hook: Hook) -> bool:
    before = look(hook.server).files
    with contextlib.suppress(ArmError):
        hook.unload()
    return look(hook.server).files != before
