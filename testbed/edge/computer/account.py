# SPDX-License-Identifier: Apache-2.0
"""Who runs the virtual machines, and where their files are.

An ordinary user runs them as himself, through his own libvirt session. Root has
no session daemon, and the system daemon may stall for minutes on a /dev/kvm that
exists but does not work; so root runs them as an account made for it, `testbed`,
which needs no rights at all. From there on both take the same path.
"""

import os
import pwd
import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from testbed.edge.computer import host, session_place
from testbed.edge.computer.identity import project_id
from testbed.edge.computer.session_place import SessionPlace
from testbed.model.errors import HostError

ROOTS_ACCOUNT = "testbed"


@dataclass(frozen=True)
class Account:
    """The account that owns the machines; `name` is None for the user's own."""

    name: str | None
    home: Path
    uid: int
    gid: int

    @classmethod
    def current(cls) -> "Account":
        """Return the account for whoever runs this process.

        Raises HostError for root without the account that `./lab` makes.
        """
        if os.geteuid() != 0:
            user = pwd.getpwuid(os.geteuid())
            return cls(None, Path(os.environ.get("HOME", user.pw_dir)), user.pw_uid, user.pw_gid)
        try:
            user = pwd.getpwnam(ROOTS_ACCOUNT)
        except KeyError as error:
            raise HostError(
                f"the account {ROOTS_ACCOUNT}, which runs the machines for root, does not exist",
                hint="run ./lab once: it makes the account",
            ) from error
        return cls(user.pw_name, Path(user.pw_dir), user.pw_uid, user.pw_gid)

    @cached_property
    def data_dir(self) -> Path:
        """Where the box, the key and the machines' disks live: per account, not per checkout."""
        own = os.environ.get("XDG_DATA_HOME") if self.name is None else None
        return (Path(own) if own else self.home / ".local/share") / "testbed"

    @cached_property
    def session(self) -> SessionPlace:
        """Where this account's libvirt session is."""
        own = os.environ if self.name is None else {}
        return session_place.find(self.home, self.uid, self.data_dir, own)

    def ensure_session(self) -> None:
        """Make what libvirt's session needs before it can start.

        Raises HostError, with the folder and the limit, where its sockets' paths are too long.
        """
        if self.session.alias is not None:
            self.make_dir(self.data_dir)
            session_place.ensure(self.session, self.uid, self.gid)

    def project_dir(self, checkout: Path) -> Path:
        """Return the folder of one checkout's machines, so that two checkouts never share any."""
        return self.projects_dir / self.project_id(checkout)

    @property
    def projects_dir(self) -> Path:
        """Where the folders of machines are."""
        return self.data_dir / "projects"

    def project_id(self, checkout: Path) -> str:
        """Return the name of one checkout's machines."""
        return project_id(checkout, self.projects_dir)

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return `argv` made to run as this account."""
        if self.name is None:
            return list(argv)
        setpriv = host.find("setpriv", package="util-linux")
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}"]
        return [setpriv, *ids, "--init-groups", "--reset-env", "env", *self._pairs(), *argv]

    def typed(self, argv: Sequence[str]) -> str:
        """Return `argv` as a person types it to run as this account."""
        pairs = [f"{name}={value}" for name, value in self.session.pairs.items()]
        words = ["env", *pairs, *argv] if pairs else list(argv)
        if self.name is None:
            return shlex.join(words)
        ids = [f"--reuid={self.name}", f"--regid={self.name}"]
        return shlex.join(["setpriv", *ids, "--init-groups", "--reset-env", *words])

    def _pairs(self) -> list[str]:
        return [f"{name}={value}" for name, value in self.environment().items()]

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment for this account's commands: ours alone when it is root's."""
        if self.name is None:
            base = dict(os.environ)
        else:
            kept = ("PATH", "TERM", "http_proxy", "https_proxy", "no_proxy", "TMPDIR")
            base = {name: os.environ[name] for name in kept if name in os.environ}
            base |= {**host.PLAIN, "HOME": str(self.home), "USER": self.name, "LOGNAME": self.name}
        base["PATH"] = base.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
        return base | dict(self.session.pairs) | dict(extra or {})

    def make_dir(self, path: Path, mode: int = 0o700) -> Path:
        """Create `path` and its missing parents, owned by this account."""
        missing = [p for p in (path, *path.parents) if not p.exists()]
        path.mkdir(parents=True, exist_ok=True, mode=mode)
        for folder in missing:
            self.own(folder)
        return path

    def own(self, path: Path) -> Path:
        """Give `path`, and what is below it, to this account."""
        if self.name is not None:
            os.chown(path, self.uid, self.gid)
            if path.is_dir():
                for entry in path.rglob("*"):
                    os.chown(entry, self.uid, self.gid, follow_symlinks=False)
        return path

    def write(self, path: Path, text: str, mode: int = 0o600) -> Path:
        """Write a file of this account's, whole or not at all."""
        self.make_dir(path.parent)
        new = path.with_name(path.name + ".new")
        new.write_text(text, encoding="utf-8")
        new.chmod(mode)
        self.own(new)
        return new.replace(path)

    def free_bytes(self) -> int:
        """Return the room on the disk that holds `data_dir`."""
        existing = next(p for p in (self.data_dir, *self.data_dir.parents) if p.exists())
        return shutil.disk_usage(existing).free
