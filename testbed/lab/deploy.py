# SPDX-License-Identifier: Apache-2.0
"""Sources and addresses into the guests: pushed and applied again only when they changed."""

import hashlib
import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from testbed.edge.guest import SOURCES, Guest
from testbed.edge.sources import add_to_hash
from testbed.model import arm as arm_manifest
from testbed.model.arm import Arm, placeholders
from testbed.model.config import Config, NetworkConfig
from testbed.model.errors import ArmError, ConfigError, GuestError, MachineError, NoAnswer

BUILD_LIMIT_S = 600
STAMP = ".testbed-stamp"
KERNEL = "/proc/sys/kernel/osrelease"


@dataclass(frozen=True)
class Found:
    """What a guest has: the stamps of its sources and of its built arms, its kernel and NIC."""

    sources: str
    arms: Mapping[str, str]
    kernel: str
    driver: str


def look(guest: Guest) -> Found:
    """Ask a guest what it has, in one round trip; what is not there is an empty text."""
    here, kernel, nic = (
        shlex.quote(path) for path in (SOURCES, KERNEL, "/sys/class/net/lab0/device/uevent")
    )
    line = f"grep -s '' {here}/{STAMP} {here}/arms/*/{STAMP} {kernel} {nic}"
    said = guest.shell(line, ["stamps, kernel, NIC"], check=False, timeout_s=60).stdout
    pairs = [(path, text) for path, _, text in (one.partition(":") for one in said.splitlines())]
    texts = dict(reversed(pairs))  # of a file with several lines, the first
    drivers = [text.removeprefix("DRIVER=") for _, text in pairs if text.startswith("DRIVER=")]
    arms = {
        path.split("/")[-2]: text
        for path, text in texts.items()
        if path.startswith(f"{SOURCES}/arms/")
    }
    return Found(
        texts.get(f"{SOURCES}/{STAMP}", ""), arms, texts.get(KERNEL, ""), "".join(drivers[:1])
    )


def push_sources(guest: Guest, checkout: Path, found: Found) -> None:
    """Give one guest today's sources, unless it has them; raises GuestError when that fails."""
    sources = checkout / "guest"
    stamp = source_stamp(sources)
    if found.sources != stamp:
        guest.push(sources, SOURCES)
        guest.write(f"{SOURCES}/{STAMP}", stamp)


def set_up(guest: Guest, config: Config, found: Found) -> None:
    """Give one guest its addresses, once its NIC is proved to be of the model that was asked for.

    Raises MachineError when it is not, GuestError when a step fails.
    """
    model = config.machines.nic_model
    expected = {"virtio": "virtio_net"}.get(model, model)
    if found.driver != expected:
        raise MachineError(
            f"{guest.role}: lab0 runs on the {found.driver or 'no'} driver, not {expected}",
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


def source_stamp(*folders: Path) -> str:
    """Return a hash over the sources below `folders`, without the box's recipe.

    Raises ArmError for a folder that cannot be sent.
    """
    digest = hashlib.sha256()
    for folder in folders:
        add_to_hash(digest, folder)
    return digest.hexdigest()


def stamp_of(checkout: Path, arms: Sequence[Arm]) -> str:
    """Return a hash over the guests' programs and the sources of arms, those from outside too."""
    outside = [arm.outside for arm in arms if arm.outside is not None]
    return source_stamp(checkout / "guest", *dict.fromkeys(outside))


def build_arms(
    server: Guest, arms: Sequence[Arm], checkout: Path, config: Config, found: Found
) -> Found:
    """Build arms in the server against its own kernel, side by side, unless that was done.

    Those from outside of guest/arms/ are pushed first. Returns what the server has then. Raises
    ArmError with the compiler's words.
    """
    needed = {arm.folder: arm for arm in arms if arm.commands.build or arm.outside}
    wanted = {name: f"{found.kernel} {_stamp(arm, checkout)}" for name, arm in needed.items()}
    todo = [arm for name, arm in needed.items() if found.arms.get(name) != wanted[name]]
    for arm in todo:  # in turn: each push uses the same file in the server
        if arm.outside is not None:
            server.run(["rm", "-rf", _folder(arm)])
            server.push(arm.outside, _folder(arm))
    with ThreadPoolExecutor(len(todo) or 1) as pool:
        list(pool.map(lambda arm: _build(server, arm, config, wanted[arm.folder]), todo))
    return replace(found, arms={**found.arms, **wanted})


def built(server: Guest, arms: Sequence[Arm], found: Found) -> list[Arm]:
    """Return the arms that this server can ever have loaded.

    Of `arms` those that are built, or need no build; and every arm that an earlier command brought
    from outside, by the manifest that it left there.
    """
    mine = [arm for arm in arms if not arm.commands.build or arm.folder in found.arms]
    others = set(found.arms) - {arm.folder for arm in arms}
    return [*mine, *(arm for name in sorted(others) if (arm := _left_there(server, name)))]


def _left_there(server: Guest, name: str) -> Arm | None:
    """Return the arm of a folder in the server; None when its manifest says nothing any more."""
    path = f"{SOURCES}/arms/{name}/arm.toml"
    try:
        return arm_manifest.parse(server.run(["cat", path], check=False).stdout, Path(path))
    except ConfigError:
        return None


def _folder(arm: Arm) -> str:
    return f"{SOURCES}/arms/{arm.folder}"


def _stamp(arm: Arm, checkout: Path) -> str:
    """Return a hash over what the arm is built from."""
    sources = checkout / "guest/arms"
    return source_stamp(sources / "include", arm.outside or sources / arm.folder)


def _build(server: Guest, arm: Arm, config: Config, stamp: str) -> None:
    folder = _folder(arm)
    commands = arm.resolve(arm.commands.build, placeholders(config.network, folder))
    try:
        if commands:
            server.run_all(commands, cwd=folder, timeout_s=BUILD_LIMIT_S)
    except NoAnswer:
        raise  # the compiler said nothing against the arm
    except GuestError as error:
        raise ArmError(
            f"arm {arm.name} does not build",
            hint=f"the compiler's words are above; sources: {arm.place}/",
            detail=error.detail or error.message,
        ) from error
    server.write(f"{folder}/{STAMP}", stamp)
