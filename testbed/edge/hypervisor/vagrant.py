# SPDX-License-Identifier: Apache-2.0
"""Vagrant as a provider: its own records and boxes on disk, and what it does when it is run.

Reading its files works where Vagrant is not installed, too.
"""

import functools
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Collection
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.edge.computer import host
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.provider import advice
from testbed.model.errors import HostError, MachineError, TooSlow

if TYPE_CHECKING:
    from testbed.edge.hypervisor.python_vagrant import Calls

TRIAL_LIMIT_S = 60.0
"""A Vagrant that loads its plugin takes one second, ten within an emulated computer."""
NO_ANSWER = "vagrant gave no answer within"
"""The first words of a trial that did not end: whether the plugin loads is not known then."""
QUOTING = ("shown below.", "below for convenience:")
"""The ends of the lines after which Vagrant quotes Ruby."""
UNKNOWN = "libvirt is none of Vagrant's providers"
TRIAL = f"""\
Vagrant.plugin("2").manager.providers.key?(:libvirt) or raise LoadError, "{UNKNOWN}"
require "vagrant-libvirt"
require "vagrant-libvirt/driver"
Vagrant.configure("2") do |config|
  config.vm.box = "none"
  config.vm.network :private_network, ip: "192.0.2.2", auto_config: false,
                    libvirt__tunnel_type: "udp", libvirt__tunnel_port: 2
  config.vm.provider :libvirt do |libvirt|
    libvirt.uri = libvirt.system_uri = "qemu:///session"
    libvirt.mgmt_attach = false
  end
end
"""
"""Loads all that needs Ruby's other half, compiled code included; starts nothing.

The rest is as in the Vagrantfile. Without it, 0.12 of the plugin asks the system's daemon, looks
for a bridge, or falls over its own answer where a machine has no network.
"""


class Vagrant:
    """The two machines as Vagrant sees them: a `Provider`."""

    name = "vagrant"

    def __init__(self, account: Account, project: Path) -> None:
        self.account = account
        self.project = project
        self.log = project / "vagrant.log"
        self.environment = {
            "TESTBED_PROJECT": str(project),
            "VAGRANT_HOME": str(account.data_dir / "vagrant.d"),
            "VAGRANT_CWD": str(project),
            "VAGRANT_DOTFILE_PATH": str(project / "vagrant"),
            "VAGRANT_CHECKPOINT_DISABLE": "1",
            "VAGRANT_NO_COLOR": "1",
            "VAGRANT_DEFAULT_PROVIDER": "libvirt",
        }

    @cached_property
    def _vagrant(self) -> "Calls":
        """python-vagrant, loaded where Vagrant is about to be run."""
        from testbed.edge.hypervisor.python_vagrant import Calls

        return Calls(self.project, self.account, self.environment, self.log)

    def problem(self, limit_s: float = TRIAL_LIMIT_S) -> str | None:
        """Return why no machine can be made with it, None where its libvirt plugin loads.

        Found by trying, in a folder to throw away: a plugin may be missing, damaged, or built for
        another Ruby.
        """
        if (tool := _installed()) is None:
            return "no vagrant on this computer"
        home = Path(self.environment["VAGRANT_HOME"])
        with tempfile.TemporaryDirectory(prefix="testbed-vagrant-") as scratch:
            folder = Path(scratch)
            (folder / "Vagrantfile").write_text(TRIAL)
            self.account.own(folder)
            places = {"VAGRANT_CWD": scratch, "VAGRANT_DOTFILE_PATH": str(folder / "vagrant"),
                      "VAGRANT_HOME": str(home if home.is_dir() else folder / "home")}  # fmt: skip
            pairs = [f"{name}={value}" for name, value in {**self.environment, **places}.items()]
            argv = self.account.command(["env", *pairs, tool, "validate"])
            try:
                done = host.run(
                    argv, environment=self.account.environment(), cwd=folder, check=False,
                    timeout_s=limit_s,
                )  # fmt: skip
            except TooSlow:
                return f"{NO_ANSWER} {limit_s:g} s"
        return None if done.returncode == 0 else _reason(done.stdout + done.stderr)

    def command(self) -> list[str] | None:
        """Return the start of a command line that runs `vagrant` on these machines.

        None where Vagrant has been removed since it made them.
        """
        if (tool := _installed()) is None:
            return None
        own = {**self.account.session.pairs, **self.environment}
        pairs = [f"{name}={value}" for name, value in own.items()]
        return self.account.command(["env", *pairs, tool])

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

    def create(self) -> None:
        """Create and boot both machines side by side; raises MachineError with the log's end."""
        boot = functools.partial(self._vagrant.up, provider="libvirt", provision=False)
        self._say(boot, "vagrant up")

    def has_box(self, name: str) -> bool:
        """Whether Vagrant already holds the box, whole: one cut off on the way in is deleted."""
        folder = Path(self.environment["VAGRANT_HOME"]) / "boxes" / name
        if self.box_image(name) is not None and any(folder.glob("*/libvirt/metadata.json")):
            return True
        if folder.is_dir():
            shutil.rmtree(folder)
        return False

    def box_image(self, name: str) -> Path | None:
        """Return the disk image of a box that Vagrant holds, which it copies into the pool."""
        folder = Path(self.environment["VAGRANT_HOME"]) / "boxes" / name
        return next(iter(sorted(folder.glob("*/libvirt/box.img"))), None)

    def add_box(self, name: str, path: Path) -> None:
        """Give the box to Vagrant, which unpacks it."""
        add = functools.partial(self._vagrant.box_add, name, str(path), provider="libvirt")
        self._say(add, "vagrant box add")

    def facts(self) -> dict[str, str]:
        """Return Vagrant's version; none where it has been removed since."""
        if (tool := _installed()) is None:
            return {}
        environment = self.account.environment(self.environment)
        said = host.run(self.account.command([tool, "--version"]), environment=environment)
        return {"vagrant": said.stdout.strip()}

    def _say(self, action: Callable[[], object], what: str) -> None:
        start = self.log.stat().st_size if self.log.exists() else 0
        try:
            action()
        except subprocess.CalledProcessError as error:
            with self.log.open("rb") as log:
                log.seek(start)
                words = log.read().decode(errors="replace")
            raise MachineError(
                f"{what} failed",
                hint=advice(words, "Vagrant"),
                detail="\n".join(words.splitlines()[-20:]),
            ) from error


def _installed() -> str | None:
    """Return the path of `vagrant`, None where there is none."""
    try:
        return host.find("vagrant", package="vagrant")
    except HostError:
        return None


def _reason(words: str) -> str:
    """Return the one line of a failed trial that tells what is wrong."""
    if UNKNOWN in words or "cannot load such file -- vagrant-libvirt\n" in words + "\n":
        return "Vagrant's libvirt plugin is not installed"
    lines = [line.strip() for line in words.splitlines() if line.strip()]
    told = [line.removeprefix("Message: ") for line in lines if line.startswith("Message: ")]
    crashed = [line for line in lines if "[BUG]" in line or line.endswith("Error)")]
    after = [lines[i + 1] for i, line in enumerate(lines[:-1]) if line.endswith(QUOTING)]
    said = [*crashed, *told, *after, *lines[-1:], "it says nothing"][0]
    return f"Vagrant's libvirt plugin does not load: {said}"
