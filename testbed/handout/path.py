# SPDX-License-Identifier: Apache-2.0
"""The way of a packet through the topology, and which arm hooks into it where."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from testbed.model.arm import Arm

Place = Literal["client", "server", "namespace"]
ELSEWHERE = "elsewhere"


@dataclass(frozen=True, slots=True)
class Stage:
    """A station of a packet: a step of the network stack, or a place where a hook can be.

    `key` names the texts `stage.<key>` and, of a step, `detail.<key>`. `hooks` are the pairs of a
    manifest's `hook` and `expect.mode` that sit here; a mode of "" is any.
    """

    place: Place
    key: str
    hooks: tuple[tuple[str, str], ...] = ()

    @property
    def is_hook(self) -> bool:
        """Whether a program can be hooked in here."""
        return bool(self.hooks)


#: In the order in which a packet meets them (Linux 6.1: napi_gro_receive(),
#: __netif_receive_skb_core(), ip_rcv()).
STAGES = (
    Stage("client", "sender"),
    Stage("client", "client_nic"),
    Stage("server", "driver"),
    Stage("server", "native", (("xdp", "native"),)),
    Stage("server", "skb"),
    Stage("server", "gro"),
    Stage("server", "generic", (("xdp", "generic"),)),
    Stage("server", "tc", (("tc", ""),)),
    Stage("server", "ip"),
    Stage("server", "prerouting", (("netfilter", ""), ("nftables", ""), ("iptables", ""))),
    Stage("server", "forward"),
    Stage("server", "veth"),
    Stage("namespace", "veth_peer"),
    Stage("namespace", "udp"),
    Stage("namespace", "receiver"),
)
ALWAYS = ("native", "generic", "prerouting")
"""Places that are drawn without an arm in them, too: that there is none is worth knowing."""


def place_of(arm: Arm) -> str:
    """Return the key of the stage at which an arm sits; "" without a hook, or ELSEWHERE."""
    if arm.hook == "none":
        return ""
    for stage in STAGES:
        if any(arm.hook == hook and mode in ("", arm.expect.mode) for hook, mode in stage.hooks):
            return stage.key
    return ELSEWHERE


def arms_at(arms: Iterable[Arm]) -> Mapping[str, list[Arm]]:
    """Return the arms of each place of a hook."""
    found: dict[str, list[Arm]] = {}
    for arm in arms:
        found.setdefault(place_of(arm), []).append(arm)
    return found


def stages_for(arms: Iterable[Arm]) -> list[Stage]:
    """Return what is drawn: every step, and the places of hooks that matter here."""
    used = arms_at(arms)
    return [stage for stage in STAGES if not stage.is_hook or stage.key in {*ALWAYS, *used}]
