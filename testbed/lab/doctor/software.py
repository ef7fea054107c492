# SPDX-License-Identifier: Apache-2.0
"""The programs that `./lab` installs: there, and recent enough?

`needed` is the release in which a documented feature appeared that is used here; below it nothing
works. `tried` is what the project is developed on (Debian 12); below it is a note.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from testbed.edge.hypervisor.provider import ASKED
from testbed.edge.hypervisor.vagrant import NO_ANSWER
from testbed.lab.doctor.diagnosis import Diagnosis, ok

Version = tuple[int, ...]
SETUP = "`./lab setup`"
IGB_SINCE: Version = (8, 0)
"""QEMU's igb: https://wiki.qemu.org/ChangeLog/8.0, "Networking"."""


@dataclass(frozen=True)
class Tool:
    """A program that tells its version."""

    name: str
    command: tuple[str, ...]
    package: str
    tried: Version
    needed: Version = ()
    why: str = ""


TOOLS = (
    Tool("vagrant", ("vagrant", "--version"), "vagrant", (2, 3, 4)),
    Tool(
        "qemu",
        ("qemu-system-x86_64", "--version"),
        "qemu-system-x86",
        (7, 2),
        (5, 1),
        "to read images packed with zstd",
    ),
    Tool(
        "qemu-img",
        ("qemu-img", "--version"),
        "qemu-utils",
        (7, 2),
        (5, 1),
        "to pack images with zstd",
    ),
    Tool("libvirt", ("virsh", "--version"), "libvirt-clients", (9, 0)),
    Tool(
        "mmdebstrap",
        ("mmdebstrap", "--version"),
        "mmdebstrap",
        (1, 3, 5),
        (0, 7),
        "for --format and the hooks",
    ),
    Tool(
        "mke2fs",
        ("mke2fs", "-V"),
        "e2fsprogs",
        (1, 47),
        (1, 43),
        "to fill a file system from a folder",
    ),
    Tool("setpriv", ("setpriv", "--version"), "util-linux", (2, 38), (2, 33), "for --reset-env"),
    Tool("ssh", ("ssh", "-V"), "openssh-client", (9, 2)),
)

SMALL_TOOLS = {
    "syslinux": "syslinux",
    "mcopy": "mtools",
    "mkfs.vfat": "dosfstools",
    "sfdisk": "fdisk",
    "newuidmap": "uidmap",
    "newgidmap": "uidmap",
    "ssh-keygen": "openssh-client",
}
"""Programs whose version does not matter, each with its package."""
DAEMONS = ("libvirtd", "virtqemud")
"""Either is libvirt's daemon for QEMU, by the release."""


def version_in(said: str) -> Version:
    """Return the first version number in a program's words, empty when there is none."""
    found = re.search(r"\d+(?:\.\d+)+", said)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def tool(one: Tool, said: str | None) -> Diagnosis:
    """Judge a tool by what it says of its version; `said` is None where it is not installed."""
    if said is None:
        return Diagnosis(one.name, "problem", "not installed", f"{SETUP} (package {one.package})")
    return _recent(one, version_in(said))


def _recent(one: Tool, version: Version) -> Diagnosis:
    if not version:
        return Diagnosis(
            one.name,
            "note",
            "there, but tells no version",
            f"`{' '.join(one.command)}` should print one: is it another program of that name?",
        )
    found = dotted(version)
    if version < one.needed:
        return Diagnosis(
            one.name,
            "problem",
            f"{found}; {dotted(one.needed)} is needed {one.why}",
            f"install a newer {one.package}; Debian 12 has {dotted(one.tried)}",
        )
    if version < one.tried:
        return Diagnosis(
            one.name,
            "note",
            f"{found}, older than what it was tried with",
            f"nothing, as long as it works; {dotted(one.tried)} is what it was tried with",
        )
    return ok(one.name, found)


def nic_model(model: str, qemu: Version) -> Diagnosis:
    """Judge whether this QEMU has the NIC that testbed.toml asks for."""
    if model == "igb" and qemu < IGB_SINCE:
        return Diagnosis(
            "nic_model",
            "problem",
            f"QEMU {dotted(qemu)} has no igb; it came with 8.0",
            'set nic_model = "e1000" in testbed.toml, or install a newer QEMU',
        )
    return ok("nic_model", model)


def counting(interface: int | None, why: str) -> Diagnosis:
    """Judge whether anything can be counted: the plugin interface, or why there is none."""
    if interface is None:
        return Diagnosis("counting", "note", why, "only exact counts need it: docs/counting.md")
    return ok("counting", f"QEMU's plugin interface {interface}")


def daemon(found: Sequence[str]) -> Diagnosis:
    """Judge which of libvirt's daemons are there."""
    if not found:
        missing = " or ".join(DAEMONS)
        return Diagnosis(
            "libvirt daemon", "problem", f"no {missing}", f"{SETUP} (package libvirt-daemon)"
        )
    return ok("libvirt daemon", found[0])


def provider(name: str, reason: str, *, installed: bool) -> Diagnosis:
    """Tell what makes the machines here; `installed`: whether there is a Vagrant at all."""
    if reason.startswith(NO_ANSWER):
        again = "`testbed doctor` again when this computer is less busy; `testbed up` waits longer"
        return Diagnosis("provider", "note", f"not known: {reason}", again)
    if name == "libvirt" and installed and reason != ASKED:
        return Diagnosis(
            "provider",
            "note",
            f"libvirt: {reason}",
            "nothing: libvirt alone does; to have Vagrant, install vagrant-libvirt again",
        )
    return ok("provider", f"{name}: {reason}")


def no_provider(why: str) -> Diagnosis:
    """Tell that the provider which testbed.toml asks for cannot be used."""
    fix = '`./lab --provider vagrant`; or set provider = "auto" in testbed.toml'
    return Diagnosis("provider", "problem", why, fix)


def plugin(version: str | None) -> Diagnosis:
    """Judge Vagrant's libvirt plugin by its version; None where it is not installed."""
    one = Tool("vagrant-libvirt", ("vagrant", "plugin", "list"), "vagrant-libvirt", (0, 11, 2))
    return tool(one, version)


def small_tools(missing: Mapping[str, str], files: Sequence[str]) -> Diagnosis:
    """Judge the small programs and files of the box's build; `missing` is {name: package}."""
    lost = [*missing, *files]
    if lost:
        packages = " ".join(dict.fromkeys(missing.values()))
        return Diagnosis(
            "image tools",
            "problem",
            f"not installed: {', '.join(lost)}",
            f"{SETUP} (packages {packages})" if packages else SETUP,
        )
    return ok("image tools", ", ".join(SMALL_TOOLS))


def dotted(version: Version) -> str:
    """Return a version as it is written."""
    return ".".join(str(part) for part in version)
