# SPDX-License-Identifier: Apache-2.0
"""Where an account's libvirt session keeps its files and sockets, and that their paths are short.

The kernel takes 107 bytes for the path of a UNIX socket (unix(7)). libvirt's own are long: below
a home of more than 20 letters a machine would not start. The session then gets a folder among our
data, and calls it by a short symbolic link.
"""

import contextlib
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from testbed.model.errors import HostError

LIMIT_BYTES = 107
ALIASES = Path("/var/tmp")
"""Outlives a reboot, is there for everybody, and has eight letters."""
RUN_USER = Path("/run/user")
_MACHINE = "domain-99999-tb000000-client"
"""libvirt numbers machines as they start, from 1 on, until its daemon ends."""
_BELOW_CONFIG = (
    f"libvirt/qemu/channel/target/{_MACHINE}/org.qemu.guest_agent.0",
    f"libvirt/qemu/lib/{_MACHINE}/monitor.sock",
)
_BELOW_RUNTIME = (
    f"libvirt/qemu/run/channel/{_MACHINE}/org.qemu.guest_agent.0",  # libvirt 9.7 and newer
    "libvirt/virtlogd-admin-sock",
    "libvirt/libvirt-admin-sock",
)


@dataclass(frozen=True)
class SessionPlace:
    """`config` holds the session's definitions and saved states, by its real path.

    `pairs` is what its commands need in their environment. `longest` is the longest path that a
    socket would have without a link; `alias` is the link, None where that path is short enough.
    `ignored` holds variables that name somebody else's folders, and why they cannot be used.
    """

    config: Path
    longest: Path
    pairs: Mapping[str, str] = field(default_factory=dict)
    alias: Path | None = None
    ignored: Mapping[str, str] = field(default_factory=dict)

    @property
    def libvirt(self) -> Path:
        """libvirt's folder in `config`."""
        return self.config / "libvirt"

    @property
    def saves(self) -> Path:
        """Where saved states are (libvirt: qemuStateInitialize)."""
        return self.libvirt / "qemu/save"

    @property
    def longest_bytes(self) -> int:
        """The length of `longest`."""
        return len(os.fsencode(self.longest))


def find(home: Path, uid: int, data: Path, environment: Mapping[str, str]) -> SessionPlace:
    """Return the place for an account, from its environment as libvirt would read it."""
    ignored = dict(_foreign(environment, uid))
    own = {name: value for name, value in environment.items() if value and name not in ignored}
    config = Path(own.get("XDG_CONFIG_HOME", home / ".config"))
    cache = Path(own.get("XDG_CACHE_HOME", home / ".cache"))
    pairs = dict.fromkeys(ignored, "")  # for libvirt an empty one is none
    runtime = own.get("XDG_RUNTIME_DIR", "")
    logged_in = RUN_USER / str(uid)
    if not runtime and environment and _is_of(logged_in, uid):
        # After `su` it is not set; another daemon would not know the machines of this one.
        runtime = pairs["XDG_RUNTIME_DIR"] = str(logged_in)
    paths = [config / below for below in _BELOW_CONFIG]
    paths += [Path(runtime or cache) / below for below in _BELOW_RUNTIME]
    longest = max(paths, key=lambda path: len(os.fsencode(path)))
    if len(os.fsencode(longest)) <= LIMIT_BYTES:
        return SessionPlace(config, longest, pairs, None, ignored)
    target = data / "libvirt"
    name = hashlib.sha256(f"{uid} {target}".encode(errors="surrogateescape")).hexdigest()[:6]
    alias = ALIASES / f"tb-{name}"
    pairs = {
        "XDG_CONFIG_HOME": str(alias),
        "XDG_CACHE_HOME": str(alias / "cache"),
        "XDG_RUNTIME_DIR": str(alias / "run"),
    }
    return SessionPlace(target, longest, pairs, alias, ignored)


def ensure(place: SessionPlace, uid: int, gid: int) -> None:
    """Make the short link and what it leads to. Raises HostError where that cannot be."""
    if place.alias is None:
        return
    try:
        with contextlib.suppress(FileExistsError):
            place.alias.symlink_to(place.config)
            os.chown(place.alias, uid, gid, follow_symlinks=False)
    except OSError as error:
        raise _too_long(place, f"{place.alias} cannot be made: {error.strerror}") from error
    try:
        mine = place.alias.lstat().st_uid == uid and place.alias.readlink() == place.config
    except OSError:
        mine = False
    if not mine:
        raise _too_long(place, f"{place.alias} is not this account's link to {place.config}")
    for folder in (place.config, place.config / "cache", place.config / "run"):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chown(folder, uid, gid)


def _too_long(place: SessionPlace, why: str) -> HostError:
    return HostError(
        f"a socket of libvirt's would have a path of {place.longest_bytes} bytes, and the kernel "
        f"takes {LIMIT_BYTES}: {place.longest}",
        hint=f"remove what is there as {place.alias}, or use an account with a shorter home",
        detail=why,
    )


def _foreign(environment: Mapping[str, str], uid: int) -> Mapping[str, str]:
    """Return {variable: why it cannot be used}: after `su` or `sudo -E` it is another user's."""
    found = {}
    for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        value = environment.get(name, "")
        if value and (why := _unusable(Path(value), uid, must_exist=name == "XDG_RUNTIME_DIR")):
            found[name] = why
    return found


def _unusable(path: Path, uid: int, *, must_exist: bool) -> str:
    if not path.is_absolute():
        return f"{path} is no absolute path"
    try:
        owner = path.stat().st_uid
    except FileNotFoundError:
        above = next(one for one in path.parents if one.exists())
        if must_exist or not os.access(above, os.W_OK):
            return f"{path} does not exist"
        return ""
    except OSError as error:
        return f"{path}: {error.strerror}"
    return "" if owner == uid else f"{path} belongs to uid {owner}"


def _is_of(path: Path, uid: int) -> bool:
    try:
        return path.stat().st_uid == uid
    except OSError:
        return False
