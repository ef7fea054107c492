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
from pathlib import Path
from typing import Any

from testbed.model.run_files import MEASURED
from tests.unit.factories.run_factory_cpu import HOST_CORES
from tests.unit.factories.run_factory_gate import write_gate
from tests.unit.factories.run_factory_programs import IDLE_S, S, Turn
from tests.unit.factories.run_factory_trial import DRAIN_S, SETTLE_S, write_trial

FIRST_TRIAL_NS, TRIAL_NS = 120 * S, 9 * S
"""Since the guests booted, and from one trial to the next."""
XDP = {"program": "redirect_udp", "program_id": 21, "tag": "2642b02478aa7d42", "jited": True,
       "driver": "e1000"}  # fmt: skip
MODULE = {"match_address": "192.168.64.2", "match_port": "8080", "target_address": "10.0.1.2",
          "target_port": "8083"}  # fmt: skip

MANIFESTS: dict[str, dict[str, Any]] = {
    "none": {"title": "No hook", "semantic_class": "route", "hook": "none", "mode": "none"},
    "netfilter": {
        "title": "Netfilter kernel module",
        "semantic_class": "rewrite-and-continue",
        "hook": "netfilter",
        "mode": "module",
        "original_name": "Netfilter",
        "facts": {"module": "redirect_nf", **MODULE},
    },
    "xdp": {
        "title": "XDP program, generic mode",
        "semantic_class": "rewrite-and-continue",
        "hook": "xdp",
        "mode": "generic",
        "original_name": "eBPF",
        "facts": XDP,
    },
    "netfilter-logging": {
        "title": "Netfilter module that logs every packet",
        "semantic_class": "rewrite-and-continue",
        "hook": "netfilter",
        "mode": "module",
        "exhibit": True,
        "facts": {"module": "redirect_nf_logging", **MODULE},
    },
    "xdp-bounded-csum": {
        "title": "XDP program with a bounded checksum loop",
        "semantic_class": "rewrite-and-continue",
        "hook": "xdp",
        "mode": "generic",
        "exhibit": True,
        "facts": XDP,
    },
}


@dataclass(frozen=True, kw_only=True)
class RunRecipe:
    """The wanted look of the run; mappings are by arm, and default to a sound run.

    Packets that do not arrive are lost at the private link, unless checksum or buffer errors
    explain them, or the hook counted more than arrived: then they are lost behind the hook.
    """

    arms: tuple[str, ...] = ("none", "netfilter", "xdp")
    trials: int = 5
    seed: int = 9
    cpu_count: int = 4
    offered: int = 14_000
    duration_s: float = 1.4
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
    """The lines that the ring buffer still had; None: all."""
    control_sent: int | None = 3
    """None: client.json does not say."""
    hits_share: Mapping[str, float] = field(default_factory=dict)
    """The hook's count of the packets sent; by default all that reached it."""
    hits_of_none: int = 0
    mpstat_delay_ns: int = 0
    mode: Mapping[str, str] = field(default_factory=dict)
    log_text: str = "lab: a kernel message"
    missing: tuple[str, ...] = ()
    truncated: tuple[str, ...] = ()


def make_run(parent: Path, recipe: RunRecipe | None = None) -> Path:
    """Creates parent/<run id>/ and returns it. `missing` and `truncated` are relative paths.

    A recipe's files are made once in a process, and written again for the next test.
    """
    recipe = recipe or RunRecipe()
    root, key = parent / "20251206T054640Z-0a1b2c", repr(recipe)
    if key in _MADE:
        for name, content in _MADE[key].items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return root
    _make(root, recipe)
    if len(_MADE) < RECIPES_KEPT:
        paths = [path for path in root.rglob("*") if path.is_file()]
        _MADE[key] = {str(path.relative_to(root)): path.read_bytes() for path in paths}
    return root


RECIPES_KEPT = 40
"""A run has 0.7 MB, and the most common recipes come early."""
_MADE: dict[str, dict[str, bytes]] = {}


def _make(root: Path, recipe: RunRecipe) -> None:
    rng = random.Random(recipe.seed)
    blocks = [rng.sample(recipe.arms, len(recipe.arms)) for _ in range(recipe.trials)]
    _write(root, "plan.json", _plan(recipe, blocks))
    for name, document in _facts(recipe).items():
        _write(root, f"facts/{name}.json", document)
    for arm in recipe.arms:
        manifest = manifest_of(arm)
        bare = manifest["hook"] == "none"
        write_gate(root, arm, counted=not bare, direct=bare or arm.endswith("-unmatched"))
    written = 0
    for block, names in enumerate(blocks, start=1):
        for position, arm in enumerate(names, start=1):
            if recipe.trials_done is None or written < recipe.trials_done:
                clock_ns = FIRST_TRIAL_NS + written * TRIAL_NS
                manifest = manifest_of(arm) | {"facts": _of(arm).get("facts", {})}
                turn = Turn(block=block, position=position, manifest=manifest, clock_ns=clock_ns)
                write_trial(root, recipe, rng, turn)
                written += 1
    for name in recipe.missing:
        (root / name).unlink()
    for name in recipe.truncated:
        text = (root / name).read_text(encoding="utf-8")
        (root / name).write_text(text[: len(text) * 2 // 3], encoding="utf-8")
    if recipe.complete:
        _write(root, "manifest.json", _manifest(root, recipe))


def seal(root: Path) -> None:
    """Writes the manifest's checksums anew: what a test changed was so from the beginning."""
    manifest = json.loads((root / "manifest.json").read_text(encoding="utf-8"))
    _write(root, "manifest.json", manifest | {"files": checksums(root)})


def checksums(root: Path) -> dict[str, str]:
    """SHA-256 by path of all that was measured: neither the manifest nor what it was made into."""
    folders = (root / name for name in (*MEASURED, "count"))
    files = [root / "plan.json", *(path for folder in folders for path in folder.rglob("*.*"))]
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(files)
    }


def _write(root: Path, name: str, document: Any) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def _of(arm: str) -> dict[str, Any]:
    """Return the facts about an arm, or about the arm that a control ("xdp-again") is made from."""
    original = arm.removesuffix("-again").removesuffix("-unmatched")
    other = {"semantic_class": "rewrite-and-continue", "hook": "other", "mode": "on"}
    known = MANIFESTS.get(original, other)
    return known if original == arm and arm in MANIFESTS else {**known, "title": arm}


def manifest_of(arm: str) -> dict[str, Any]:
    base = _of(arm)
    of, _, kind = arm.rpartition("-")
    is_control = kind in ("again", "unmatched")
    return {
        "schema": 1,
        "name": arm,
        "title": base["title"],
        "summary": f"{base['title']}: a summary.",
        "semantic_class": "route" if kind == "unmatched" else base["semantic_class"],
        "hook": base["hook"],
        "exhibit": base.get("exhibit", False),
        "original_name": base.get("original_name", ""),
        "expect": {"mode": base["mode"], "log_lines_per_packet": 0},
        "control": {"kind": kind, "of": of} if is_control else None,
    }


def _plan(recipe: RunRecipe, blocks: list[list[str]]) -> dict[str, Any]:
    return {
        "schema": 3,
        "profile": "fair",
        "command": ["testbed", "bench", "--arms", ",".join(recipe.arms)],
        "config": {
            "machines": {
                "accelerator": "auto",
                "nic_model": "e1000",
                "boot_timeout_s": 300,
                "server": {"cpus": recipe.cpu_count, "memory_mb": 1024},
                "client": {"cpus": 1, "memory_mb": 512},
            },
            "network": {
                "client_address": "192.168.64.7",
                "server_address": "192.168.64.2",
                "match_port": 8080,
                "target_address": "10.0.1.2",
                "target_port": 8083,
                "namespace": "sslab-ns",
            },
            "bench": {
                "trials": recipe.trials,
                "rate_pps": recipe.offered / recipe.duration_s,
                "duration_s": recipe.duration_s,
                "payload_bytes": 1000,
                "jitter": 0.1,
                "settle_s": SETTLE_S,
                "idle_s": IDLE_S,
                "drain_s": DRAIN_S,
                "warm_up": 0,
            },
        },
        "arms": [manifest_of(arm) for arm in recipe.arms],
        "warm_up": [],
        "blocks": blocks,
        "seed": recipe.seed,
        "until_precise": None,
    }


def _facts(recipe: RunRecipe) -> dict[str, Any]:
    guest: dict[str, Any] = {
        "schema": 1,
        "uptime_s": FIRST_TRIAL_NS / S - 4,
        "os_release": {"PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)"},
        "uname": {"release": "6.1.0-41-amd64", "machine": "x86_64", "nodename": "server"},
        "cpus": {"online": recipe.cpu_count, "model": "QEMU TCG CPU version 2.5+"},
        "memory_bytes": 1_024_000_000,
        "clocksource": {"current": "tsc", "available": ["tsc"]},
        "nics": {
            "lab0": {
                "driver": {"driver": "e1000", "version": "6.1.0-41-amd64"},
                "features": {"rx-checksumming": "off", "generic-receive-offload": "on"},
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
        "cores": HOST_CORES,
        "memory_mb": 8000,
        "kernel": "6.1.0-41-amd64",
    }
    client = guest | {
        "uname": guest["uname"] | {"nodename": "client"},
        "boot_id": "6c1f0000-0000-4000-8000-000000000002",
    }
    trials_s = recipe.trials * len(recipe.arms) * TRIAL_NS / S
    after = {"uptime_s": guest["uptime_s"] + 4 + trials_s}
    return {
        "host": host,
        "server-before": guest,
        "server-after": guest | after,
        "client-before": client,
        "client-after": client | after,
    }


def _manifest(root: Path, recipe: RunRecipe) -> dict[str, Any]:
    return {
        "schema": 3,
        "run_id": root.name,
        "status": "complete",
        "command": ["testbed", "bench", "--arms", ",".join(recipe.arms)],
        "started_utc": "2025-12-06T05:46:40Z",
        "ended_utc": "2025-12-06T05:49:02Z",
        "versions": {"testbed": "0.1.0", "python": "3.11.2"},
        "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
        "profile": "fair",
        "accelerator": recipe.accelerator,
        "files": checksums(root),
        "exit_code": 0,
        "durations": {"total_s": 142.0},
    }
