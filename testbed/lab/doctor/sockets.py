# SPDX-License-Identifier: Apache-2.0
"""The holders of ports of 127.0.0.1, from /proc/net and the processes' open files."""

import contextlib
import pwd
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
COVERING = {
    "0100007F",
    "00000000",  # 127.0.0.1 and every address, in the kernel's byte order
    "0" * 32,
    "0000000000000000FFFF00000100007F",  # the same seen by IPv6
}
LISTENING = "0A"


@dataclass(frozen=True)
class Holder:
    """The holder of a port; pid 0 if the process cannot be seen, and then `name` is a user's."""

    pid: int
    name: str


def holders(kind: str, ports: Collection[int]) -> dict[int, Holder]:
    """Return who holds which of `ports`; `kind` is tcp or udp. A free port is left out."""
    open_ = {}
    for table in (kind, f"{kind}6"):
        with contextlib.suppress(OSError):  # a kernel without IPv6
            open_.update(bound((PROC / "net" / table).read_text(), listening=kind == "tcp"))
    wanted = {port: open_[port] for port in ports if port in open_}
    by_inode = _processes({inode for inode, _ in wanted.values()})
    return {
        port: by_inode.get(inode) or Holder(0, f"a program of {_user(uid)}")
        for port, (inode, uid) in wanted.items()
    }


def bound(table: str, *, listening: bool) -> dict[int, tuple[int, int]]:
    """Return {port: (inode, uid)} of the sockets that keep others off that port of 127.0.0.1."""
    found = {}
    for line in table.splitlines()[1:]:
        fields = line.split()
        address, _, port = fields[1].rpartition(":")
        if address in COVERING and (not listening or fields[3] == LISTENING):
            found[int(port, 16)] = int(fields[9]), int(fields[7])
    return found


def _processes(inodes: Collection[int]) -> dict[int, Holder]:
    """Return the process that has each socket open, among those that may be looked into.

    Among several it is the oldest: the others have it from that one.
    """
    names = {f"socket:[{inode}]": inode for inode in inodes}
    found: dict[int, Holder] = {}
    numbers = sorted(int(path.name) for path in PROC.iterdir() if path.name.isdigit())
    for pid in numbers if names else ():
        folder = PROC / str(pid)
        with contextlib.suppress(OSError):  # another user's, or it has ended
            for entry in (folder / "fd").iterdir():
                inode = names.get(str(entry.readlink()))
                if inode is not None:
                    name = (folder / "comm").read_text(errors="replace").strip()
                    found.setdefault(inode, Holder(pid, name))
    return found


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
