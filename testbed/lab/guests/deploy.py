# SPDX-License-Identifier: Apache-2.0
"""Sources and addresses into the guests.

A guest's files are listed with their checksums and held against the record of the files put and
built there. A part that is not of today's sources, or is not as it was recorded, is replaced as a
whole.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from testbed.edge.files.sources import Source, Sources, read_sources, stamp_of, tar_of
from testbed.edge.guests.guest import PUSHED, SOURCES, Guest
from testbed.model.arm import Arm
from testbed.model.config import Config, NetworkConfig
from testbed.model.deployed import PROGRAMS, SHARED, Deployed, Part, part_of
from testbed.model.errors import MachineError
from testbed.model.nic import INTERFACE, NICS

STAGED = "/opt/testbed/staged"
"""Where parts are unpacked, and arms built, before they take their places."""
KERNEL = "/proc/sys/kernel/osrelease"
BOXES = (PurePath("box"), PurePath("own-kernel"))
"""Folders of guest/ that only building the box reads."""
CHECKSUM = re.compile(r"([0-9a-f]{64})  (?:\./)?(.*)", re.DOTALL)
_NIC = f"/sys/class/net/{INTERFACE}/device/uevent"
# On a busy computer sshd answers before udev has loaded the NIC's driver and named the interface.
_DRIVER = (
    f"tries=150; until [ -e {_NIC} ] || [ $tries = 0 ]; do tries=$((tries - 1)); sleep 0.1; done; "
    f"grep -s ^DRIVER= {_NIC}"
)
_LOOK = (
    f"cd {SOURCES} 2>/dev/null && {{ find . -type f -exec sha256sum -z {{}} +; "
    "find . ! -type f ! -type d -printf '%y>%l\\0%P\\0'; }; "
    f"cat {KERNEL}; {_DRIVER}"
)
# A command that was killed leaves its build at work: it would take these sources for its own.
_END_BUILDS = (
    "{ for group in /sys/fs/cgroup/testbed-build-*/cgroup.kill; do "
    '[ ! -e "$group" ] || echo 1 > "$group"; done; }'
)
# Folders of arms stay until the arm itself is replaced: it may be loaded, and is unloaded by them.
_REPLACE_PROGRAMS = (
    f'for arm in {SOURCES}/arms/*/; do name=$(basename "$arm"); '
    f'if [ -d "$arm" ] && [ ! -e {STAGED}/programs/arms/"$name" ]; then '
    f'mv "$arm" {STAGED}/programs/arms/; fi; done && '
    f"rm -rf {SOURCES} && mv {STAGED}/programs {SOURCES} && python3 -m compileall -q -l {SOURCES}"
)


@dataclass(frozen=True)
class Found:
    """The state of a guest: its files by path with their SHA-256, its kernel and NIC.

    In place of a checksum `l>TARGET` stands for a link, `p>` and the like for other things.
    """

    files: Mapping[str, str]
    kernel: str
    driver: str


@dataclass(frozen=True)
class Wanted:
    """The files that the guests shall have, read once: programs, and arms by folder."""

    programs: Sources
    arms: Mapping[str, tuple[Arm, Sources]]
    left_out: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By an arm's folder, {name: why} of what is not sent."""

    @classmethod
    def read(cls, checkout: Path, arms: Sequence[Arm]) -> "Wanted":
        """Read today's sources.

        Raises ArmError for the folder of an arm that cannot be sent, HostError for guest/.
        """
        guest = checkout / "guest"
        programs = read_sources(guest, _is_no_program)
        folders = {arm.folder: arm for arm in arms}
        own = {
            name: read_sources(arm.outside or guest / "arms" / name)
            for name, arm in folders.items()
        }
        return cls(
            {name: one for name, one in programs.files.items() if part_of(name) == PROGRAMS},
            {name: (arm, own[name].files) for name, arm in folders.items()},
            {name: read.left_out for name, read in own.items()},
        )

    @property
    def shared(self) -> Sources:
        """Return the sources that every arm's build sees beside its own."""
        return {n: one for n, one in self.programs.items() if n.startswith(f"arms/{SHARED}/")}

    def stamps(self) -> dict[str, str]:
        """Return a hash over what each part is made from; an arm's includes the shared sources."""
        arms = {
            name: stamp_of({**self.shared, **placed(name, own)})
            for name, (_, own) in self.arms.items()
        }
        return {PROGRAMS: stamp_of(self.programs), **arms}

    def stamp(self) -> str:
        """Return a hash over all of it."""
        words = {name: Source(text.encode()) for name, text in self.stamps().items()}
        return stamp_of(words)


def look(guest: Guest) -> Found:
    """Ask a guest what it has, in one round trip (a quarter of a second, where it is emulated)."""
    words = ["look", SOURCES]
    *records, rest = guest.shell(_LOOK, words, check=False, timeout_s=60).stdout.split("\0")
    files, left = {}, iter(records)
    for record in left:
        if found := CHECKSUM.fullmatch(record):
            files[found[2]] = found[1]
        else:  # no file: what it is, and then its path
            files[next(left, "")] = record
    kernel, _, driver = rest.partition("\n")
    return Found(files, kernel, driver.strip().removeprefix("DRIVER="))


def lacking(wanted: Wanted, known: Deployed, found: Found) -> set[str]:
    """Return the parts that a guest does not have as they are today: never put, old or damaged."""
    bad = known.tampered(found.files)
    parts = {name: known.parts.get(name, Part()) for name in wanted.stamps()}
    stamps = stamps_in(wanted, found.kernel)
    return {
        name for name, part in parts.items()
        if part.stamp != stamps[name] or name in bad
    }  # fmt: skip


def push(guest: Guest, wanted: Wanted, parts: Iterable[str]) -> None:
    """Send parts, in one tar: programs take their place, arms wait in STAGED to be built.

    Raises GuestError when that fails.
    """
    names = set(parts)
    files = {
        path: source for name, (_, own) in wanted.arms.items() if name in names
        for path, source in placed(name, own).items()
    }  # fmt: skip
    steps = [_END_BUILDS, f"rm -rf {STAGED} && mkdir -p {STAGED}", f"tar -xzf {PUSHED} -C {STAGED}",
             f"rm {PUSHED}"]  # fmt: skip
    if PROGRAMS in names:
        files |= {f"programs/{name}": source for name, source in wanted.programs.items()}
        steps.append(_REPLACE_PROGRAMS)
    if names:
        guest.push(tar_of(files), " && ".join(steps))


def stamps_in(wanted: Wanted, kernel: str) -> dict[str, str]:
    """Return the stamps of the parts on a kernel, for which arms are built."""
    return {
        name: stamp if name == PROGRAMS else f"{kernel} {stamp}"
        for name, stamp in wanted.stamps().items()
    }


def _is_no_program(folder: PurePath) -> bool:
    """Whether a folder of guest/ is for the box alone, or an arm's: it may be huge, and not asked
    for.
    """
    return folder in BOXES or part_of(f"{folder.as_posix()}/file") != PROGRAMS


def placed(name: str, own: Sources) -> dict[str, Source]:
    """Return an arm's sources by their paths in a guest."""
    return {f"arms/{name}/{path}": source for path, source in own.items()}


def set_up(guest: Guest, config: Config, found: Found) -> None:
    """Give one guest its addresses, once its NIC is proved to be of the model that was asked for.

    Raises MachineError when it is not, GuestError when a step fails.
    """
    expected = NICS[config.machines.nic_model].driver
    if found.driver != expected:
        raise MachineError(
            f"{guest.role}: {INTERFACE} runs on the {found.driver or 'no'} driver, not {expected}",
            hint="`testbed down --destroy` and `testbed up` make the machines anew",
        )
    words = setup_arguments(guest.role, config.network)
    guest.run(["sh", f"{SOURCES}/setup/{guest.role}.sh", *words])


def setup_arguments(role: str, network: NetworkConfig) -> list[str]:
    """Return the arguments of guest/setup/<role>.sh; plain Vagrant runs it with the same."""
    if role == "server":
        own = f"{network.server_address}/{network.prefix_length}"
        return [own, network.gateway_address, network.target_address, network.namespace]
    own = f"{network.client_address}/{network.prefix_length}"
    return [own, network.server_address, network.target_address]
