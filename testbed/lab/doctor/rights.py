# SPDX-License-Identifier: Apache-2.0
"""The rights of the user and of the machines' account. Pure."""

import stat
from pathlib import Path

from testbed.edge.computer.user_namespaces import Hindrance
from testbed.lab.doctor.diagnosis import Diagnosis, ok
from testbed.lab.doctor.software import SETUP

ID_COUNT = 65536
"""Subordinate ids that building the box takes; what `./lab` sets aside."""


def account(name: str | None, user: str) -> Diagnosis:
    """Tell who runs the machines; `name` is the account's where root asks, else None."""
    return ok("account", f"{name} runs the machines for root" if name else f"{user} runs them")


def no_account(why: str) -> Diagnosis:
    """Tell that root's account is missing."""
    return Diagnosis("account", "problem", why, SETUP)


def user_ids(name: str, uid: int, subuid: str, subgid: str) -> Diagnosis:
    """Judge the ranges in /etc/subuid and /etc/subgid, given as their text."""
    counts = {"/etc/subuid": _count(subuid, name, uid), "/etc/subgid": _count(subgid, name, uid)}
    short = [file for file, count in counts.items() if count < ID_COUNT]
    if short:
        return Diagnosis(
            "user ids",
            "problem",
            f"{name} has fewer than {ID_COUNT} ids in {' and '.join(short)}",
            f"{SETUP}, which sets a range aside: the box's build needs it",
        )
    return ok("user ids", f"{min(counts.values())} subordinate ids for {name}")


def _count(text: str, name: str, uid: int) -> int:
    fields = (line.split(":") for line in text.splitlines())
    counts = (f[2] for f in fields if len(f) == 3 and f[0] in (name, str(uid)))
    return max((int(count) for count in counts if count.isdigit()), default=0)


def namespaces(refused: str | None, hindrance: Hindrance | None) -> Diagnosis:
    """Judge a trial of mmdebstrap's namespace; `refused` is what it said, None if it worked."""
    if refused is None:
        return ok("user namespaces", "mmdebstrap gets one")
    if hindrance is not None:
        return Diagnosis(
            "user namespaces", "problem", f"refused: {refused} ({hindrance.setting})", hindrance.fix
        )
    return Diagnosis(
        "user namespaces",
        "problem",
        f"refused: {refused}",
        "`mmdebstrap --unshare-helper true` must work: see what it says",
    )


def writable(name: str, place: Path, who: str, *, may: bool) -> Diagnosis:
    """Judge whether a folder can be written by the one who has to."""
    if may:
        return ok(name, f"{place}, writable by {who}")
    return Diagnosis(
        name,
        "problem",
        f"{who} may not write to {place}",
        f"`sudo chown -R {who} {place}`, or remount it if it is read-only",
    )


def key(path: Path, owner: int, mode: int, uid: int, *, public: bool) -> Diagnosis:
    """Judge the private key by owner and mode, and whether its public half is there."""
    if owner != uid:
        return Diagnosis(
            "ssh key",
            "problem",
            f"{path} belongs to uid {owner}, not to {uid}",
            f"`sudo chown {uid} {path}`",
        )
    if stat.S_IMODE(mode) & 0o077:
        return Diagnosis(
            "ssh key",
            "problem",
            f"{path} has mode {stat.S_IMODE(mode):04o}",
            f"`chmod 600 {path}`: ssh refuses a key that others may read",
        )
    if not public:
        return Diagnosis(
            "ssh key",
            "problem",
            f"{path}.pub is missing",
            f"`ssh-keygen -y -f {path} > {path}.pub`",
        )
    return ok("ssh key", f"{path}, mode {stat.S_IMODE(mode):04o}")


def no_key(path: Path) -> Diagnosis:
    """Tell that the key is yet to be made, which is no fault."""
    return ok("ssh key", f"none yet: made at {path} with the box")
