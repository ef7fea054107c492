# SPDX-License-Identifier: Apache-2.0
"""A server that dies or is damaged while an arm is in it: the arm's doing, and said so.

Without this the command would end with what it happened to wait for: a connection that broke, or
words of `insmod` that leave out that the kernel wrote to address 8.
"""

import contextlib
from collections.abc import Iterator

from testbed.edge.guests.guest import Guest
from testbed.edge.hypervisor.libvirt import Domains, for_each
from testbed.edge.hypervisor.states import ALIVE, OFF, PAUSED
from testbed.lab.guests.console import SEEN_S
from testbed.lab.guests.hook import Hook
from testbed.model.errors import (
    ArmError,
    GuestError,
    HostError,
    Late,
    MachineError,
    NoAnswer,
    Wrecked,
)


@contextlib.contextmanager
def blamed(hook: Hook) -> Iterator[None]:
    """Raise Wrecked in place of what an arm's server made of it: its kernel's words, or silence.

    That is looked for once the arm began to be loaded. A client's silence is no arm's fault, nor is
    that of a server that was paused, or whose connection broke while no command of the arm ran. A
    server that is off was turned off by the arm only if that was during `load`.
    """
    try:
        yield
    except Wrecked:
        hook.loaded = False  # nothing can unload it
        raise
    except (ArmError, GuestError) as error:
        if (wrecked := _of_the_server(hook, error)) is None:
            raise
        hook.loaded = False
        raise wrecked from error


def _of_the_server(hook: Hook, error: ArmError | GuestError) -> Wrecked | None:
    server: Guest = hook.server
    if not hook.touched or server.watch is None:
        return None
    broke = isinstance(error, NoAnswer)
    trouble = server.watch.trouble(SEEN_S if broke else 0.0)
    when = f"in its `{hook.step}`" if hook.step else "while it was loaded"
    if trouble is not None:
        own = f"{error.detail}\n\n" if isinstance(error, ArmError) and error.detail else ""
        return Wrecked(
            f"arm {hook.arm.name}: the server's kernel {trouble.what} {when}",
            hint=Wrecked.advice,
            detail=f"{own}{trouble.words}",
        )
    if not broke or isinstance(error, Late) or not (server.given_up or hook.step):
        return None
    state = server.watch.state()
    if state == PAUSED or (state == OFF and hook.step != "load"):
        return None  # its QEMU may have been killed before this step, which then only noticed
    said = "does not answer any more" if server.given_up else "is not there any more"
    return Wrecked(
        f"arm {hook.arm.name}: the server {said}, {when}",
        hint="a hook may never return, or drop what keeps SSH going; its kernel said nothing",
        detail=error.message,
    )


@contextlib.contextmanager
def wrecks_shut_off(domains: Domains) -> Iterator[None]:
    """Pull the plug of a server that an arm has wrecked, and say so in the error's hint.

    A kernel keeps what a module did to it, and what a dead CPU holds, until it is started again.
    """
    try:
        yield
    except Wrecked as error:
        again = "`testbed up` starts it again, which is the only cure"
        try:
            if domains.states().get("server") in ALIVE:
                for_each(["server"], "stop", domains)
            error.hint = f"the server was shut off: {again}"
        except (HostError, MachineError) as failure:
            error.hint = f"the server could not be shut off ({failure.message}): {Wrecked.advice}"
        raise
