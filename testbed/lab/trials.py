# SPDX-License-Identifier: Apache-2.0
"""The experiment: for each block, for each arm, one trial.

This page is the method. What each step runs is in `instruments` and in the arm's
manifest; whatever a step starts, the step itself promises to undo.
"""

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from testbed.edge.guest import Guest
from testbed.edge.store import RunDir
from testbed.edge.terminal import Terminal
from testbed.lab import instruments
from testbed.lab.arms import Hook
from testbed.lab.cleanup import clean, uninterrupted
from testbed.model.arm import Arm
from testbed.model.config import Config
from testbed.model.errors import GuestError
from testbed.model.plan import Plan, Trial


@dataclass(frozen=True)
class Experiment:
    """Everything that the trials need; `arms` holds each arm of the plan by name."""

    config: Config
    plan: Plan
    arms: Mapping[str, Arm]
    guests: Mapping[str, Guest]
    run_dir: RunDir
    terminal: Terminal

    def run(self) -> None:
        """Run every trial of the plan, in its order; the run directory holds the outcome.

        Raises ArmError or GuestError at the first step that fails. Then, as after
        Ctrl-C, hooks are unloaded, nothing runs in the guests, finished trials stay.
        """
        started = time.monotonic()
        for number, trial in enumerate(self.plan):
            each_s = (time.monotonic() - started) / number if number else self._expected_s()
            left_s = each_s * (len(self.plan) - number)
            self.terminal.trial(number + 1, len(self.plan), trial.block, trial.arm, left_s)
            self._trial(trial)

    def _trial(self, trial: Trial) -> None:
        server, client = self.guests["server"], self.guests["client"]
        hook = Hook(self.arms[trial.arm], server, self.config.network)
        bench = self.config.bench
        record = Record(trial, destination=hook.arm.destination(hook.values))

        # Undoing comes before the threads are waited for: it ends what they wait for.
        with ThreadPoolExecutor(2) as beside, ExitStack() as undo:
            begun: list[Future[Any]] = []
            undo.callback(clean, server, client, hook, begun)
            record.mark("load")
            with uninterrupted():  # none begins that the undoing does not know
                begun.append(receiving := beside.submit(self._prepare_server))
                # Prepared now, begins at `go`.
                begun.append(sending := beside.submit(self._send, record))
            hook.load()
            verified = hook.verify()

            record.mark("counters before")
            before = server.json(instruments.snapshot(*self._counted()))
            record.hits_before = hook.hits()
            receiving.result()
            record.piped.wait()

            record.mark("settle")
            time.sleep(record.window("settle", bench.settle_s))

            record.mark("idle")
            server.run_all([instruments.mpstat(), instruments.go()])
            time.sleep(record.window("idle", bench.idle_s))

            record.mark("traffic")
            if sending.done():
                sending.result()  # it failed: its own words, not those of a `go` nobody heard
            client.run(instruments.go())
            record.client_status = sending.result()
            drained = time.monotonic() + record.window("drain", bench.drain_s)

            record.mark("counters after")
            record.hits_after = hook.hits()
            after = server.json(instruments.snapshot(*self._counted()))
            kernel_log = self._kernel_log(before["kmsg_sequence"], after["kmsg_sequence"])
            time.sleep(max(0.0, drained - time.monotonic()))  # mpstat's last second ends

            record.mark("collect")
            instruments.stop(server, "testbed-mpstat", "testbed-server")
            files = self._collect()
            record.mpstat_started_utc_ns = int(files.pop("mpstat-started"))
            record.mark("undo")
        hook.prove_gone()
        record.mark("end")

        files |= {"kernel-log.jsonl": kernel_log.encode()}
        for name, content in files.items():
            self.run_dir.write(f"raw/{trial.folder}/{name}", content)
        for name, value in (("before", before), ("after", after), ("verify", verified)):
            self.run_dir.write_json(f"raw/{trial.folder}/{name}.json", value)
        self.run_dir.write_json(f"raw/{trial.folder}/trial.json", record.as_json())

    def _prepare_server(self) -> None:
        """Start the server; it has its socket and waits for `go`."""
        commands = [*instruments.clean_scratch(), instruments.server(self.config)]
        self.guests["server"].run_all(commands)

    def _send(self, record: "Record") -> int:
        """Prepare the client, and send at `go`; return 0, or 1 when not all of it arrived."""
        trial, guest, bench = record.trial, self.guests["client"], self.config.bench
        command = instruments.client(
            self.config, record.destination, trial.source_port, trial.seed
        )
        try:
            guest.run_all(instruments.clean_scratch())
        finally:
            record.piped.set()
        limit_s = bench.settle_s + bench.idle_s + bench.duration_s + 100
        return guest.run(command, check=False, timeout_s=limit_s).status

    def _kernel_log(self, before: int, after: int) -> str:
        """Return what the kernel logged meanwhile, as JSON lines; mostly nothing, at no cost."""
        if after == before:
            return ""
        return self.guests["server"].run(instruments.kernel_log(before)).stdout

    def _counted(self) -> tuple[str, ...]:
        return (self.config.network.namespace, "lab0", "sslab-host")

    def _collect(self) -> dict[str, bytes]:
        """Fetch what server and client wrote; raise GuestError when a part is missing."""
        with ThreadPoolExecutor(2) as pool:
            parts = pool.map(lambda g: g.fetch(instruments.SCRATCH), self.guests.values())
        files = {name: content for part in parts for name, content in part.items()}
        for name in ("client.json", "server.json", "mpstat.json", "mpstat-started"):
            if not files.get(name):
                unit = f"testbed-{name.removesuffix('.json').removesuffix('-started')}"
                guest = self.guests["client" if unit == "testbed-client" else "server"]
                raise GuestError(
                    f"{name} is missing after the trial: {unit} died",
                    hint="`testbed bench` again; if it repeats, its last words are above",
                    detail=instruments.end_of(unit, guest),
                )
        return {name: content for name, content in files.items() if not name.endswith(".err")}

    def _expected_s(self) -> float:
        bench = self.config.bench
        return 2 * (bench.duration_s + bench.settle_s + bench.idle_s + bench.drain_s)


@dataclass
class Record:
    """What the loop itself knows of a trial; becomes trial.json."""

    trial: Trial
    destination: tuple[str, int]
    hits_before: list[int] | None = None
    hits_after: list[int] | None = None
    client_status: int | None = None
    mpstat_started_utc_ns: int | None = None
    windows_s: dict[str, float] = field(default_factory=dict)
    timeline: list[dict[str, Any]] = field(default_factory=list)
    piped: Event = field(default_factory=Event)  # the client's `go` can be written to

    def mark(self, event: str) -> None:
        """Note that `event` begins now."""
        now = {"utc_ns": time.time_ns(), "host_monotonic_ns": time.monotonic_ns()}
        self.timeline.append({"event": event, **now})

    def window(self, name: str, seconds: float) -> float:
        """Declare a waiting time and return it."""
        self.windows_s[name] = seconds
        return seconds

    def as_json(self) -> dict[str, Any]:
        """Return the content of trial.json."""
        return {
            "schema": 1,
            "block": self.trial.block,
            "position": self.trial.position,
            "arm": self.trial.arm,
            "trial": self.trial.block,
            "source_port": self.trial.source_port,
            "destination": f"{self.destination[0]}:{self.destination[1]}",
            "hits_before": self.hits_before,
            "hits_after": self.hits_after,
            "client_status": self.client_status,
            "mpstat_started_utc_ns": self.mpstat_started_utc_ns,
            "windows_s": self.windows_s,
            "timeline": self.timeline,
            "error": None,
        }
