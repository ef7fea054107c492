# SPDX-License-Identifier: Apache-2.0
"""The verbs of the two machines and their box."""

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

from testbed.edge.computer import host
from testbed.edge.files.source_folder import told
from testbed.edge.guests.guest import Guest
from testbed.edge.output import journal
from testbed.lab.guests import building, deploy
from testbed.lab.guests.deploy import Wanted
from testbed.lab.kernels.own_kernel import package_of
from testbed.lab.machines import kvm_lost
from testbed.lab.machines.box import Box
from testbed.lab.machines.project import ROLES
from testbed.model import arm as arm_manifest
from testbed.model.arm import BASELINE, FAIR, Arm
from testbed.model.deployed import Part, named
from testbed.model.errors import ArmError, MachineError, UsageError
from testbed.model.run_files import LOG
from testbed.verbs.lab import Lab, print_json
from testbed.verbs.upkeep.lab_folder import demand_packages


def up(lab: Lab, *, dry_run: bool = False, provider: str | None = None) -> None:
    """Bring both machines up, set up and with the fair arms built; or print what that would do.

    `provider` is in place of what `testbed.toml` says.
    """
    if provider is not None:
        lab = replace(lab, configured=lab.config.with_provider(provider))
    if dry_run:
        planned = lab.machines.planned(_stamp(lab, fair_sources(lab)))
        for line in planned or ["nothing: both machines run, set up"]:
            print(line)
        return
    with lab.alone("up"):
        wanted = fair_sources(lab)
        tell_left_out(lab, wanted)
        if lab.machines.boxes.find() is None:
            demand_packages()
        bring_up(lab, wanted)


def fair_sources(lab: Lab) -> Wanted:
    """Read what `up` puts into the machines: the programs, the baseline and the fair arms."""
    return Wanted.read(lab.checkout, arm_manifest.choose(lab.arms_dir, [BASELINE, *FAIR]))


def sources_of(lab: Lab, arms: Sequence[Arm]) -> Wanted:
    """Read the programs, the baseline and `arms`; say what of their folders is not sent, and why.

    Raises ArmError for one that cannot be sent, before anything is asked of the machines.
    """
    wanted = Wanted.read(lab.checkout, [arm_manifest.load(lab.arms_dir / BASELINE), *arms])
    tell_left_out(lab, wanted)
    return wanted


def bring_up(lab: Lab, wanted: Wanted) -> None:
    """Do what `up` does, for one that holds the lock and has read the sources already."""
    machines, stamp = lab.machines, _stamp(lab, wanted)

    def ready(guest: Guest) -> None:
        building.demand_built(prepare(lab, guest, wanted))

    kvm_lost.retried(machines, lambda: machines.up(ready, stamp))


def _stamp(lab: Lab, wanted: Wanted) -> dict[str, Any]:
    """Return what decides whether running machines are set up already."""
    return {
        "sources": wanted.stamp(),
        "setup": {role: deploy.setup_arguments(role, lab.config.network) for role in ROLES},
        "arms": [arm.name for arm, _ in wanted.arms.values()],
    }


def prepare(lab: Lab, guest: Guest, wanted: Wanted, *, agent: bool = False) -> dict[str, ArmError]:
    """Give one guest its sources, an agent where that is asked for, and addresses.

    The server gets its arms, too. A file that was changed there since the last command is put anew,
    and named. Returns the arms that cannot be used, by their folders, each with the reason. Raises
    GuestError, MachineError.
    """
    project, role, doing = lab.machines.project, guest.role, lab.terminal.doing
    if role != "server":
        wanted = Wanted(wanted.programs, {})
    doing("sources", role)
    found = deploy.look(guest)
    known = project.deployed(role).still_there(found.files)
    bad = known.tampered(found.files)
    for changed in bad.values():
        lab.terminal.warn(
            f"{role}: not as it was put there: {named(changed)}; replaced before it is used"
        )
    parts = deploy.lacking(wanted, known, found)
    known = known.with_parts(dict.fromkeys({*bad, *parts}, Part()))
    project.note_deployed(role, known)  # until it is whole, nobody knows what is there
    deploy.push(guest, wanted, parts)
    if agent:
        guest.start_agent()
    doing("addresses", role)
    deploy.set_up(guest, lab.config, found)
    if role == "server":
        doing("builds arms", role)
    arms = [arm for name, (arm, _) in wanted.arms.items() if name in parts]
    broken = building.build(guest, arms, lab.config, wanted.stamps())
    if parts:
        found = deploy.look(guest)
    guest.deployed, broken = building.complete(known, wanted, found, broken)
    project.note_deployed(role, guest.deployed)
    doing("", role)
    return broken


def tell_left_out(lab: Lab, wanted: Wanted) -> None:
    """Say what of the folders of arms does not go into the machines, and why."""
    for name, left_out in wanted.left_out.items():
        for line in told(left_out, expected=False):
            lab.terminal.warn(f"arm {name}, not sent: {line}")
        for line in told(left_out, expected=True):
            lab.terminal.say(f"arm {name}, not sent: {line}")


def down(lab: Lab, how: Literal["save", "halt", "destroy"]) -> None:
    """Save both machines to disk, shut them down, or remove them and all they left."""
    with lab.alone("down"):
        lab.machines.down(how)


def ssh(lab: Lab, role: str, command: list[str]) -> int:
    """Run ssh to one machine as root; return its exit status."""
    settings = _settings(lab, role)
    argv = [
        host.find("ssh", package="openssh-client"), "-q", "-i", settings["private_key"],
        "-p", str(settings["machines"][role]["ssh_port"]), "-o", "IdentitiesOnly=yes",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "root@127.0.0.1",
    ]  # fmt: skip
    words = command[1:] if command[:1] == ["--"] else command
    line = words if len(words) < 2 else [shlex.join(words)]  # one word is a line, as with ssh
    whole = [*argv, *line]
    journal.on_host(whole)
    return subprocess.call(whole)


def vagrant(lab: Lab, arguments: Sequence[str]) -> int:
    """Run plain vagrant on these machines; return its exit status."""
    settings = lab.machines.project.settings()
    if settings is None:
        raise MachineError("there are no machines yet", hint="run `testbed up` first")
    if settings["command"] is None:
        raise MachineError(
            "these machines were made by libvirt alone: Vagrant does not know them",
            hint="`testbed ssh server` opens one; `testbed up --provider vagrant` makes them anew",
        )
    argv = [*settings["command"], *arguments]
    journal.on_host(argv)
    return subprocess.call(argv)


def logs(lab: Lab) -> None:
    """Print the logs that an earlier `up` and the latest run left, each with its last lines."""
    project, run = lab.machines.project.path, lab.results / "latest"
    for path in (*sorted(project.glob("*.log")), *run.resolve().glob(LOG)):
        print(f"==> {path}")
        print("\n".join(path.read_text(errors="replace").splitlines()[-10:]))


def box_build(lab: Lab) -> None:
    """Build the box of today's recipe, unless it is there; print where it is."""
    with lab.alone("box build"):
        print(lab.machines.boxes.build(lab.terminal).box)


def box_show(lab: Lab, *, as_json: bool) -> None:
    """Print what the box is."""
    box = lab.machines.boxes.find()
    if box is None:
        raise MachineError("the box is not built", hint="`testbed box build` builds it")
    facts = {"name": box.name, "file": str(box.box), "megabytes": round(box.size_bytes / 1e6),
             "built": box.built_utc, "kernel": box.kernel, **_kernel_package(box),
             "sha256": box.sha256, "packages": str(box.packages)}  # fmt: skip
    if as_json:
        print_json({"box": facts})
        return
    for name, value in facts.items():
        print(f"{name:<10} {value}")


def _kernel_package(box: Box) -> dict[str, str]:
    """Return the package that the kernel is from; its SHA-256 where it is one's own."""
    found = package_of(box.folder, box.kernel)
    if found is None:
        return {}
    own = f", sha256 {found.sha256}" if found.sha256 else ""
    return {"package": f"{found.package} {found.version}{own}"}


def box_remove(lab: Lab) -> None:
    """Delete every box of this account, wherever Vagrant and libvirt keep a copy."""
    with lab.alone("box remove"):
        for path in lab.machines.remove_boxes():
            print(f"removed {path}")


def _settings(lab: Lab, role: str) -> dict[str, Any]:
    if role not in ROLES:
        raise UsageError(f"there is no machine {role!r}", hint="the machines: client, server")
    settings: dict[str, Any] | None = lab.machines.project.settings()
    if settings is None or lab.machines.states()[role] != "running":
        raise MachineError(f"the {role} is not up", hint="run `testbed up` first")
    return settings
