# SPDX-License-Identifier: Apache-2.0
"""The settings that forbid user namespaces here: mmdebstrap builds the box in one, without root."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
PROFILE = Path("/etc/apparmor.d/mmdebstrap")
"""Ubuntu's package apparmor has it from 24.04 on: with it mmdebstrap may do all that it needs."""
APPARMOR = "kernel.apparmor_restrict_unprivileged_userns"
SETTINGS = {
    "kernel.unprivileged_userns_clone": (0, 1),
    APPARMOR: (1, 0),
    "user.max_user_namespaces": (0, 10000),
}
"""The kernel's settings: the value that forbids user namespaces, and one that allows them."""


@dataclass(frozen=True)
class Hindrance:
    """A setting that forbids them, and the command that mends it."""

    setting: str
    fix: str


def hindrance() -> Hindrance | None:
    """Return what forbids them here; None where no setting does. Reads only.

    With AppArmor's setting, Ubuntu 24.04's default, a program without a profile gets a namespace in
    which it has no rights (https://ubuntu.com/blog/ubuntu-23-10-restricted-unprivileged-user-namespaces).
    """
    for name, (forbids, allows) in SETTINGS.items():
        if _value(name) != forbids:
            continue
        fix = f"`sudo sysctl {name}={allows}`, until the next boot"
        if name == APPARMOR and PROFILE.exists():
            fix = f"`sudo apparmor_parser -r {PROFILE}` loads mmdebstrap's profile; or {fix}"
        return Hindrance(f"{name} is {forbids}", fix)
    return None


def _value(setting: str) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        return int((PROC / "sys" / setting.replace(".", "/")).read_text())
    return None
