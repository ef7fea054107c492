# SPDX-License-Identifier: Apache-2.0
"""The frame around a run's trials: plan and facts before them, facts and the manifest after."""

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import testbed
from testbed.edge.computer import host
from testbed.edge.files.store import RunDir
from testbed.edge.guests.guest import Guest
from testbed.lab.machines import host_facts
from testbed.lab.machines.machines import Machines
from testbed.model.arm import Arm
from testbed.model.config import Config
from testbed.model.errors import ExitCode, HostError
from testbed.model.plan import RUN_SCHEMA, Condition, Plan


def now() -> str:
    """Return the time as the files of a run have it."""
    return datetime.now(timezone.utc).isoformat(timespec="seconds")


def part_from(block: int) -> dict[str, Any]:
    """Return a stretch of a run that begins now, with this block."""
    return {"block": block, "started_utc": now(), "ended_utc": None, "length_s": None}


@dataclass
class Recording:
    """One run, as its directory shall tell of it; `arms` are the labels of what was loaded.

    The warm-up may change the configuration before the first trial that counts.
    """

    run_dir: RunDir
    config: Config
    plan: Plan
    arms: Sequence[Arm]
    command: Sequence[str]
    machines: Machines
    guests: Mapping[str, Guest]
    profile: str = "fair"
    precision: Mapping[str, Any] | None = None
    load: list[dict[str, Any]] = field(default_factory=list)
    """The warm-up's tries: rates asked for and kept, shares delivered."""
    request: Mapping[str, Any] = field(default_factory=dict)
    sources: str = ""
    """A hash over the guests' programs and the arms; with `request`, what resuming needs."""
    built: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The products of the arms' builds: {folder: {file: SHA-256}}."""
    resumed: list[dict[str, Any]] = field(default_factory=list)
    """When the run went on after it had been cut off, and with which block."""
    parts: list[dict[str, Any]] = field(default_factory=lambda: [part_from(1)])
    """Its stretches of time, the last one being the present; most runs have one."""

    boots: list[dict[str, Any]] = field(default_factory=list)
    """For a run over several boots: the block that each began with, and both kernels' boot ids."""

    def note_boot(self, block: int) -> None:
        """Write down which boot the machines are on, before this block."""
        ids = {role: _boot_id(guest) for role, guest in self.guests.items()}
        if not self.boots or any(self.boots[-1][role] != known for role, known in ids.items()):
            self.boots.append({"block": block, **ids})
        self.write_plan(self.plan)

    @contextmanager
    def whole(self, then: Callable[[], object] | None = None) -> Iterator[None]:
        """Frame the trials; only when the block ends well does the run get its manifest.

        `then` follows when all is measured, and the manifest vouches for what it writes. Even when
        it fails, or is interrupted, the run is complete: the trials are.
        """
        self.write_plan(self.plan)
        before = self.run_dir.path / "facts/host.json"
        clock = time.monotonic()
        if not (self.resumed and before.exists()):
            with ThreadPoolExecutor(1) as beside:
                facts = beside.submit(host_facts.collect, self.machines)
                self._facts("before")
                self.run_dir.write_json("facts/host.json", facts.result())
        loop = time.monotonic()
        yield
        loop_s = time.monotonic() - loop
        self._facts("after")
        length_s = round(time.monotonic() - clock, 3)
        self.parts = [
            *self.parts[:-1],
            {**self.parts[-1], "ended_utc": now(), "length_s": length_s},
        ]
        lengths = [part["length_s"] for part in self.parts]
        whole = len(lengths) == 1
        manifest = self._manifest()
        manifest["durations"] = {
            "total_s": None if None in lengths else round(sum(lengths), 3),
            "trials_s": round(loop_s, 3) if whole else None,
        }
        self.write_plan(self.plan)
        began = time.monotonic()
        try:
            if then is not None:
                then()
        finally:
            count_s = None if then is None else round(time.monotonic() - began, 3)
            manifest["durations"]["count_s"] = count_s
            self.run_dir.close(manifest)

    def write_plan(self, plan: Plan) -> None:
        """Write plan.json: what is going to be done; again when a plan grows."""
        self.plan = plan
        document = {
            "schema": RUN_SCHEMA,
            "profile": self.profile,
            "command": list(self.command),
            "config": self.config.model_dump(mode="json"),
            "arms": [arm.model_dump(mode="json", by_alias=True) for arm in self.arms],
            "warm_up": _arms(plan.warm_up),
            "blocks": [_arms(block) for block in plan.blocks],
            "seed": plan.seed,
            "until_precise": self.precision,
            "load": self.load,
            "request": dict(self.request),
            "sources": self.sources,
            "built": {name: dict(made) for name, made in self.built.items()},
            "resumed": self.resumed,
            "boots": self.boots,
            "parts": self.parts,
        }
        self.run_dir.write_json("plan.json", document)

    def _facts(self, when: str) -> None:
        with ThreadPoolExecutor(len(self.guests)) as pool:
            facts = pool.map(lambda g: g.json("snapshot", ["--facts"]), self.guests.values())
            for role, said in zip(self.guests, facts, strict=True):
                self.run_dir.write_json(f"facts/{role}-{when}.json", said)

    def _manifest(self) -> dict[str, Any]:
        bench = self.config.bench
        windows = ("settle_s", "idle_s", "duration_s", "drain_s")
        return {
            "schema": RUN_SCHEMA,
            "run_id": self.run_dir.path.name,
            "status": "complete",
            "command": list(self.command),
            "started_utc": self.parts[0]["started_utc"],
            "ended_utc": self.parts[-1]["ended_utc"],
            "versions": {"testbed": testbed.__version__, "python": sys.version.split()[0]},
            "git": _git(self.machines.checkout),
            "profile": self.profile,
            "windows_s": {name.removesuffix("_s"): getattr(bench, name) for name in windows},
            "warm_up": _arms(self.plan.warm_up),
            "accelerator": self.machines.accelerator().name,
            "resumed": self.resumed,
            "parts": self.parts,
            "exit_code": int(ExitCode.OK),
        }


def _arms(conditions: Sequence[Condition]) -> list[str]:
    """Return the names that stand for conditions in a run's files; `config` has their load."""
    return [one.arm for one in conditions]


def _boot_id(guest: Guest) -> str:
    """Return the kernel's random name of this boot."""
    return guest.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout.strip()


def _git(checkout: Path) -> dict[str, Any] | None:
    """Return the commit that ran and whether files differed from it; None outside of git."""

    def ask(*words: str) -> str:
        return host.run(["git", "-C", str(checkout), *words]).stdout.strip()

    if shutil.which("git") is None:
        return None
    try:
        return {"commit": ask("rev-parse", "HEAD"), "dirty": bool(ask("status", "--porcelain"))}
    except HostError:
        return None
