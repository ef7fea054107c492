# SPDX-License-Identifier: Apache-2.0
"""The content of the saved counting machine: sources, addresses, built arms, a receiver.

All of it is put in before the state is saved, so that a count begins two seconds after its command.
"""

import shlex
from typing import Any

from testbed.edge.guests.guest import SOURCES, Guest
from testbed.lab.guests import building, deploy
from testbed.lab.guests.deploy import Wanted
from testbed.model.config import Config, NetworkConfig
from testbed.model.deployed import PROGRAMS, Deployed

RECEIVER = "/opt/testbed/receiver"
FOLDER = "/run/testbed-count"
BUILD_LIMIT_S = 120


def holds(wanted: Wanted, config: Config, before: Any) -> dict[str, Any]:
    """Return what a machine must hold for these arms; `before` is what it held, and may hold more.

    Arms that it has and that are not asked for are kept while the programs are the same.
    """
    stamps = wanted.stamps()
    same: dict[str, Any] = {
        "sources": stamps.pop(PROGRAMS),
        "network": config.network.model_dump(mode="json"),
    }
    old = before if isinstance(before, dict) else {}
    kept = old.get("arms", {}) if all(old.get(name) == same[name] for name in same) else {}
    return {**same, "arms": {**kept, **stamps}}


def lacking(wanted: Wanted, config: Config, before: Any) -> Wanted:
    """Return what of it a machine does not hold yet, which held `before`."""
    held, now = holds(wanted, config, before), wanted.stamps()
    old = before if isinstance(before, dict) else {}
    if any(old.get(name) != held[name] for name in ("sources", "network")):
        return wanted
    arms = old.get("arms", {})
    new = {name: one for name, one in wanted.arms.items() if arms.get(name) != now[name]}
    return Wanted({}, new)


def prepare(guest: Guest, wanted: Wanted, config: Config) -> None:
    """Give it all of that. Raises ArmError, GuestError, MachineError as `deploy` does."""
    found = deploy.look(guest)
    deploy.push(guest, wanted, [*wanted.arms, *([PROGRAMS] if wanted.programs else [])])
    deploy.set_up(guest, config, found)
    arms = [arm for arm, _ in wanted.arms.values()]
    broken = building.build(guest, arms, config, wanted.stamps())
    _, broken = building.complete(Deployed(), wanted, deploy.look(guest), broken)
    building.demand_built(broken)
    start_receiver(guest, config)


def start_receiver(guest: Guest, config: Config) -> None:
    """Build and start the receiver, in place of one that runs; it waits in the saved state."""
    network, words = config.network, [shlex.quote(word) for word in (RECEIVER, FOLDER)]
    receiver, folder = words
    line = " ".join(
        shlex.quote(word)
        for word in ("ip", "netns", "exec", network.namespace, RECEIVER, network.target_address,
                     str(network.target_port), f"{FOLDER}/ready")
    )  # fmt: skip
    guest.shell(
        f"pkill -x receiver; rm -rf {folder}; mkdir -p {folder} && mkfifo {folder}/ready && "
        f"gcc -O2 -Wall -Wextra -Wvla -o {receiver} {shlex.quote(SOURCES)}/receiver.c && "
        f"{{ setsid {line} </dev/null >{folder}/said 2>&1 & }} && timeout 30 cat {folder}/ready",
        ["build and start the receiver"], check=True, timeout_s=BUILD_LIMIT_S,
    )  # fmt: skip


def neighbour_anew(guest: Guest, network: NetworkConfig) -> None:
    """Give packets a neighbour to be forwarded to whose entry is new and never goes stale.

    New, so it is the first of its chain: the table's hash differs in every boot, and one step more
    takes 5 instructions. Were it learned, the namespace would learn one of its own from the
    question, into the same table. Raises GuestError when the kernel refuses it.
    """
    place = "/sys/class/net/sslab-app/address"
    mac = guest.run(["ip", "netns", "exec", network.namespace, "cat", place]).stdout.strip()
    neighbours, outside = ["ip", "neigh"], ["dev", "sslab-host"]
    guest.run_all([
        [*neighbours, "flush", *outside, "nud", "all"],
        [*neighbours, "replace", network.target_address, "lladdr", mac, *outside,
         "nud", "permanent"],
    ])  # fmt: skip


def received(guest: Guest) -> str:
    """End the receiver and return what it counted, as it printed it."""
    folder = shlex.quote(FOLDER)
    line = (
        f"pkill -x receiver; for i in 1 2 3 4 5 6 7 8 9 10; do test -s {folder}/said && break; "
        f"sleep 0.1; done; cat {folder}/said"
    )
    return guest.shell(line, ["receiver"], check=True, timeout_s=30).stdout.strip()
