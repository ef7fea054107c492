# SPDX-License-Identifier: Apache-2.0
"""`testbed count`: how many instructions a packet takes, whatever else this computer does."""

import secrets
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from testbed.edge.files.store import RunDir
from testbed.edge.hypervisor.states import RUNNING
from testbed.edge.output.terminal import Terminal
from testbed.lab.counting import commandline, server
from testbed.lab.counting import plugin as counter_plugin
from testbed.lab.counting.arm import Counting, receiver_json
from testbed.lab.counting.identity import identity, of_box
from testbed.lab.counting.machine import CountingMachine
from testbed.lab.counting.plugin import Plugin
from testbed.lab.gate.examining import run_gate
from testbed.lab.guests.deploy import Wanted
from testbed.lab.guests.offloads import gro_as_configured
from testbed.lab.machines.machines import Machines
from testbed.model import arm as arm_manifest
from testbed.model import count_files
from testbed.model.arm import BASELINE, FAIR, Arm
from testbed.model.errors import ExitCode, UsageError
from testbed.model.nic import NICS
from testbed.verbs.lab import Lab
from testbed.verbs.measuring.ready import ready_guests
from testbed.verbs.reporting import receipts
from testbed.verbs.reporting.results import report_count
from testbed.verbs.upkeep.machines import tell_left_out

LATEST = "latest-count"


def count(
    lab: Lab, names: Sequence[str], payloads: Sequence[int], packets: int, *, as_json: bool
) -> int:
    """Count the named arms, by default the fair ones and no hook; print a table or JSON.

    The gate is asked first where the pair of machines is up. Returns the exit code: 7 where an arm
    does other work or a count is not whole. Raises HostError (no QEMU, plugin, gcc), MachineError,
    ArmError, GuestError.
    """
    arms = arm_manifest.choose(lab.arms_dir, names or [BASELINE, *FAIR])
    payloads = list(dict.fromkeys(payloads)) or [lab.config.bench.payload_bytes]
    _handler(lab)
    counter_plugin.build(lab.machines.account, lab.checkout)
    run_dir = RunDir.create(lab.results)
    gate = _gate(lab, lab.machines, arms, run_dir)
    record(lab, arms, payloads, packets, run_dir, gate=gate)
    return _show(lab, run_dir, as_json=as_json)


def record(
    lab: Lab, arms: Sequence[Arm], payloads: Sequence[int], packets: int, run_dir: RunDir,
    *, gate: dict[str, bool] | None,
) -> None:  # fmt: skip
    """Count arms into a run directory, on the counting machine. Raises as `count` does."""
    with lab.alone("count"):
        sources = Wanted.read(lab.checkout, arms)
        tell_left_out(lab, sources)
        record_of(lab, sources, arms, payloads, packets, run_dir, gate=gate)


def record_of(
    lab: Lab, sources: Wanted, arms: Sequence[Arm], payloads: Sequence[int], packets: int,
    run_dir: RunDir, *, gate: dict[str, bool] | None,
) -> None:  # fmt: skip
    """The same for one that holds the lock, and has read the sources already."""
    machines = lab.machines
    handler = _handler(lab)
    plugin = counter_plugin.build(machines.account, lab.checkout)
    machine = _machine(lab, machines, plugin)
    _prepare(lab, machine, sources)
    facts = _count(lab, machine, plugin, arms, payloads, packets, run_dir, handler)
    facts |= {"gate": gate, "packets": packets, "payloads": list(payloads)}
    stamps = sources.stamps()
    facts["sources"] = {arm.name: stamps[arm.folder] for arm in arms}
    run_dir.write_json(f"{count_files.FOLDER}/{count_files.INDEX}", facts)


def _handler(lab: Lab) -> str:
    nic, known = NICS[lab.config.machines.nic_model], [n.model for n in NICS.values() if n.handler]
    if nic.handler is None:
        raise UsageError(
            f"counting knows the interrupt of {', '.join(known)}, and nic_model is {nic.model}",
            hint=f'set nic_model = "{known[0]}" in testbed.toml to count',
        )
    return nic.handler


def _gate(
    lab: Lab, machines: Machines, arms: Sequence[Arm], run_dir: RunDir
) -> dict[str, bool] | None:
    """Return {arm: does the reference's work}; None where the pair of machines is not up."""
    if set(machines.states().values()) != {RUNNING}:
        lab.terminal.warn(
            "the gate was not run: the machines are not up. `testbed up` before the count lets it "
            "prove that the arms do the same work"
        )
        return None
    with ready_guests(lab, "count", arms) as (_, guests):
        run_gate(guests, arms, lab.config, run_dir, lab.terminal, secrets.randbelow(2**31))
    return gate_of(run_dir, arms)


def gate_of(run_dir: RunDir, arms: Sequence[Arm]) -> dict[str, bool]:
    """Return {arm: does the reference's work}, as the gate of this run found it."""
    from testbed.analysis.gate.files import outcomes_of

    outcomes = outcomes_of(run_dir.path, [arm.name for arm in arms])
    return {name: outcome.same_work for name, outcome in outcomes.items()}


def _machine(lab: Lab, machines: Machines, plugin: Plugin) -> CountingMachine:
    machines.project.claim()
    if (cpus := lab.config.machines.server.cpus) != 1:
        lab.terminal.say(f"a packet's way is counted on one CPU; the pair's server has {cpus}")
    box = machines.boxes.build(lab.terminal)
    return CountingMachine(
        machines.account, machines.project.path / "count", box, machines.boxes.private_key,
        lab.config.machines.server.memory_mb, lab.config.machines.nic_model, plugin.qemu,
        commandline.kernel_parameters(lab.checkout), lab.terminal,
    )  # fmt: skip


def _prepare(lab: Lab, machine: CountingMachine, sources: Wanted) -> None:
    """Make sure that the saved state holds what these arms need."""
    saved = machine.saved()
    before = saved["holds"] if saved else None
    wanted = server.holds(sources, lab.config, before)
    if before == wanted:
        return
    title = "counting machine: build arms, save" if saved else "counting machine: boot, build, save"
    with (
        lab.terminal.step(title, expect_s=30 if saved else 75),
        machine.prepared(wanted) as guest,
    ):
        server.prepare(guest, server.lacking(sources, lab.config, before), lab.config)


def _count(
    lab: Lab, machine: CountingMachine, plugin: Plugin, arms: Sequence[Arm],
    payloads: Sequence[int], packets: int, run_dir: RunDir, handler: str,
) -> dict[str, Any]:  # fmt: skip
    """Count every arm on the restored machine; return what count.json holds of it."""
    started = datetime.now(timezone.utc).isoformat(timespec="seconds")
    with machine.counting(plugin) as running, gro_as_configured(running.guest, lab.config):

        def identified() -> dict[str, Any]:
            known = identity(running.guest, plugin, machine.nic_model, machine.box.name)
            return {**known, **of_box(machine.box), "gro": lab.config.bench.gro}

        known = identified()
        counting = Counting(running, lab.config.network, handler, identified)
        for arm in arms:
            with lab.terminal.step(f"count {arm.name}", expect_s=4, kind="count an arm"):
                for condition, files in counting.count(arm, payloads, packets):
                    folder = f"{count_files.FOLDER}/{condition.counted}"
                    for name, content in files.items():
                        run_dir.write(f"{folder}/{name}", content)
        received = receiver_json(server.received(running.guest))
    return {
        "schema": count_files.SCHEMA,
        "command": ["testbed", *sys.argv[1:]],
        "started_utc": started,
        "arms": [arm.name for arm in arms],
        "titles": {arm.name: arm.title for arm in arms},
        "received": received,
        "identity": known,
    }


def _show(lab: Lab, run_dir: RunDir, *, as_json: bool) -> int:
    from testbed.analysis.counting import table

    # Nothing that is made from the raw files has a checksum: `report` makes it again.
    run_dir.close({"schema": count_files.SCHEMA, "kind": "count"})
    _point_latest(run_dir.path)
    with _reading(lab.terminal):
        judged = receipts.rendered(lab, run_dir.path)
    done = report_count(judged, run_dir.path)
    if as_json:
        print(done.findings, end="")
    else:
        compared = {one.arm for one in judged.comparable}
        void = [arm for arm in judged.run.result.arms if arm not in compared]
        print(table.text(judged.run.result, void))
        print(done.answer)
        print(done.page)
    return int(ExitCode.INVALID if done.invalid else ExitCode.OK)


def _reading(terminal: Terminal) -> Any:
    return terminal.step("names, contexts, causes", expect_s=8)


def _point_latest(path: Path) -> None:
    link = path.parent / LATEST
    new = link.with_name(f".{LATEST}-new")
    new.unlink(missing_ok=True)
    new.symlink_to(path.name)
    new.replace(link)
