# SPDX-License-Identifier: Apache-2.0
"""Arms built in the server, and the record of what is there then.

An arm is built from an empty folder, its own sources and the shared ones, by an account that may
write in that folder alone (guest/build.sh). Only what a build left, as it left it, is ever loaded.
"""

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from testbed.edge.files.sources import checksums
from testbed.edge.guests.guest import SOURCES, Guest
from testbed.lab.guests.deploy import STAGED, Found, Wanted, placed, stamps_in
from testbed.lab.guests.hook import MOST_BYTES
from testbed.lab.guests.words import shortened
from testbed.model import arm as arm_manifest
from testbed.model.arm import Arm, placeholders
from testbed.model.config import Config
from testbed.model.deployed import PROGRAMS, Deployed, Part, leading_out, named, part_of
from testbed.model.errors import ArmError, ConfigError, GuestError, Wrecked
from testbed.model.nic import NICS, Nic

ENDED_BY_A_BOUND = 124
BOUNDED = "bounded: "
"""The exit status of guest/bounded.sh at a bound, and how its last line on stderr begins then."""
BUILD_LIMIT_S = 700
"""One build, the chowns around it included. That is no more than the last resort: bounded.sh ends
what does nothing, or too much, long before, and what works slowly only after 600 s."""
BUILD_MB = 200
"""The memory for one build to begin beside others: gcc takes 90 MB for a kernel module, and clang
as much again of the page cache."""
RESERVE_MB = 128
"""For the agent, SSH, and the kernel's own work meanwhile."""
FIRST_BUILDER = 59001
"""Accounts of nobody's that build, one for each arm of a command: none can write in another's
folder. Debian gives numbers up to 59999 to people, from 1000 upwards."""
Broken = Mapping[str, ArmError]
"""By the names of arms' folders, why those arms cannot be used."""


def build(
    server: Guest, arms: Sequence[Arm], config: Config, stamps: Mapping[str, str]
) -> dict[str, ArmError]:
    """Build arms in the server against its own kernel, each from its sources alone.

    By its stamp of `stamps`, one that the box has built already is taken from there.

    As many side by side as the server has CPUs and memory for. One that does not build leaves its
    predecessor in place and ends no other; it is returned with the compiler's words. Raises
    GuestError where the server does not answer. Then, as at Ctrl-C, builds that go on are ended.
    """
    if not arms:
        return {}
    at_once, megabytes = _room(server) if any(arm.commands.build for arm in arms) else (1, BUILD_MB)
    numbers = range(FIRST_BUILDER, FIRST_BUILDER + len(arms))
    pool = ThreadPoolExecutor(at_once)
    begun = {
        arm.folder: pool.submit(_build, server, arm, config, stamps[arm.folder], uid, megabytes)
        for arm, uid in zip(arms, numbers, strict=True)
    }
    try:
        outcomes = {name: future.result() for name, future in begun.items()}
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        server.close()  # the threads wait for builds that nobody waits for any more
        raise
    finally:
        pool.shutdown()
    return {name: error for name, error in outcomes.items() if error is not None}


def room_for(cpus: int, available_mb: int) -> tuple[int, int]:
    """Return how many builds run side by side, and the megabytes that each may take.

    A compiler fills a CPU: more of them than CPUs end no sooner, and need their memory all at once.
    Where memory is short there is one, which may have what there is.
    """
    free_mb = available_mb - RESERVE_MB
    at_once = max(1, min(cpus, free_mb // BUILD_MB))
    return at_once, max(BUILD_MB, free_mb // at_once)


def without_native_xdp(arms: Iterable[Arm], nic: Nic) -> dict[str, ArmError]:
    """Return the arms that want their program in the driver of a NIC whose driver runs none."""
    if nic.native_xdp:
        return {}
    others = " or ".join(f'"{other.model}"' for other in NICS.values() if other.native_xdp)
    return {
        arm.folder: ArmError(
            f"arm {arm.name} wants native XDP, and the driver {nic.driver} has no XDP",
            hint=f"set nic_model = {others} in testbed.toml, or load it in generic mode",
        )
        for arm in arms
        if arm.hook.startswith("xdp") and arm.expect.mode == "native"
    }


def demand_built(broken: Broken) -> None:
    """Raise ArmError when any arm cannot be used: all of them are told at once."""
    if broken:
        raise together(broken)


def together(broken: Broken) -> ArmError:
    """Return one error for those of several arms; one alone stays as it is."""
    errors = list(broken.values())
    if len(errors) == 1:
        return errors[0]
    hints = [error.hint for error in errors if isinstance(error, Wrecked)]
    return ArmError(
        f"{len(errors)} arms failed: {', '.join(broken)}",
        hint=hints[0] if hints else "why, and what each said, is above",
        detail="\n\n".join(f"--- {error.message}\n{error.detail}" for error in errors),
    )


def complete(
    known: Deployed, wanted: Wanted, found: Found, broken: Broken
) -> tuple[Deployed, dict[str, ArmError]]:
    """Return the record of a guest in which all that is wanted was put and built, and what was not.

    To the `broken` arms come those whose build changed its own sources or leads out of its folder.
    Raises GuestError when programs did not arrive as they were sent.
    """
    parts, errors = {}, dict(broken)
    for name, stamp in stamps_in(wanted, found.kernel).items():
        if name in broken:
            continue
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
        if (error := _not_kept(name, changed, leading_out(name, found.files))) is not None:
            errors[name] = error
            continue
        made = {path: sha for path, sha in there.items() if path not in pushed}
        parts[name] = Part(stamp, pushed, made)
    return Deployed({**known.parts, **parts}, found.files), errors


def _not_kept(name: str, changed: Sequence[str], outside: Sequence[str]) -> ArmError | None:
    if changed:
        return ArmError(
            f"arm {name}: its build changed its own sources: {named(changed)}",
            hint="a build may only add files: the arm has to be made from the recorded sources",
        )
    if outside:
        return ArmError(
            f"arm {name}: its build leads out of its folder: {named(outside)}",
            hint="copy the file into the folder: only its own files are recorded with the arm",
        )
    return None


def built(server: Guest, arms: Sequence[Arm]) -> list[Arm]:
    """Return the arms that this server can ever have loaded: those that were put there.

    `arms` have their manifests here. Arms that an earlier command brought from outside have theirs
    in the server.
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


def _room(server: Guest) -> tuple[int, int]:
    """Ask the server for its CPUs and its memory; return what `room_for` makes of them."""
    said = server.run_all([["nproc"], ["cat", "/proc/meminfo"]]).stdout
    found = re.search(r"\A(\d+)$.*^MemAvailable:\s+(\d+) kB$", said, re.MULTILINE | re.DOTALL)
    if found is None:
        raise GuestError(
            "the server does not tell its CPUs and memory",
            hint="`testbed ssh server 'nproc; cat /proc/meminfo'` shows what it says",
            detail=shortened(said),
        )
    return room_for(int(found[1]), int(found[2]) // 1024)


def _build(
    server: Guest, arm: Arm, config: Config, stamp: str, uid: int, megabytes: int
) -> ArmError | None:
    folder, staged = f"{SOURCES}/arms/{arm.folder}", f"{STAGED}/arms/{arm.folder}"
    commands = arm.resolve(arm.commands.build, placeholders(config.network, folder))
    steps = [["mkdir", "-p", staged]]  # an arm may be without a file that is a source
    if commands:
        line = " && ".join(shlex.join(argv) for argv in commands)
        made = ["sh", f"{SOURCES}/made.sh", stamp, staged]
        bounded = ["sh", f"{SOURCES}/bounded.sh", f"testbed-build-{arm.folder}", str(megabytes)]
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        script = ["sh", f"{SOURCES}/build.sh", arm.folder, staged, str(uid), line]
        steps += [["chown", "-R", f"{uid}:{uid}", staged], [*made, *bounded, *alone, *script],
                  ["chown", "-hR", "root:root", staged]]  # fmt: skip
    steps += [["rm", "-rf", folder], ["mv", staged, folder]]
    done = server.run_all(steps, check=False, timeout_s=BUILD_LIMIT_S, most_bytes=MOST_BYTES)
    if done.status == 0 and not done.cut:
        return None
    server.run(["rm", "-rf", staged], check=False)  # it may be what filled the disk
    words, last = (done.stderr or done.stdout).rstrip(), ""
    if done.cut:
        words, last = max(done.stdout, done.stderr, key=len), ": it printed more than 1 MiB"
    elif done.status == ENDED_BY_A_BOUND:
        words, _, bound = words.rpartition(BOUNDED)
        last = f": {bound}" if bound else ""
    return ArmError(
        f"arm {arm.name} does not build{last}",
        hint=f"its own words are above; sources: {arm.place}/",
        detail=shortened(words) or f"(it printed nothing; exit status {done.status})",
    )
