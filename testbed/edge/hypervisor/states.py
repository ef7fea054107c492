# SPDX-License-Identifier: Apache-2.0
"""The states of a machine, in libvirt's words (virsh: virshDomainStateTypeFromString). Pure."""

from testbed.model.errors import MachineError

RUNNING, SAVED, PAUSED, OFF = "running", "saved", "paused", "shut off"
PANICKED = "panicked"
"""Not libvirt's word, which is `running`: its processor runs, its kernel has ended."""
STUCK = frozenset({"no state", "idle", "in shutdown", "pmsuspended"})
"""A process is there that no command makes run on: it is ended, and started again."""
ALIVE = frozenset({RUNNING, PAUSED, *STUCK})
"""A process is there, with its memory and its ports."""
ENDED = frozenset({OFF, SAVED, "crashed"})


def known(domain: str, state: str) -> str:
    """Return `state`; raise MachineError for one that is not libvirt's.

    A state that is not understood must never count as "does not run": the machine may run.
    """
    if state in ALIVE or state in ENDED:
        return state
    raise MachineError(
        f"libvirt calls the state of {domain} {state!r}, which is not known here",
        hint="`virsh -c qemu:///session list --all` shows it; nothing was changed",
    )
