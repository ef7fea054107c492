# SPDX-License-Identifier: Apache-2.0
"""Writes a synthetic run directory in the format of docs/run-directory.md, for tests.

The numbers are drawn from a seeded generator around known costs, so that a test knows what the
analysis should find. Every knob of `RunRecipe` is one way in which a run can differ or be wrong.
"""

import hashlib
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

START_UTC_NS = 1_765_000_000_000_000_000
BOOT_UTC_NS = START_UTC_NS - 600_000_000_000
IDLE_S, SETTLE_S, DRAIN_S = 1.0, 0.5, 0.3

MANIFESTS: dict[str, dict[str, Any]] = {
    "none": {"title": "No hook", "semantic_class": "route", "hook": "none", "mode": "none"},
    "netfilter": {
        "title": "Netfilter kernel module",
        "semantic_class": "rewrite-and-continue",
        "hook": "netfilter",
        "mode": "module",
        "original_name": "Netfilter",
    },
    "xdp": {
        "title": "XDP program, generic mode",
        "semantic_class": "rewrite-and-continue",
        "hook": "xdp",
        "mode": "generic",
        "original_name": "eBPF",
    },
    "netfilter-logging": {
        "title": "Netfilter module that logs every packet",
        "semantic_class": "rewrite-and-continue",
        "hook": "netfilter",
        "mode": "module",
        "exhibit": True,
    },
    "xdp-bounded-csum": {
        "title": "XDP program with a bounded checksum loop",
        "semantic_class": "rewrite-and-continue",
        "hook": "xdp",
        "mode": "generic",
        "exhibit": True,
    },
}
COST_US = {
    "none": 295.0,
    "netfilter": 315.0,
    "xdp": 321.0,
    "netfilter-logging": 411.0,
    "xdp-bounded-csum": 250.0,
}


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    """What the run should look like; mappings are by arm, and default to a sound run."""

    arms: tuple[str, ...] = ("none", "netfilter", "xdp")
    trials: int = 5
    seed: int = 7
    cpu_count: int = 4
    offered: int = 14_000
    complete: bool = True
    trials_done: int | None = None
    accelerator: str = "emulation"
    cost_us: Mapping[str, float] = field(default_factory=dict)
    spread: float = 0.02
    delivered_share: Mapping[str, float] = field(default_factory=dict)
    csum_errors: Mapping[str, int] = field(default_factory=dict)
    rcvbuf_errors: Mapping[str, int] = field(default_factory=dict)
    log_lines: Mapping[str, int] = field(default_factory=dict)
    log_lines_kept: int | None = None
    """What the ring buffer still had of them; None: all."""
    control_sent: int | None = 3
    """None: client.json does not say."""
    hits_share: Mapping[str, float] = field(default_factory=dict)
    hits_of_none: int = 0
    mpstat_delay_ns: int = 0
    mode: Mapping[str, str] = field(default_factory=dict)
    log_text: str = "lab: a kernel message"
    missing: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()


def make_run(parent: Path, recipe: RunRecipe | None = None) -> Path:
    """Creates parent/<run id>/ and returns it. `missing` and `truncated` are relative paths."""
    recipe = recipe or RunRecipe()
    root = parent / "20251206T054640Z-0a1b2c"
    rng = random.Random(recipe.seed)
    blocks = [rng.sample(recipe.arms, len(recipe.arms)) for _ in range(recipe.trials)]
    _write(root, "plan.json", _plan(recipe, blocks))
    for name, document in _facts(recipe).items():
        _write(root, f"facts/{name}.json", document)
    written, clock_ns = 0, 60_000_000_000
    for block, names in enumerate(blocks, start=1):
        for position, arm in enumerate(names, start=1):
            if recipe.trials_done is not None and written >= recipe.trials_done:
                continue
            turn = _Turn(block=block, position=position, arm=arm, clock_ns=clock_ns)
            _trial(root, recipe, rng, turn)
            clock_ns += 9_000_000_000
            written += 1
    for name in recipe.missing:
        (root / name).unlink()
    for name in recipe.truncated:
        text = (root / name).read_text(encoding="utf-8")
        (root / name).write_text(text[: len(text) * 2 // 3], encoding="utf-8")
    if recipe.complete:
        _write(root, "manifest.json", _manifest(root, recipe))
    return root


def _write(root: Path, name: str, document: Any) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def manifest_of(arm: str) -> dict[str, Any]:
    base = MANIFESTS.get(
        arm,
        {"title": arm, "semantic_class": "rewrite-and-continue", "hook": "other", "mode": "on"},
    )
    return {
        "schema": 1,
        "name": arm,
        "title": base["title"],
        "summary": f"{base['title']}: a summary.",
        "semantic_class": base["semantic_class"],
        "hook": base["hook"],
        "exhibit": base.get("exhibit", False),
        "original_name": base.get("original_name", ""),
        "expect": {"mode": base["mode"], "log_lines_per_packet": 0},
    }


def _plan(recipe: RunRecipe, blocks: list[list[str]]) -> dict[str, Any]:
    return {
        "schema": 1,
        "command": ["testbed", "bench", "--arms", ",".join(recipe.arms)],
        "config": {
            "machines": {"server_cpus": recipe.cpu_count, "memory_mb": 1024},
            "traffic": {"rate_pps": 10000, "duration_s": 1.4, "payload_bytes": 1000},
        },
        "arms": [manifest_of(arm) for arm in recipe.arms],
        "blocks": blocks,
        "seed": recipe.seed,
        "profile": "fair",
    }


def _facts(recipe: RunRecipe) -> dict[str, Any]:
    guest: dict[str, Any] = {
        "schema": 1,
        "os_release": {"PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"},
        "uname": {"release": "6.1.0-41-amd64", "machine": "x86_64", "nodename": "server"},
        "cpus": {"online": recipe.cpu_count, "model": "QEMU TCG CPU version 2.5+"},
        "memory_bytes": 1_024_000_000,
        "clocksource": {"current": "tsc", "available": ["tsc"]},
        "nics": {
            "lab0": {
                "driver": {"driver": "e1000", "version": "6.1.0-41-amd64"},
                "features": {"rx-checksumming": "on"},
            }
        },
        "kernel_config": {"HZ": 250, "IRQ_TIME_ACCOUNTING": "n"},
        "boot_id": "6c1f0000-0000-4000-8000-000000000001",
        "packages": {"clang": "1:14.0-55.7~deb12u1", "sysstat": "12.6.1-1"},
    }
    host = {
        "schema": 1,
        "accelerator": recipe.accelerator,
        "accelerator_reason": "/dev/kvm exists, but a test machine did not boot with it in 10 s",
        "versions": {"qemu": "7.2.17", "libvirt": "9.0.0", "vagrant": "2.3.4"},
        "cpu_model": "A Host CPU",
        "cores": 2,
        "memory_mb": 8000,
        "kernel": "6.1.0-41-amd64",
    }
    client = guest | {"uname": guest["uname"] | {"nodename": "client"}}
    return {
        "host": host,
        "server-before": guest,
        "server-after": guest,
        "client-before": client,
        "client-after": client,
    }


def _manifest(root: Path, recipe: RunRecipe) -> dict[str, Any]:
    files = sorted(p for p in root.rglob("*") if p.is_file() and "raw" in p.parts)
    return {
        "schema": 1,
        "run_id": root.name,
        "status": "complete",
        "command": ["testbed", "bench", "--arms", ",".join(recipe.arms)],
        "started_utc": "2025-12-06T05:46:40Z",
        "ended_utc": "2025-12-06T05:49:02Z",
        "versions": {"testbed": "0.1.0", "python": "3.11.2"},
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "accelerator": recipe.accelerator,
        "files": {
            str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files
        },
        "exit_code": 0,
        "durations": {"bench_s": 142.0},
    }


@dataclass(frozen=True, kw_only=True)
class _Turn:
    block: int
    position: int
    arm: str
    clock_ns: int


def _trial(root: Path, recipe: RunRecipe, rng: random.Random, turn: _Turn) -> None:
    block, position, arm, clock_ns = turn.block, turn.position, turn.arm, turn.clock_ns
    folder = f"raw/{block:02d}-{arm}"
    share = recipe.delivered_share.get(arm, 1.0)
    unique = round(recipe.offered * share)
    logged = recipe.log_lines.get(arm, 0)
    hits_share = recipe.hits_share.get(arm, 0.0 if arm == "none" else 1.0)
    wall_s = 1.406 + rng.uniform(-0.004, 0.012)
    cost_us = recipe.cost_us.get(arm, COST_US.get(arm, 300.0)) * rng.gauss(1, recipe.spread)
    idle_rate = 0.02 + rng.uniform(0, 0.01)
    busy_s = max(unique, recipe.offered * 0.3) * cost_us / 1e6 + idle_rate * wall_s
    idle_from = clock_ns + 400_000_000
    idle_to = idle_from + int(IDLE_S * 1e9)
    start = idle_to + 250_000_000
    end = start + int(wall_s * 1e9)
    snaps = _Snaps(recipe.cpu_count, rng)
    idle_before = snaps.at(idle_from, busy_s=0.0)
    idle_after = snaps.at(idle_to, busy_s=idle_rate * IDLE_S)
    before = snaps.at(start, busy_s=0.006)
    after = snaps.at(end, busy_s=busy_s)
    token = f"{rng.getrandbits(64):016x}"
    server_trial: dict[str, Any] = {
        "trial": 1, "token": token, "peer": f"192.168.64.7:{9999 + block}",
        "offered": recipe.offered, "received": unique, "unique": unique, "duplicates": 0,
        "reordered": 0, "lost": recipe.offered - unique, "foreign": 0, "bytes": unique * 1000,
        "started_monotonic_ns": start, "ended_monotonic_ns": end,
        "first_data_monotonic_ns": start + 900_000 if unique else None,
        "last_data_monotonic_ns": end - 2_000_000 if unique else None,
        "duration_ms": round(wall_s * 1e3 - 1.2, 2),
        "socket_drops": recipe.rcvbuf_errors.get(arm, 0), "before": before, "after": after,
    }  # fmt: skip
    client_trial: dict[str, Any] = {
        "trial": 1, "token": token, "source_port": 9999 + block, "seed": rng.getrandbits(31),
        "rate_pps": 10000, "payload_bytes": 1000, "jitter": 0.1, "planned": recipe.offered,
        "offered": recipe.offered, "send_errors": {}, "started_monotonic_ns": start,
        "ended_monotonic_ns": end, "started_utc_ns": BOOT_UTC_NS + start,
        "ended_utc_ns": BOOT_UTC_NS + end, "duration_ms": round(wall_s * 1e3, 2),
        "achieved_pps": round(recipe.offered / wall_s, 1),
        "gap_us": {"mean": 100.0, "sd": 6.1, "p50": 99.8, "p99": 120.4, "max": 412.0,
                   "histogram": {"edges_us": [0, 50, 100, 200], "counts": [3, 6990, 7007]}},
        "late_sends": 12, "start_attempts": 1, "end_attempts": 1, "acknowledged": True,
        "server": {"received": unique, "unique": unique, "duplicates": 0, "reordered": 0,
                   "duration_ms": server_trial["duration_ms"]},
        "succeeded": share >= 0.99,
    }  # fmt: skip
    if recipe.control_sent is not None:
        client_trial["control_sent"] = recipe.control_sent
    envelope: dict[str, Any] = {"schema": 1, "complete": True, "python": "3.11.2"}
    _write(
        root,
        f"{folder}/server.json",
        envelope
        | {
            "host": "10.0.1.2",
            "port": 8083,
            "idle_window": {"before": idle_before, "after": idle_after},
            "rcvbuf_bytes": 8_388_608,
            "trials": [server_trial],
        },
    )
    _write(
        root,
        f"{folder}/client.json",
        envelope | {"host": "192.168.64.2", "port": 8080, "trials": [client_trial]},
    )
    _write(
        root,
        f"{folder}/mpstat.json",
        _mpstat(recipe, rng, (clock_ns, start, end), busy_s / wall_s),
    )
    hits = recipe.hits_of_none if arm == "none" else round(recipe.offered * hits_share) + 3
    _write(
        root,
        f"{folder}/trial.json",
        {
            "schema": 1,
            "block": block,
            "position": position,
            "arm": arm,
            "trial": block,
            "source_port": 9999 + block,
            "destination": "10.0.1.2:8083" if arm == "none" else "192.168.64.2:8080",
            "hits_before": None if not hits else [0] * recipe.cpu_count,
            "hits_after": None if not hits else [hits] + [0] * (recipe.cpu_count - 1),
            "mpstat_started_utc_ns": BOOT_UTC_NS + clock_ns,
            "windows_s": {"settle": SETTLE_S, "idle": IDLE_S, "drain": DRAIN_S},
            "timeline": [
                {"event": "load", "utc_ns": BOOT_UTC_NS + clock_ns, "host_monotonic_ns": clock_ns}
            ],
            "error": None,
        },
    )
    counted = {
        "InDatagrams": unique,
        "InErrors": recipe.csum_errors.get(arm, 0),
        "RcvbufErrors": recipe.rcvbuf_errors.get(arm, 0),
        "InCsumErrors": recipe.csum_errors.get(arm, 0),
    }
    _write(root, f"{folder}/before.json", _snapshot(clock_ns, dict.fromkeys(counted, 0), 899))
    after_all = _snapshot(end + 300_000_000, counted, 899 + logged)
    _write(root, f"{folder}/after.json", after_all)
    if arm != "none":
        default = manifest_of(arm)["expect"]["mode"]
        _write(root, f"{folder}/verify.json", {"mode": recipe.mode.get(arm, default)})
    records = [
        {"seq": 900 + i, "monotonic_us": start // 1000 + 50 * i, "level": 6,
         "text": recipe.log_text}
        for i in range(logged - (recipe.log_lines_kept or logged), logged)
    ]  # fmt: skip
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (root / folder / "kernel-log.jsonl").write_text(lines, encoding="utf-8")
    said = "Succeed with" if share >= 0.99 else f"Failed: {unique} packets arrived,"
    (root / folder / "client.txt").write_text(f"Trial {block}: {said} {wall_s * 1e3:.2f} ms\n")
    (root / folder / "server.txt").write_text(f"START\nEND {unique} packets\n")


class _Snaps:
    """/proc/stat texts whose idle time agrees with the busy time asked for."""

    def __init__(self, cpu_count: int, rng: random.Random) -> None:
        self.cpu_count = cpu_count
        self.rng = rng
        self.last_ns: int | None = None
        self.idle_s = 4000.0 + rng.random()
        self.busy_s = 40.0

    def at(self, monotonic_ns: int, *, busy_s: float) -> dict[str, Any]:
        """The snap at a time, `busy_s` CPU-seconds having been used since the last one."""
        if self.last_ns is not None:
            self.idle_s += (monotonic_ns - self.last_ns) / 1e9 * self.cpu_count - busy_s
            self.busy_s += busy_s
        self.last_ns = monotonic_ns
        rows = [("cpu", self.idle_s, self.busy_s)]
        rows += [
            (f"cpu{i}", self.idle_s / self.cpu_count, self.busy_s / self.cpu_count)
            for i in range(self.cpu_count)
        ]
        stat = "".join(
            f"{name} {int(busy * 60)} 0 {int(busy * 20)} {int(idle * 100)} 0 0 "
            f"{int(busy * 20)} 0 0 0\n"
            for name, idle, busy in rows
        )
        head = "".join(f"{f'CPU{i}':>11}" for i in range(self.cpu_count))
        read_ns = self.rng.randrange(80_000, 200_000)
        return {
            "monotonic_ns": [monotonic_ns - read_ns // 2, monotonic_ns + read_ns // 2],
            "utc_ns": BOOT_UTC_NS + monotonic_ns,
            "stat": stat + "intr 12345 0 9\nctxt 99\nbtime 1\n",
            "softirqs": f"      {head}\n  NET_RX: " + " 5" * self.cpu_count + "\n",
            "interrupts": f"      {head}\n 11: " + " 7" * self.cpu_count + "  IO-APIC e1000\n",
        }


def _mpstat(
    recipe: RunRecipe, rng: random.Random, times_ns: tuple[int, int, int], rate: float
) -> dict[str, Any]:
    """Four one-second samples over idle window and traffic; times: own start, START, END."""
    began, start, end = times_ns
    statistics = []
    for second in range(4):
        lo, hi = began + second * 10**9, began + (second + 1) * 10**9
        overlap = max(0, min(hi, end) - max(lo, start)) / 1e9
        busy = 100 * rate / recipe.cpu_count * overlap + rng.uniform(0.2, 0.9)
        shares = {"usr": 0.34, "sys": 0.26, "soft": 0.4, "irq": 0.0}
        row = {k: round(busy * s * rng.uniform(0.9, 1.1), 2) for k, s in shares.items()}
        row |= {"nice": 0.0, "iowait": 0.0, "steal": 0.0, "guest": 0.0, "gnice": 0.0}
        row["idle"] = round(100 - sum(row.values()), 2)
        ended_s = (BOOT_UTC_NS + hi + recipe.mpstat_delay_ns) // 10**9
        stamp = f"{datetime.fromtimestamp(ended_s, timezone.utc):%H:%M:%S}"
        cpus = ["all", *(str(i) for i in range(recipe.cpu_count))]
        statistics.append({"timestamp": stamp, "cpu-load": [{"cpu": c} | row for c in cpus]})
    host = {
        "nodename": "server", "sysname": "Linux", "release": "6.1.0-41-amd64",
        "machine": "x86_64", "number-of-cpus": recipe.cpu_count, "date": "12/06/25",
        "statistics": statistics,
    }  # fmt: skip
    return {"sysstat": {"hosts": [host]}}


def _snapshot(monotonic_ns: int, udp: dict[str, int], kmsg_sequence: int) -> dict[str, Any]:
    def snmp(values: dict[str, int]) -> str:
        names = " ".join(values)
        return (
            "Ip: Forwarding DefaultTTL InReceives\nIp: 1 64 100\n"
            f"Udp: {names}\nUdp: {' '.join(str(v) for v in values.values())}\n"
        )

    netstat = "TcpExt: SyncookiesSent\nTcpExt: 0\nIpExt: InOctets\nIpExt: 77\n"
    base = {"InDatagrams": 10, "InErrors": 0, "RcvbufErrors": 0, "InCsumErrors": 0}
    inside = {name: 1000 + value for name, value in udp.items()}
    return {
        "schema": 1,
        "monotonic_ns": monotonic_ns,
        "utc_ns": BOOT_UTC_NS + monotonic_ns,
        "stat": "cpu 1 0 1 100 0 0 0 0 0 0\ncpu0 1 0 1 100 0 0 0 0 0 0\n",
        "snmp": {"root": snmp(base), "namespace": snmp(inside)},
        "netstat": {"root": netstat, "namespace": netstat},
        "kmsg_sequence": kmsg_sequence,
    }
