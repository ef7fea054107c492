# SPDX-License-Identifier: Apache-2.0
"""Arms built in the server, and the record of what is there then.

An arm is built from an empty folder, its own sources and the shared ones, by an account that may
write in that folder alone (guest/build.sh). Only what a build left, as it left it, is ever loaded.
"""

import shlex
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from testbed.edge.files.sources import checksums
from testbed.edge.guests.guest import SOURCES, Guest
from testbed.lab.guests.deploy import STAGED, Found, Wanted, placed, stamps_in
from testbed.model import arm as arm_manifest
from testbed.model.arm import Arm, placeholders
from testbed.model.config import Config
from testbed.model.deployed import PROGRAMS, Deployed, Part, leading_out, named, part_of
from testbed.model.errors import ArmError, ConfigError, GuestError, NoAnswer

BUILD_LIMIT_S = 600
FIRST_BUILDER = 59001
"""Accounts of nobody's that build, one for each arm of a command: none can write in another's
folder. Debian gives numbers up to 59999 to people, from 1000 upwards."""


def build(server: Guest, arms: Sequence[Arm], config: Config) -> None:
    """Build arms in the server against its own kernel, side by side, each from its sources alone.

    One that does not build leaves its predecessor in place. Raises ArmError with the compiler's
    words.
    """
    with ThreadPoolExecutor(len(arms) or 1) as pool:
        numbers = range(FIRST_BUILDER, FIRST_BUILDER + len(arms))
        list(pool.map(lambda arm, uid: _build(server, arm, config, uid), arms, numbers))


def complete(known: Deployed, wanted: Wanted, found: Found) -> Deployed:
    """Return the record of a guest in which all that is wanted was put and built.

    Raises ArmError for an arm whose build changed its own sources or leads out of its folder,
    GuestError when programs did not arrive as they were sent.
    """
    parts = {}
    for name, stamp in stamps_in(wanted, found.kernel).items():
        there = {path: sha for path, sha in found.files.items() if part_of(path) == name}
        if name == PROGRAMS:
            pushed = checksums(wanted.programs)
        else:
            pushed = checksums(placed(name, wanted.arms[name][1]))
        changed = [path for path, sha in pushed.items() if there.get(path) != sha]
        if changed and name == PROGRAMS:
            raise GuestError(
                f"sources did not arrive as they were sent: {named(changed)}",
                hint="run the command again; `testbed down --destroy` makes the machines anew",
            )
        _demand_kept(name, changed, leading_out(name, found.files))
        made = {path: sha for path, sha in there.items() if path not in pushed}
        parts[name] = Part(stamp, pushed, made)
    return Deployed({**known.parts, **parts}, found.files)


def _demand_kept(name: str, changed: Sequence[str], outside: Sequence[str]) -> None:
    if changed:
        raise ArmError(
            f"arm {name}: its build changed its own sources: {named(changed)}",
            hint="a build writes new files: what is measured has to be made from what is recorded",
        )
    if outside:
        raise ArmError(
            f"arm {name}: its build leads out of its folder: {named(outside)}",
            hint="copy the file: what lies elsewhere is not recorded with the arm",
        )


def built(server: Guest, arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms that this server can ever have loaded: those that were put there.

    Of `arms` by their manifests here; of those that an earlier command brought from outside by the
    manifest that lies there.
    """
    parts = server.deployed.parts if server.deployed else {}
    mine = [arm for arm in arms if arm.folder in parts]
    others = set(parts) - {PROGRAMS} - {arm.folder for arm in arms}
    return [*mine, *(arm for name in sorted(others) if (arm := _left_there(server, name)))]


def recorded(server: Guest, arms: Sequence[Arm]) -> dict[str, Any]:
    """Return what a run records of its arms.

    `sources`: a hash over all that they and the programs were made from. `built`: by the arms'
    folders, the SHA-256 of each file that a build made there.
    """
    deployed = server.deployed or Deployed()
    folders = list(dict.fromkeys(arm.folder for arm in arms))
    made = {
        name: {
            path.removeprefix(f"arms/{name}/"): sha
            for path, sha in sorted(deployed.parts[name].made.items())
        }
        for name in folders
    }
    return {"sources": deployed.stamp(folders), "built": made}


def _left_there(server: Guest, name: str) -> Arm | None:
    """Return the arm of a folder in the server; None when its manifest says nothing any more."""
    path = f"{SOURCES}/arms/{name}/arm.toml"
    try:
        return arm_manifest.parse(server.run(["cat", path], check=False).stdout, Path(path))
    except ConfigError:
        return None


def _build(server: Guest, arm: Arm, config: Config, uid: int) -> None:
    folder, staged = f"{SOURCES}/arms/{arm.folder}", f"{STAGED}/arms/{arm.folder}"
    commands = arm.resolve(arm.commands.build, placeholders(config.network, folder))
    steps = [["mkdir", "-p", staged]]  # an arm may be without a file that is a source
    if commands:
        line = " && ".join(shlex.join(argv) for argv in commands)
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        script = ["sh", f"{SOURCES}/build.sh", arm.folder, staged, str(uid), line]
        steps += [["chown", "-R", f"{uid}:{uid}", staged], [*alone, *script],
                  ["chown", "-hR", "root:root", staged]]  # fmt: skip
    steps += [["rm", "-rf", folder], ["mv", staged, folder]]
    try:
        server.run_all(steps, timeout_s=BUILD_LIMIT_S)
    except NoAnswer:
        raise  # the compiler said nothing against the arm
    except GuestError as error:
        raise ArmError(
            f"arm {arm.name} does not build",
            hint=f"the compiler's words are above; sources: {arm.place}/",
            detail=error.detail or error.message,
        ) from error
