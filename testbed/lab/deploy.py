# SPDX-License-Identifier: Apache-2.0
"""Sources and addresses into the guests: pushed and applied again only when they changed."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from testbed.edge.guest import SOURCES, Guest
from testbed.edge.sources import is_source
from testbed.model import arm as arm_manifest
from testbed.model.arm import Arm, placeholders
from testbed.model.config import Config, NetworkConfig
from testbed.model.errors import ArmError, ConfigError, GuestError, MachineError

BUILD_LIMIT_S = 600
STAMP = ".testbed-stamp"


def push_sources(guest: Guest, checkout: Path) -> None:
    """Give one guest today's sources, unless it has them; raises GuestError when that fails."""
    sources = checkout / "guest"
    stamp = source_stamp(sources)
    there = guest.run(["cat", f"{SOURCES}/{STAMP}"], check=False).stdout.strip()
    if there != stamp:
        guest.push(sources, SOURCES)
        guest.write(f"{SOURCES}/{STAMP}", stamp)


def set_up(guest: Guest, config: Config) -> None:
    """Give one guest its addresses, and prove the model of its NIC.

    Raises GuestError when a step fails, MachineError when the NIC is not what was asked for.
    """
    words = setup_arguments(guest.role, config.network)
    guest.run(["sh", f"{SOURCES}/setup/{guest.role}.sh", *words])
    _prove_nic(guest, config.machines.nic_model)


def setup_arguments(role: str, network: NetworkConfig) -> list[str]:
    """Return the arguments of guest/setup/<role>.sh; plain Vagrant runs it with the same."""
    if role == "server":
        own = f"{network.server_address}/{network.prefix_length}"
        return [own, network.gateway_address, network.target_address, network.namespace]
    own = f"{network.client_address}/{network.prefix_length}"
    return [own, network.server_address, network.target_address]


def _prove_nic(guest: Guest, model: str) -> None:
    """Compare the driver inside the guest with the model in the configuration."""
    expected = {"virtio": "virtio_net"}.get(model, model)
    link = guest.run(["readlink", "/sys/class/net/lab0/device/driver"], check=False).stdout
    driver = link.strip().rpartition("/")[2] or "no"
    if driver != expected:
        raise MachineError(
            f"{guest.role}: lab0 runs on the {driver} driver, not {expected}",
            hint="`testbed down --destroy` and `testbed up` make the machines anew",
        )


def source_stamp(*folders: Path) -> str:
    """Return a hash over the sources below `folders`, without the box's recipe."""
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            if path.is_file() and relative.parts[0] != "box" and is_source(relative):
                digest.update(str(relative).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def stamp_of(checkout: Path, arms: Sequence[Arm]) -> str:
    """Return a hash over the guests' programs and the sources of arms, those from outside too."""
    outside = [arm.outside for arm in arms if arm.outside is not None]
    return source_stamp(checkout / "guest", *dict.fromkeys(outside))


def build_arms(server: Guest, arms: Sequence[Arm], checkout: Path, config: Config) -> None:
    """Build arms in the server against its own kernel, side by side, unless that was done.

    Those from outside of guest/arms/ are pushed first. Raises ArmError with the compiler's words.
    """
    todo = [arm for arm in arms if arm.commands.build or arm.outside]
    if not todo:
        return
    kernel = server.run(["uname", "-r"]).stdout.strip()
    for arm in todo:  # in turn: each push uses the same file in the server
        if arm.outside is not None and not _is_built(server, arm, checkout, kernel):
            server.run(["rm", "-rf", _folder(arm)])
            server.push(arm.outside, _folder(arm))
    with ThreadPoolExecutor(len(todo)) as pool:
        list(pool.map(lambda arm: _build(server, arm, checkout, config, kernel), todo))


def built(server: Guest, arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms that this server can ever have loaded.

    Of `arms` those that are built, or need no build; and every arm that an earlier command brought
    from outside, by the manifest that it left there.
    """
    line = f"cd {SOURCES}/arms && ls -d */{STAMP} 2>/dev/null || true"
    there = server.shell(line, ["ls", STAMP], check=True, timeout_s=30).stdout.split()
    folders = [name.removesuffix(f"/{STAMP}") for name in there]
    mine = [arm for arm in arms if not arm.commands.build or arm.folder in folders]
    others = set(folders) - {arm.folder for arm in arms}
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


def _wanted(arm: Arm, checkout: Path, kernel: str) -> str:
    """Return what the arm's stamp says when it is built from today's sources."""
    sources = checkout / "guest/arms"
    return f"{kernel} {source_stamp(sources / 'include', arm.outside or sources / arm.folder)}"


def _is_built(server: Guest, arm: Arm, checkout: Path, kernel: str) -> bool:
    stamp = server.run(["cat", f"{_folder(arm)}/{STAMP}"], check=False).stdout.strip()
    return stamp == _wanted(arm, checkout, kernel)


def _build(server: Guest, arm: Arm, checkout: Path, config: Config, kernel: str) -> None:
    if _is_built(server, arm, checkout, kernel):
        return
    folder = _folder(arm)
    commands = arm.resolve(arm.commands.build, placeholders(config.network, folder))
    try:
        if commands:
            server.run_all(commands, cwd=folder, timeout_s=BUILD_LIMIT_S)
    except GuestError as error:
        raise ArmError(
            f"arm {arm.name} does not build",
            hint=f"the compiler's words are above; sources: {arm.place}/",
            detail=error.detail or error.message,
        ) from error
    server.write(f"{folder}/{STAMP}", _wanted(arm, checkout, kernel))
