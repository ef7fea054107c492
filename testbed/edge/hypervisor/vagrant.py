# SPDX-License-Identifier: Apache-2.0
"""Vagrant, through python-vagrant.

python-vagrant throws the streams away, replaces the environment and knows no other
account; here each call gets the testbed's environment, runs as the account that owns
the machines, and a failure carries Vagrant's own words.
"""

import functools
import logging
import shlex
import shutil
import subprocess
from collections.abc import Collection, Mapping
from pathlib import Path

from testbed.edge.computer import host, lasting
from testbed.edge.computer.account import Account
from testbed.edge.computer.lasting import NOTE
from testbed.edge.output import journal
from testbed.model.errors import MachineError

# It complains on stderr when it is loaded where Vagrant is missing; here that is said when
# Vagrant is needed, with what to do.
logging.getLogger("vagrant").addHandler(logging.NullHandler())
import vagrant  # noqa: E402


class _Vagrant(vagrant.Vagrant):  # python-vagrant has no types: its calls are ignored below
    """python-vagrant with the account's command prefix and with the output kept."""

    def __init__(self, folder: Path, account: Account, environment: Mapping[str, str], log: Path):
        super().__init__(  # type: ignore[no-untyped-call]
            str(folder), env=account.environment(environment)
        )
        self._account = account
        self._extra = [f"{name}={value}" for name, value in environment.items()]
        self._log = log

    def _make_vagrant_command(self, args: list[object]) -> list[str]:
        words = [str(word) for word in args if word is not None]
        tool = host.find("vagrant", package="vagrant")
        return ["env", *self._extra, tool, *words]

    def _call_vagrant_command(self, args: list[object]) -> None:
        """Run with both streams in the log, as a group that ends with this process's wish.

        While it runs, a note in the folder tells of it (`testbed.edge.computer.lasting`).
        """
        argv = self._make_vagrant_command(args)
        self._account.ensure_session()
        journal.on_host(self._account.command(argv), Path(self.root))
        what = shlex.join(["vagrant", *(str(word) for word in args if word is not None)])
        folder = Path(self.root)
        with self._log.open("ab") as log, lasting.noted(
            self._account, argv, folder / NOTE, what,
            cwd=folder, environment=self.env, output=log,
        ) as process:  # fmt: skip
            status = process.wait()
        if status != 0:
            raise subprocess.CalledProcessError(status, process.args)

    def _run_vagrant_command(self, args: list[object]) -> str:
        argv = self._account.command(self._make_vagrant_command(args))
        return host.run(argv, cwd=Path(self.root), environment=self.env).stdout


class Vagrant:
    """The two machines as Vagrant sees them: a `Provider`."""

    name = "vagrant"

    def __init__(self, account: Account, project: Path, vagrant_home: Path) -> None:
        self.account = account
        self.project = project
        self.log = project / "vagrant.log"
        self.environment = {
            "TESTBED_PROJECT": str(project),
            "VAGRANT_HOME": str(vagrant_home),
            "VAGRANT_CWD": str(project),
            "VAGRANT_DOTFILE_PATH": str(project / "vagrant"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
        }
        self._vagrant = _Vagrant(project, account, self.environment, self.log)

    def command(self) -> list[str]:
        """Return the start of a command line that runs `vagrant` on these machines."""
        own = {**self.account.session.pairs, **self.environment}
        pairs = [f"{name}={value}" for name, value in own.items()]
        return self.account.command(["env", *pairs, host.find("vagrant", package="vagrant")])

    def forget(self, role: str) -> None:
        """Remove Vagrant's record of a machine, which would pin the next one to an old box."""
        shutil.rmtree(self._record(role), ignore_errors=True)

    def recorded(self, _there: Collection[str]) -> frozenset[str]:
        """Return the roles that Vagrant has a record of."""
        machines = Path(self.environment["VAGRANT_DOTFILE_PATH"]) / "machines"
        return frozenset(path.parent.parent.name for path in machines.glob("*/libvirt/id"))

    def _record(self, role: str) -> Path:
        return Path(self.environment["VAGRANT_DOTFILE_PATH"]) / "machines" / role

    def remove_boxes(self) -> list[str]:
        """Delete Vagrant's copies of our boxes; return their folders."""
        boxes = Path(self.environment["VAGRANT_HOME"]) / "boxes"
        folders = sorted(boxes.glob("testbed-*"))
        for folder in folders:
            shutil.rmtree(folder)
        return [str(folder) for folder in folders]

    def up(self) -> None:
        """Create and boot both machines side by side; raises MachineError with the log's end."""
        boot = functools.partial(self._vagrant.up, provider="libvirt", provision=False)
        self._say(boot, "vagrant up")

    def halt(self) -> None:
        """Shut both machines down."""
        self._say(self._vagrant.halt, "vagrant halt")

    def has_box(self, name: str) -> bool:
        """Whether Vagrant already holds the box, whole: one cut off on the way in is deleted."""
        folder = Path(self.environment["VAGRANT_HOME"]) / "boxes" / name
        if self.copied_image(name) is not None and any(folder.glob("*/libvirt/metadata.json")):
            return True
        if folder.is_dir():
            shutil.rmtree(folder)
        return False

    def copied_image(self, name: str) -> Path | None:
        """Return the disk image of a box that Vagrant holds: it copies it into the pool."""
        folder = Path(self.environment["VAGRANT_HOME"]) / "boxes" / name
        return next(iter(sorted(folder.glob("*/libvirt/box.img"))), None)

    def add_box(self, name: str, path: Path) -> None:
        """Give the box to Vagrant, which unpacks it."""
        add = functools.partial(self._vagrant.box_add, name, str(path), provider="libvirt")
        self._say(add, "vagrant box add")

    def facts(self) -> dict[str, str]:
        """Return Vagrant's version."""
        tool = host.find("vagrant", package="vagrant")
        said = host.run(self.account.command([tool, "--version"]), environment=self._vagrant.env)
        return {"vagrant": said.stdout.strip()}

    def _say(self, action: object, what: str) -> None:
        start = self.log.stat().st_size if self.log.exists() else 0
        try:
            action()  # type: ignore[operator]
        except subprocess.CalledProcessError as error:
            with self.log.open("rb") as log:
                log.seek(start)
                words = log.read().decode(errors="replace")
            raise MachineError(
                f"{what} failed",
                hint=_advice(words),
                detail="\n".join(words.splitlines()[-20:]),
            ) from error


def _advice(words: str) -> str:
    if "Address already in use" in words or "Could not set up host forwarding" in words:
        return "another program took one of the ports: run the command again, new ones are chosen"
    if "Timed out while waiting for the machine to boot" in words:
        return "its console, above, tells how far it came; [machines] boot_timeout_s sets the limit"
    if "Cannot allocate memory" in words:
        return "too little memory: close programs, or lower memory_mb in testbed.toml"
    if "Failed to connect socket" in words:
        return "libvirt's session daemon did not start: try `virsh -c qemu:///session list`"
    return (
        "the last lines above are Vagrant's; "
        "`testbed down --destroy` then `testbed up` starts afresh"
    )
