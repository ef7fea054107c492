# SPDX-License-Identifier: Apache-2.0
"""Counts of recorded packets, three arms, changed in the one way that a test needs."""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from testbed.analysis.counting import raw
from testbed.analysis.counting.packets import Packet
from testbed.analysis.counting.raw import Counted
from testbed.analysis.counting.result import Result
from testbed.analysis.counting.summary import Summary
from testbed.analysis.receipt.count_run import CountRun
from testbed.model.plan import Condition
from tests import PROJECT
from tests.unit.factories.run_factory import seal

RECORDED = PROJECT / "tests/unit/recorded"
ARMS = ("none", "netfilter", "xdp")
PAYLOAD = 1000
TITLES = {"none": "No hook", "netfilter": "Netfilter kernel module",
          "xdp": "XDP program, generic mode"}  # fmt: skip
IDENTITY = {
    "qemu": "7.2.22", "interface": 1, "cpu": "max", "cpu_flags": ["fpu", "sse2"],
    "kernel": "Linux version 6.1.0-41-amd64 (debian-kernel@lists.debian.org)",
    "command_line": "quiet", "boot_id": "0b5e7a3c", "mitigations": {"spectre_v2": "Retpolines"},
    "nic": "e1000", "box": "testbed-3f2a",
}  # fmt: skip


def facts(**changes: Any) -> dict[str, Any]:
    """Return the count.json of a sound count."""
    return {
        "schema": 1, "command": ["testbed", "count"], "started_utc": "2026-11-28T05:16:00+00:00",
        "arms": list(ARMS), "titles": TITLES, "received": {}, "identity": IDENTITY,
        "gate": dict.fromkeys(ARMS, True), "packets": 4, "payloads": [PAYLOAD], **changes,
    }  # fmt: skip


def put_count(results: Path, name: str, *, complete: bool = True, **changes: Any) -> Path:
    """Write a count's run directory; `changes` are to count.json."""
    path = results / name
    document = facts(**changes)
    for arm in document["arms"]:
        shutil.copytree(RECORDED / f"{arm}-{PAYLOAD}", path / f"count/{arm}-{PAYLOAD}")
    (path / "count/count.json").write_text(json.dumps(document))
    if complete:
        close(path)
    return path


def put_beside(run: Path, **changes: Any) -> Path:
    """Put the recorded counts into a run of trials, whose manifest vouches for them, too."""
    document = facts(**changes)
    for arm in document["arms"]:
        shutil.copytree(RECORDED / f"{arm}-{PAYLOAD}", run / f"count/{arm}-{PAYLOAD}")
    (run / "count/count.json").write_text(json.dumps(document))
    seal(run)
    return run


def put_failed(run: Path, why: str, hint: str = "") -> Path:
    """Put into a run of trials why its arms were not counted."""
    (run / "count").mkdir()
    left = {"schema": 1, "arms": list(ARMS), "payloads": [PAYLOAD], "packets": 272,
            "not_counted": {"why": why, "hint": hint}}  # fmt: skip
    (run / "count/count.json").write_text(json.dumps(left))
    seal(run)
    return run


def close(path: Path) -> None:
    """Write the manifest, as the lab does last."""
    files = {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }
    manifest = {"schema": 1, "kind": "count", "files": files}
    (path / "manifest.json").write_text(json.dumps(manifest))


@lru_cache
def summary(arm: str) -> Summary:
    """The recorded packets of one arm; shared, for nothing changes a summary."""
    return Summary.of(raw.read(RECORDED / f"{arm}-{PAYLOAD}"))


def count_run(
    *arms: Summary, complete: bool = True, reasons: tuple[str, ...] = (),
    edited: tuple[str, ...] = (), **changes: Any,
) -> CountRun:  # fmt: skip
    """A count of the three arms, of which those given take the place of the recorded ones."""
    found = {Condition(arm, PAYLOAD): summary(arm) for arm in ARMS}
    found |= {one.counted.condition: one for one in arms}
    names = list(dict.fromkeys(one.arm for one in found))
    sizes = list(dict.fromkeys(one.payload_bytes for one in found))
    titles = {name: TITLES.get(name, name) for name in names}
    told = facts(arms=names, payloads=sizes, titles=titles, gate=dict.fromkeys(names, True))
    return CountRun("run", Result({**told, **changes}, found), complete, reasons, edited)


def with_facts(arm: str, **changes: Any) -> Summary:
    """The recorded packets of an arm whose facts say something else."""
    counted = summary(arm).counted
    return Summary(replace(counted, facts={**counted.facts, **changes}), summary(arm).packets)


def with_record(arm: str, change: Callable[[Counted], Counted]) -> Summary:
    """An arm whose record is another one; its packets are read again."""
    return Summary.of(change(summary(arm).counted))


def with_packets(arm: str, change: Callable[[int, Packet], Packet]) -> Summary:
    """An arm with other packets: `change` takes the number and the packet."""
    one = summary(arm)
    return Summary(one.counted, tuple(change(at, packet) for at, packet in enumerate(one.packets)))
