# SPDX-License-Identifier: Apache-2.0
"""What client and server of a synthetic trial recorded: how far packets came, and when."""

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tests.unit.factories.run_factory_counters import (
    PACKETS_PER_INTERRUPT,
    Passage,
    client_counters,
    network_at,
)
from tests.unit.factories.run_factory_cpu import Snaps
from tests.unit.factories.run_factory_sample import drawing

if TYPE_CHECKING:
    from tests.unit.factories.run_factory import RunRecipe

BOOT_UTC_NS = 1_765_000_000_000_000_000 - 600_000_000_000
IDLE_S = 1.0
S = 1_000_000_000
COST_US = {
    "none": 295.0,
    "netfilter": 315.0,
    "xdp": 321.0,
    "netfilter-logging": 365.0,
    "xdp-bounded-csum": 250.0,
}


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A trial's place in the plan, its arm's manifest, and when mpstat starts (guest's clock)."""

    block: int
    position: int
    manifest: dict[str, Any]
    clock_ns: int

    @property
    def arm(self) -> str:
        return str(self.manifest["name"])

    @property
    def has_hook(self) -> bool:
        """Is there a hook that rewrites this trial's packets?"""
        return self.manifest["hook"] != "none" and not self.is_unmatched

    @property
    def is_unmatched(self) -> bool:
        return (self.manifest["control"] or {}).get("kind") == "unmatched"


@dataclass(frozen=True, kw_only=True)
class Times:
    """Moments on the guests' clock, in ns; CPU time in seconds."""

    idle: int
    idle_end: int
    start: int
    sending: int
    sent: int
    end: int
    idle_rate: float
    busy_s: float

    @property
    def wall_s(self) -> float:
        return (self.end - self.start) / S


def passage_of(recipe: "RunRecipe", turn: Turn) -> Passage:
    """Lost are: at the link, or after a hook that counted more, or for a checksum or buffer."""
    offered, arm = recipe.offered, turn.arm
    csum, rcvbuf = recipe.csum_errors.get(arm, 0), recipe.rcvbuf_errors.get(arm, 0)
    share = recipe.delivered_share.get(arm)
    unique = max(0, offered - csum - rcvbuf) if share is None else round(offered * share)
    inside = min(offered, unique + csum + rcvbuf)
    hits = round(offered * recipe.hits_share.get(arm, 0.0))
    return Passage(
        at_link=max(inside, min(offered, hits)),
        inside=inside,
        unique=unique,
        csum_errors=csum,
        rcvbuf_errors=rcvbuf,
    )


def times_of(recipe: "RunRecipe", rng: random.Random, turn: Turn, passage: Passage) -> Times:
    sending_s = recipe.duration_s * (1 + rng.uniform(0, 0.002))
    cost_us = recipe.cost_us.get(turn.arm, COST_US.get(turn.arm, 300.0))
    cost_us *= rng.gauss(1, recipe.spread)
    idle_rate = 0.02 + rng.uniform(0, 0.01)
    idle_end = turn.clock_ns + 400_000_000 + int(IDLE_S * S)
    start = idle_end + 250_000_000
    sending = start + 4_000_000
    sent = sending + int(sending_s * S)
    wall_s = sending_s + 0.006
    return Times(
        idle=turn.clock_ns + 400_000_000,
        idle_end=idle_end,
        start=start,
        sending=sending,
        sent=sent,
        end=start + int(wall_s * S),
        idle_rate=idle_rate,
        busy_s=max(passage.unique, recipe.offered * 0.3) * cost_us / 1e6 + idle_rate * wall_s,
    )


def server_document(
    recipe: "RunRecipe", rng: random.Random, turn: Turn, p: Passage, t: Times, token: str
) -> dict[str, Any]:
    snaps = Snaps(recipe.cpu_count, rng, BOOT_UTC_NS)
    interrupts = round((p.at_link + 1) / PACKETS_PER_INTERRUPT * (1 + rng.uniform(-0.03, 0.03)))
    idle_before = snaps.at(t.idle, busy_s=0.0)
    idle_after = snaps.at(t.idle_end, busy_s=t.idle_rate * IDLE_S)
    before = snaps.at(t.start, busy_s=0.006, interrupts=1)
    after = snaps.at(t.end, busy_s=t.busy_s, interrupts=interrupts + 1)
    at_start, at_end = Passage(toward=1), with_control(p, 2, 1)
    trial = {
        "trial": 1, "token": token, "peer": f"192.168.64.7:{9999 + turn.block}",
        "planned": recipe.offered, "offered": recipe.offered, "received": p.unique,
        "unique": p.unique, "duplicates": 0, "reordered": 0, "lost": recipe.offered - p.unique,
        "foreign": 0, "bytes": p.unique * 1000,
        "started_monotonic_ns": t.start + 200_000, "ended_monotonic_ns": t.end - 200_000,
        "first_data_monotonic_ns": t.sending + 400_000 if p.unique else None,
        "last_data_monotonic_ns": t.sent + 400_000 if p.unique else None,
        "duration_ms": round(t.wall_s * 1e3 - 0.4, 2),
        "socket_drops": p.rcvbuf_errors + p.csum_errors, "answers_sent": 1,
        "cpu_ns": int(0.55 * t.wall_s * S),
        "network": {"before": network_at(recipe.cpu_count, at_start),
                    "after": network_at(recipe.cpu_count, at_end)},
        "before": before, "after": after,
    }  # fmt: skip
    return {
        "schema": 1, "complete": True, "python": "3.11.2", "host": "10.0.1.2", "port": 8083,
        "idle_window": {"before": idle_before, "after": idle_after}, "rcvbuf_bytes": 33_554_432,
        "trials": [trial], "sample": drawing(p.inside, recipe.offered),
    }  # fmt: skip


def with_control(p: Passage, toward: int, back: int) -> Passage:
    return replace(p, toward=toward, back=back)


def control_sent_of(recipe: "RunRecipe") -> int:
    """START, END (as often as it takes to make this many), CLOSE."""
    return 3 if recipe.control_sent is None else recipe.control_sent


def client_document(
    recipe: "RunRecipe", rng: random.Random, turn: Turn, p: Passage, t: Times, token: str
) -> dict[str, Any]:
    control, at_start, at_end = control_sent_of(recipe), t.start - S // 20, t.end + S // 25
    gap_us = recipe.duration_s / recipe.offered * 1e6
    trial = {
        "trial": 1, "token": token, "source_port": 9999 + turn.block, "seed": rng.getrandbits(31),
        "rate_pps": recipe.offered / recipe.duration_s, "payload_bytes": 1000, "jitter": 0.1,
        "max_burst": 16, "spin_us": 100, "planned": recipe.offered, "offered": recipe.offered,
        "send_errors": {}, "started_monotonic_ns": t.sending, "ended_monotonic_ns": t.sent,
        "started_utc_ns": BOOT_UTC_NS + t.sending, "ended_utc_ns": BOOT_UTC_NS + t.sent,
        "duration_ms": round((t.sent - t.sending) / 1e6, 2),
        "achieved_pps": round(recipe.offered / (t.sent - t.sending) * S, 1),
        "gap_us": {"mean": gap_us, "sd": 0.061 * gap_us, "p50": 0.998 * gap_us,
                   "p99": 1.204 * gap_us, "max": 4.12 * gap_us,
                   "histogram": {"edges_us": [0, 50, 100, 200], "counts": [3, 6990, 7007]}},
        "late_sends": 12, "tick_lock": {"100": 0.061, "250": 0.043, "1000": 0.052},
        "start_attempts": 1, "end_attempts": control_sent_of(recipe) - 2, "acknowledged": True,
        "server": {"received": p.unique, "unique": p.unique, "duplicates": 0, "reordered": 0,
                   "duration_ms": round(t.wall_s * 1e3 - 0.4, 2)},
        "counters": {"before": client_counters(at_start, 0, 0, 0),
                     "after": client_counters(at_end, recipe.offered, control, 2)},
        "succeeded": p.unique >= 0.99 * recipe.offered,
    }  # fmt: skip
    if recipe.control_sent is not None:
        trial["control_sent"] = recipe.control_sent
    return {
        "schema": 1, "complete": True, "python": "3.11.2", "host": "192.168.64.2", "port": 8080,
        "trials": [trial],
    }  # fmt: skip
