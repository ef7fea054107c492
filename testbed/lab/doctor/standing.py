# SPDX-License-Identifier: Apache-2.0
"""How far this checkout is: box, libvirt, ports, lock. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.computer import session_place
from testbed.edge.computer.session_place import SessionPlace
from testbed.lab.doctor.diagnosis import Diagnosis, ok

AFRESH = "`testbed down --destroy`, `testbed box remove`, then `testbed up`"


def box(name: str, sha256: str, recorded_bytes: int, bytes_there: int) -> Diagnosis:
    """Judge the box of today's recipe."""
    if not sha256:
        return Diagnosis("box", "warning", f"{name} has no checksum recorded", AFRESH)
    if recorded_bytes != bytes_there:
        return Diagnosis(
            "box",
            "problem",
            f"{name} has {bytes_there / 1e6:.0f} MB, not the {recorded_bytes / 1e6:.0f} recorded",
            AFRESH,
        )
    return ok("box", f"{name}, {bytes_there / 1e6:.0f} MB, checksum {sha256[:12]}… recorded")


def no_box(older: int) -> Diagnosis:
    """Tell that today's recipe is not built; `older` boxes are of other recipes."""
    more = f"; {older} of other recipes" if older else ""
    return Diagnosis(
        "box",
        "note",
        f"not built yet{more}",
        "`testbed box build`, about two minutes; `testbed up` does it too",
    )


def session(version: str | None, who: str, said: str) -> Diagnosis:
    """Judge whether libvirt's session daemon answers; `said` is its complaint."""
    if version is not None:
        return ok("libvirt session", f"answers, libvirt {version}")
    last = said.strip().splitlines()[-1:] or ["no answer"]
    return Diagnosis(
        "libvirt session",
        "problem",
        f"no answer for {who}: {last[0]}",
        "`./lab setup`; then see what `virsh -c qemu:///session list` says",
    )


def sockets(place: SessionPlace, complaint: str, by_hand: str) -> Diagnosis:
    """Judge the paths of libvirt's sockets; `complaint` is why they cannot be made short.

    `by_hand` is the command that asks this session.
    """
    length = f"{place.longest_bytes} bytes of {session_place.LIMIT_BYTES}"
    if complaint:
        return Diagnosis(
            "libvirt sockets",
            "problem",
            f"too long, {length}: {place.longest}; {complaint}",
            f"`rm {place.alias}`, or use an account with a shorter home",
        )
    if place.alias is not None:
        return Diagnosis(
            "libvirt sockets",
            "note",
            f"too long in your home ({length}: {place.longest}); the session is at {place.alias}",
            f"nothing: `{by_hand}` asks that session",
        )
    if place.ignored:
        return Diagnosis(
            "libvirt sockets",
            "note",
            "; ".join(f"{name} is not used: {why}" for name, why in place.ignored.items()),
            "log in as yourself (`su -` or `machinectl shell`), or leave it",
        )
    return ok("libvirt sockets", f"{length} at most, below {place.libvirt}")


@dataclass(frozen=True)
class Port:
    """A recorded port of 127.0.0.1 and who has it; `pid` 0 is someone who cannot be seen."""

    number: int
    use: str
    role: str
    machine_pid: int | None
    held: bool
    pid: int
    holder: str


def ports(recorded: Sequence[Port]) -> Diagnosis:
    """Judge the ports in machines.json: each free, or held by the machine that it belongs to."""
    if not recorded:
        return ok("ports", "none chosen yet")
    taken = [one for one in recorded if one.held and one.pid != one.machine_pid]
    lost = [one for one in recorded if one.machine_pid is not None and not one.held]
    if taken:
        who = "; ".join(f"{_title(one)} held by {_holder(one)}" for one in taken)
        if any(one.machine_pid is not None for one in taken):
            return Diagnosis("ports", "problem", who, "`testbed down --destroy`, then `testbed up`")
        return Diagnosis(
            "ports", "note", who, "`testbed up`: it makes the machines anew with other ports"
        )
    if lost:
        which = ", ".join(_title(one) for one in lost)
        return Diagnosis(
            "ports",
            "problem",
            f"the machine runs, but nothing holds {which}",
            "`testbed down --destroy`, then `testbed up`",
        )
    held = sum(one.held for one in recorded)
    numbers = ", ".join(str(one.number) for one in recorded)
    return ok("ports", f"{numbers}: {'held by our machines' if held else 'free'}")


def _title(port: Port) -> str:
    return f"{port.number} ({port.role}'s {port.use})"


def _holder(port: Port) -> str:
    return f"{port.holder} (process {port.pid})" if port.pid else port.holder


def lock(verb: str | None, pid: int | None, held_by: int | None) -> Diagnosis:
    """Judge the checkout's lock: what its note says, and who really holds it."""
    if held_by is not None:
        what = f"`testbed {verb}`" if verb and pid == held_by else "a command"
        return Diagnosis(
            "lock",
            "note",
            f"{what} is at work here (process {held_by})",
            "wait for it, or end it with Ctrl-C in its terminal",
        )
    if verb is not None:
        return Diagnosis(
            "lock",
            "note",
            f"`testbed {verb}` (process {pid}) was killed here",
            "`rm .testbed/lock.json`; or leave it, it holds nothing up",
        )
    return ok("lock", "no command is at work here")


def configuration(path: Path, complaint: str | None, hint: str, *, there: bool) -> Diagnosis:
    """Judge testbed.toml."""
    if complaint is not None:
        return Diagnosis("testbed.toml", "problem", complaint, hint or f"correct {path}")
    return ok("testbed.toml", str(path) if there else "none: every key has its default")


def leftovers(count: int) -> Diagnosis:
    """Tell whether there is something to clear away."""
    if count:
        what = "one thing" if count == 1 else f"{count} things"
        return Diagnosis(
            "leftovers",
            "note",
            f"{what} left by earlier crashes or old checkouts",
            "`testbed doctor --orphans` lists them",
        )
    return ok("leftovers", "none")
