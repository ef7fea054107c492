# SPDX-License-Identifier: Apache-2.0
"""The experiment: for each block, for each arm, one trial.

This page is the method. The command of each step is in `guests/jobs.py` and in the arm's manifest;
whatever a step starts, the step itself promises to undo.
"""

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from testbed.edge.files.store import RunDir
from testbed.edge.guests.guest import Guest
from testbed.edge.output.terminal import Terminal
from testbed.edge.output.uninterrupted import uninterrupted
from testbed.lab.experiment.host_readings import HostReadings
from testbed.lab.experiment.own_packets import thinned
from testbed.lab.experiment.trial_record import TrialRecord
from testbed.lab.guests import jobs
from testbed.lab.guests.blame import blamed
from testbed.lab.guests.cleanup import undoing
from testbed.lab.guests.hook import Hook
from testbed.model.arm import Arm
from testbed.model.config import BenchConfig, Config
from testbed.model.errors import GuestError
from testbed.model.plan import PROBE, Plan, Trial

CALM = 1 / 3
"""A quiet part of the settling time, so that the last reading's own traces pass."""
Grow = Callable[[Plan], Plan]
Witness = Callable[[Trial, str], None]


@dataclass(frozen=True)
class Experiment:
    """Everything that the trials need.

    `arms` holds each arm of the plan by the name that the plan has for it. `repeats` is how many
    times a trial sends its traffic; of a resumed run `blocks_done` are left out. `witness` is told
    of every step as it begins.
    """

    config: Config
    plan: Plan
    arms: Mapping[str, Arm]
    guests: Mapping[str, Guest]
    host: HostReadings
    run_dir: RunDir
    terminal: Terminal
    repeats: int = 1
    blocks_done: int = 0
    witness: Witness = lambda trial, step: None

    def under(self, bench: BenchConfig) -> "Experiment":
        """Return this experiment with other settings of its trials, their load among them."""
        config = self.config.model_copy(update={"bench": bench})
        return replace(self, config=config, plan=self.plan.under(bench))

    def at_a_fixed_rate(self) -> "Experiment":
        """Return this experiment with a warm-up that finds out nothing: the load is known."""
        once = {"adapt_load": False, "warm_up": min(1, self.config.bench.warm_up)}
        return self.under(self.config.bench.model_copy(update=once))

    def run(self, grow: Grow = lambda plan: plan, until: int | None = None) -> None:
        """Run every trial of the plan, in its order; the run directory holds the outcome.

        `until` is the last block of a part, after which the machines are booted anew. When all is
        done `grow` may return a longer plan. Raises ArmError or GuestError at the first step that
        fails. Then, as after Ctrl-C, hooks are unloaded, nothing runs in the guests, finished
        trials stay.
        """
        plan, number, done, started = self.plan, self.blocks_done, 0, time.monotonic()
        skipped = sum(len(block) for block in plan.blocks[:number])
        with self.terminal.trials():
            while number < (until or len(plan.blocks)):
                number += 1
                for trial in plan.block(number):
                    each_s = (time.monotonic() - started) / done if done else self._expected_s()
                    nth = skipped + done + 1
                    left_s = each_s * (len(plan) - nth + 1)
                    self.terminal.trial(nth, len(plan), trial.block, trial.arm, left_s)
                    self.trial(trial)
                    done += 1
                if number == len(plan.blocks):
                    plan = grow(plan)

    def probe(self) -> None:
        """One more trial of every arm with counters on that slow the path down.

        Apart from the trials that are compared: `kernel.bpf_stats_enabled` times each run of a
        BPF program, which costs about as much as the shortest of them (20 ns on hardware).
        """
        server = self.guests["server"]
        with ExitStack() as undo:
            undo.callback(server.run, ["sysctl", "-qw", "kernel.bpf_stats_enabled=0"])
            server.run(["sysctl", "-qw", "kernel.bpf_stats_enabled=1"])
            for trial in self.plan.probing():
                self.terminal.say(f"probe pass: {trial.arm}")
                self.trial(trial)

    def trial(self, trial: Trial) -> None:
        """Run one trial; its folder under raw/ is written when it has ended well."""
        server, client = (self.guests[role] for role in ("server", "client"))
        hook = Hook(self.arms[trial.arm], server, self.config.network, trial.condition.interface)
        bench = self.config.bench
        record = TrialRecord(trial, hook.destination, self.host, partial(self.witness, trial))

        # Undoing comes before the threads are waited for: it ends what they wait for.
        with blamed(hook), ThreadPoolExecutor(3) as beside, ExitStack() as undo:
            begun: list[Future[Any]] = []
            undo.push(undoing(self.guests, hook, begun, self.terminal))
            record.mark("load")
            with uninterrupted():  # none begins that the undoing does not know
                begun.append(receiving := beside.submit(self._prepare_server, trial))
                # Prepared now, begins at `go`.
                begun.append(sending := beside.submit(self._send, record))
            record.read_memory("load", server.memory)
            hook.load()

            record.mark("settle")  # what starts now, and the first look, are over before `idle`
            settled = time.monotonic() + record.window("settle", bench.settle_s)
            record.mpstat_started_utc_ns = server.begin(jobs.mpstat())["started_utc_ns"]
            with uninterrupted():
                begun.append(asking := beside.submit(hook.state))
            before, hook_before = self._look("before", record, asking)
            self._both_prepared(receiving, record)
            time.sleep(max(bench.settle_s * CALM, settled - time.monotonic()))

            record.mark("idle")
            server.go()
            record.read_host("idle")
            time.sleep(record.window("idle", bench.idle_s))

            record.mark("traffic")
            if sending.done():
                sending.result()  # it failed: its own words, not those of a `go` nobody heard
            record.read_host("traffic")
            client.go()
            record.client_status = sending.result()
            record.read_host("end")
            drained = time.monotonic() + record.window("drain", bench.drain_s)

            record.mark("counters after")
            with uninterrupted():
                begun.append(asking := beside.submit(hook.state_after, probe=trial.block == PROBE))
            after, hook_after = self._look("after", record, asking)
            kernel_log = self._kernel_log(before["kmsg_sequence"], after["kmsg_sequence"])
            # The server has acknowledged the end: no packet comes after that.
            self._unload(hook, record)
            time.sleep(max(0.0, drained - time.monotonic()))  # mpstat's last second ends

            record.mark("collect")
            server.stop([jobs.MPSTAT, jobs.SERVER])
            files = self._collect(record)
            record.mark("undo")
        record.mark("end")

        files = thinned(files, self.config.network) | {"kernel-log.jsonl": kernel_log.encode()}
        hooks = {"hook-before": hook_before, "hook-after": hook_after}
        self._write(record, files, {"before": before, "after": after, **hooks})

    @staticmethod
    def _unload(hook: Hook, record: TrialRecord) -> None:
        """Unload the hook and prove that it is gone; then see what memory it has left behind."""
        hook.unload()
        hook.prove_gone()
        record.read_memory("gone", hook.server.memory)
        hook.prove_untouched()

    def _write(
        self, record: TrialRecord, files: Mapping[str, bytes], documents: Mapping[str, Any]
    ) -> None:
        """Put everything into the trial's folder; trial.json last, so that it means: whole."""
        record.demand_awake()
        folder = f"raw/{record.trial.folder}"
        for name, content in files.items():
            self.run_dir.write(f"{folder}/{name}", content)
        for name, value in {**documents, "host": record.host_as_json()}.items():
            self.run_dir.write_json(f"{folder}/{name}.json", value)
        self.run_dir.write_json(f"{folder}/trial.json", record.as_json())

    def _prepare_server(self, trial: Trial) -> None:
        """Start the server; it has its socket and waits for `go`."""
        guest = self.guests["server"]
        guest.scratch(jobs.SCRATCH)
        begun = guest.begin(jobs.server(self.config, trial.condition, self.repeats))
        if begun["status"] != 0:
            raise GuestError(
                "the server did not start",
                hint="its own words are above; `testbed ssh server` lets you look",
                detail=begun["stderr"] or begun["stdout"],
            )

    def _send(self, record: TrialRecord) -> int:
        """Prepare the client, and send at `go`; return 0, or 1 when not all of it arrived."""
        guest = self.guests["client"]
        job = jobs.client(self.config, record.trial, record.destination, self.repeats)
        try:
            guest.scratch(jobs.SCRATCH)
        finally:
            record.piped.set()
        return int(guest.begin(job)["status"] != 0)

    @staticmethod
    def _both_prepared(receiving: Future[Any], record: TrialRecord) -> None:
        """Wait until the server waits for `go`, and the client can be told."""
        receiving.result()
        record.piped.wait()

    def _look(
        self, when: str, record: TrialRecord, asking: Future[Any]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read the server's counters and clock, while beside it the hook is asked for its own."""
        server = self.guests["server"]
        record.read_clock(when, server.uptime_s)
        interfaces = (record.trial.condition.interface, "sslab-host")
        counted = jobs.snapshot(self.config.network.namespace, *interfaces)
        return server.json("snapshot", counted), asking.result()

    def _kernel_log(self, before: int, after: int) -> str:
        """Return what the kernel logged meanwhile, as JSON lines; mostly nothing, at no cost."""
        if after == before:
            return ""
        return self.guests["server"].program("snapshot", jobs.kernel_log(before)).stdout

    def _collect(self, record: TrialRecord) -> dict[str, bytes]:
        """Fetch what server and client wrote; raise GuestError when one of them wrote nothing.

        mpstat carries no number of the comparison: where its file is missing or cut off, the
        trial is kept, and a finding says so.
        """
        with ThreadPoolExecutor(2) as pool:
            parts = pool.map(lambda g: g.fetch(jobs.SCRATCH), self.guests.values())
        files = {name: content for part in parts for name, content in part.items()}
        for name in ("client.json", "server.json"):
            if not files.get(name):
                role = name.removesuffix(".json")
                job = f"testbed-{role}"
                raise GuestError(
                    f"{name} is missing after the trial: {job} died",
                    hint="`testbed bench` again; if it repeats, its last words are above",
                    detail=jobs.end_of(job, self.guests[role]),
                )
        return {name: content for name, content in files.items() if not name.endswith(".err")}

    def _expected_s(self) -> float:
        bench = self.config.bench
        traffic_s = self.repeats * (bench.duration_s + jobs.BETWEEN_S)
        return 1.2 * (traffic_s + bench.settle_s + bench.idle_s + bench.drain_s)
