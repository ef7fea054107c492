# SPDX-License-Identifier: Apache-2.0
"""Whether GRO was in force on the server's NIC: the switch alone does not say so.

GRO gathers packets before IP, and verifies the UDP checksum of each (net/ipv4/udp_offload.c,
udp4_gro_receive()). While a generic XDP program is attached to a NIC the kernel leaves GRO out
there, whatever the switch says (net/core/dev.c, netif_elide_gro(): `dev->xdp_prog`, which is the
generic program alone). The receive call then verifies the checksum (net/ipv4/udp.c, udp_recvmsg()).
"""

from collections.abc import Mapping
from typing import Any

from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Arm, Run, Trial
from testbed.model.nic import INTERFACE

FEATURE = "generic-receive-offload"
GENERIC = 2
"""XDP_ATTACHED_SKB of <linux/if_link.h>, as `ip -j -d link` prints a program's mode."""


def switch(run: Run) -> str:
    """ "on", "off", "on in some trials" or "unknown": the switch on the NIC, by the trials' own
    readings (before.json) or, of an older run, by `ethtool -k` before the first trial."""
    said = {on for trial in run.trials if (on := _switched(trial)) is not None}
    if len(said) > 1:
        return "on in some trials"
    if said:
        return "on" if said.pop() else "off"
    feature = environment.fact(run, "server-before", "nics", INTERFACE, "features", FEATURE)
    return feature.split()[0]  # "off [fixed]"


def in_force(run: Run, arm: Arm) -> bool | None:
    """Whether the arm's packets went through GRO on the NIC; None where that is not known."""
    attached = {_generic_attached(trial) for trial in run.trials_of(arm.name)}
    on = switch(run)
    if on not in ("on", "off") or attached in (set(), {None}):
        return None
    return on == "on" and True not in attached


def in_words(run: Run) -> str:
    """GRO as it was in force, by arm; "" where nothing is known of it."""
    by_state: dict[bool | None, list[str]] = {}
    for arm in run.arms:
        by_state.setdefault(in_force(run, arm), []).append(arm.title)
    if switch(run) == "off":
        return "switched off, for every arm"
    if set(by_state) <= {None}:
        return ""
    heads = {
        True: "in force",
        False: "left out by the kernel (a generic XDP program is attached)",
        None: "not recorded",
    }
    return "; ".join(f"{heads[state]}: {', '.join(arms)}" for state, arms in by_state.items())


def _switched(trial: Trial) -> bool | None:
    known = trial.before.state.get("gro") if trial.before else None
    value = known.get(INTERFACE) if isinstance(known, Mapping) else None
    return value if isinstance(value, bool) else None


def _generic_attached(trial: Trial) -> bool | None:
    """By the kernel's own list of links; by the arm's word where that was not recorded."""
    links = trial.before.state.get("links") if trial.before else None
    of_root: Any = links.get("root") if isinstance(links, Mapping) else None
    for link in of_root if isinstance(of_root, list) else ():
        if isinstance(link, Mapping) and link.get("ifname") == INTERFACE:
            xdp = link.get("xdp")
            return isinstance(xdp, Mapping) and xdp.get("mode") == GENERIC
    return None if trial.mode is None else trial.mode == "generic"
