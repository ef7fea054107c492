# SPDX-License-Identifier: Apache-2.0
"""Every file of one synthetic trial: raw/<block>-<arm>/."""

import json
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.unit.factories.run_factory_counters import Passage, snapshot
from tests.unit.factories.run_factory_cpu import HOST_AHEAD_NS, host_reading, mpstat
from tests.unit.factories.run_factory_programs import (
    BOOT_UTC_NS,
    IDLE_S,
    S,
    Times,
    Turn,
    client_document,
    control_sent_of,
    passage_of,
    server_document,
    times_of,
    with_control,
)
from tests.unit.factories.run_factory_sample import write_sample
from tests.unit.factories.run_factory_state import meminfo

if TYPE_CHECKING:
    from tests.unit.factories.run_factory import RunRecipe

SETTLE_S, DRAIN_S = 0.5, 0.3


def write_trial(root: Path, recipe: "RunRecipe", rng: random.Random, turn: Turn) -> None:
    passage = passage_of(recipe, turn)
    times = times_of(recipe, rng, turn, passage)
    folder = root / f"raw/{turn.block:02d}-{turn.arm}"
    token = f"{rng.getrandbits(64):016x}"
    documents = {
        "server": server_document(recipe, rng, turn, passage, times, token),
        "client": client_document(recipe, rng, turn, passage, times, token),
        "trial": _trial(turn, times),
        "host": _host(recipe, turn, passage, times),
        "mpstat": mpstat(
            rng,
            (turn.clock_ns, times.start, times.end),
            BOOT_UTC_NS + turn.clock_ns + recipe.mpstat_delay_ns,
            recipe.cpu_count,
            times.busy_s / times.wall_s,
        ),
        **_hooks(recipe, turn, passage),
        **_snapshots(recipe, turn, passage, times),
    }
    folder.mkdir(parents=True)
    for name, document in documents.items():
        text = json.dumps(document) + "\n"  # indented, it takes five times as long
        (folder / f"{name}.json").write_text(text, encoding="utf-8")
    write_sample(folder, documents["client"], passage.inside)
    log = _kernel_log(recipe, recipe.log_lines.get(turn.arm, 0), times.start)
    (folder / "kernel-log.jsonl").write_text(log, encoding="utf-8")
    words = "Succeed with" if passage.unique >= 0.99 * recipe.offered else "Failed:"
    (folder / "client.txt").write_text(f"Trial {turn.block}: {words} {times.wall_s * 1e3:.2f} ms\n")
    (folder / "server.txt").write_text(f"START\nEND {passage.unique} packets\n")


def _trial(turn: Turn, t: Times) -> dict[str, Any]:
    moments = {
        "load": turn.clock_ns - S * 8 // 5,
        "settle": turn.clock_ns - S // 2,
        "idle": turn.clock_ns - S // 20,
        "traffic": t.idle_end + S // 10,
        "counters after": t.end + S // 5,
        "collect": t.end + S,
        "undo": t.end + S * 6 // 5,
        "end": t.end + S * 8 // 5,
    }
    return {
        "schema": 1,
        "block": turn.block,
        "position": turn.position,
        "arm": turn.arm,
        "trial": turn.block,
        "warm_up": False,
        "probe": False,
        "source_port": 9999 + turn.block,
        "destination": "192.168.64.2:8080" if turn.has_hook else "10.0.1.2:8083",
        "client_status": 0,
        "mpstat_started_utc_ns": BOOT_UTC_NS + turn.clock_ns,
        "windows_s": {"settle": SETTLE_S, "idle": IDLE_S, "drain": DRAIN_S},
        "timeline": [
            {"event": event, "utc_ns": BOOT_UTC_NS + ns, "host_monotonic_ns": HOST_AHEAD_NS + ns}
            for event, ns in moments.items()
        ],
        "meminfo": {"load": meminfo(13_180), "gone": meminfo(13_240)},
        "error": None,
    }


def _host(recipe: "RunRecipe", turn: Turn, p: Passage, t: Times) -> dict[str, Any]:
    first, traffic, end = turn.clock_ns, t.idle_end + S // 10, t.end + S // 10
    idle_s = t.idle_rate * (traffic - first) / S
    lost, cpus = recipe.offered - p.at_link, {"client": 1, "server": recipe.cpu_count}
    used = {
        "idle": (first, {"client": 0.0, "server": 0.0}, 0),
        "traffic": (traffic, {"client": 0.01, "server": idle_s}, 0),
        "end": (end, {"client": 0.01 + 0.9 * t.wall_s, "server": idle_s + t.busy_s}, lost),
    }
    return {
        "schema": 1,
        "readings": {
            moment: host_reading(at, BOOT_UTC_NS + at, cpus, cpu_s, (at - first) / S, drops)
            for moment, (at, cpu_s, drops) in used.items()
        },
        "clocks": {
            name: {
                "host_monotonic_ns": [HOST_AHEAD_NS + at - S // 10, HOST_AHEAD_NS + at + S // 50],
                "guest_uptime_s": round(at / S, 2),
            }
            for name, at in _snapshot_times(turn, t).items()
        },
    }


def _snapshot_times(turn: Turn, t: Times) -> dict[str, int]:
    return {"before": turn.clock_ns - 900_000_000, "after": t.end + 300_000_000}


def _hooks(recipe: "RunRecipe", turn: Turn, p: Passage) -> dict[str, Any]:
    """hook-before and hook-after; a mode that the recipe sets is what verify found."""
    mode = recipe.mode.get(turn.arm, turn.manifest["expect"]["mode"])
    verify = {"mode": mode, **turn.manifest["facts"]}
    count: int | None = 0
    if turn.manifest["hook"] == "none":
        count = recipe.hits_of_none or None
    elif turn.has_hook:
        share = recipe.hits_share.get(turn.arm)
        rewritten = p.at_link if share is None else round(recipe.offered * share)
        count = rewritten + control_sent_of(recipe)

    def state(hits: int | None) -> dict[str, Any]:
        per_cpu = None if count is None else [hits, *[0] * (recipe.cpu_count - 1)]
        return {"verify": verify, "hits": per_cpu, "problem": None}

    return {"hook-before": state(0), "hook-after": state(count)}


def _snapshots(recipe: "RunRecipe", turn: Turn, p: Passage, t: Times) -> dict[str, Any]:
    at = _snapshot_times(turn, t)
    module = turn.manifest["facts"].get("module")
    same = {
        "mode": recipe.mode.get(turn.arm, turn.manifest["expect"]["mode"]),
        "modules": [module] if module else [],
    }
    logged = recipe.log_lines.get(turn.arm, 0)
    passages = {"before": Passage(), "after": with_control(p, control_sent_of(recipe), 2)}
    return {
        name: snapshot(
            at[name],
            BOOT_UTC_NS + at[name],
            recipe.cpu_count,
            passages[name],
            same | {"kmsg_sequence": 899 + (logged if name == "after" else 0)},
        )
        for name in ("before", "after")
    }


def _kernel_log(recipe: "RunRecipe", logged: int, start_ns: int) -> str:
    records = [
        {"seq": 900 + i, "monotonic_us": start_ns // 1000 + 50 * i, "level": 6,
         "text": recipe.log_text}
        for i in range(logged - (recipe.log_lines_kept or logged), logged)
    ]  # fmt: skip
    return "".join(json.dumps(record) + "\n" for record in records)
