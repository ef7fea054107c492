# SPDX-License-Identifier: Apache-2.0
"""Loads a run directory (docs/run-directory.md) into one frozen record.

`plan.json` must be there and readable: without it nothing is known, and that is an error. All
else may be missing: an interrupted run has no manifest and lacks trials, and its page says so.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.analysis.formats.document import read_json
from testbed.analysis.gate.files import outcomes_of
from testbed.analysis.gate.outcomes import GateOutcome
from testbed.analysis.reading.checksums import added, edited_of_trials
from testbed.analysis.reading.records import Arm, Boot, LoadTry, Probe, Resumption, Run, RunPart
from testbed.analysis.reading.trial import load_trial
from testbed.model.errors import ParseError, RunError
from testbed.model.json_node import Node
from testbed.model.plan import PROBE, READ_SCHEMAS, folder_of


def load_run(path: Path) -> Run:
    """Raises RunError when `path` is not a run directory, ParseError (file and place) when
    plan.json, manifest.json or a facts file does not hold what it should."""
    if not (path / "plan.json").is_file():
        raise RunError(
            f"{path} is not a run directory: it has no plan.json",
            hint="give the path of a directory below results/, or run `testbed bench` first",
        )
    plan = read_json(path, "plan.json")
    _check_schema(plan)
    arms = _arms(plan.get("arms"))
    blocks = tuple(
        tuple(name.as_text() for name in block.items()) for block in plan.get("blocks").items()
    )
    known = {arm.name for arm in arms}
    for index, block in enumerate(blocks):
        for name in block:
            if name not in known:
                raise ParseError(f"plan.json: blocks[{index}]: arm {name!r} has no manifest")
    manifest = _manifest(path)
    by_name = {arm.name: arm for arm in arms}
    done = dict.fromkeys(known, 0)
    trials = []
    reasons = [] if manifest else ["manifest.json is missing: the run did not finish"]
    for number, block in enumerate(blocks, start=1):
        for position, name in enumerate(block, start=1):
            done[name] += 1
            if not manifest and not (path / "raw" / folder_of(number, name)).is_dir():
                reasons.append(f"block {number}, {name}: not run")
                continue
            trials.append(
                load_trial(
                    path, block=number, position=position, arm=by_name[name], number=done[name]
                )
            )
    config = plan.find("config")
    gate, problems = _gate(path, [arm.name for arm in arms])
    return Run(
        run_id=str(manifest.get("run_id") or "") or path.resolve().name,
        complete=bool(manifest),
        reasons=tuple(reasons),
        command=_command(plan, manifest),
        profile=plan.optional_text("profile"),
        seed=plan.optional_integer("seed"),
        blocks=blocks,
        arms=arms,
        trials=tuple(trials),
        config=config.mapping() if config else {},
        manifest=manifest,
        facts=_facts(path),
        edited=edited_of_trials(path, manifest),
        added=added(path, manifest),
        gate=gate,
        problems=problems,
        load=_load(plan),
        probes=_probes(path, arms),
        resumed=_resumed(plan),
        boots=_boots(plan),
        parts=_parts(plan),
        built=_built(plan),
    )


def _gate(path: Path, arms: Sequence[str]) -> tuple[dict[str, GateOutcome], tuple[str, ...]]:
    """Return the gate's outcome by arm, and the problems of files that cannot be read."""
    found: dict[str, GateOutcome] = {}
    problems = []
    for arm in arms:
        try:
            found |= outcomes_of(path, [arm])
        except RunError as error:
            problems.append(error.message)
    return found, tuple(problems)


def _load(plan: Node) -> tuple[LoadTry, ...]:
    tries = plan.find("load")
    return tuple(_try(one) for one in (tries.items() if tries is not None else ()))


def _try(one: Node) -> LoadTry:
    host = one.find("host")
    return LoadTry(
        rate_pps=one.number("rate_pps"),
        achieved_pps=one.number("achieved_pps"),
        delivered_share=one.number("delivered_share"),
        idle_share=host.optional_number("idle_share") if host else None,
        waiting_share=host.optional_number("waiting_share") if host else None,
    )


def _resumed(plan: Node) -> tuple[Resumption, ...]:
    times = plan.find("resumed")
    return tuple(
        Resumption(block=one.integer("block"), utc=one.text("utc"))
        for one in (times.items() if times is not None else ())
    )


def _boots(plan: Node) -> tuple[Boot, ...]:
    boots = plan.find("boots")
    return tuple(
        Boot(block=one.integer("block"), server=one.text("server"), client=one.text("client"))
        for one in (boots.items() if boots is not None else ())
    )


def _parts(plan: Node) -> tuple[RunPart, ...]:
    parts = plan.find("parts")
    return tuple(
        RunPart(
            block=one.integer("block"),
            started_utc=one.optional_text("started_utc"),
            length_s=one.optional_number("length_s"),
        )
        for one in (parts.items() if parts is not None else ())
    )


def _built(plan: Node) -> dict[str, dict[str, str]]:
    built = plan.find("built")
    if built is None:
        return {}
    arms = {name: built.get(name) for name in built.mapping()}
    return {name: {file: made.text(file) for file in made.mapping()} for name, made in arms.items()}


def _probes(path: Path, arms: tuple[Arm, ...]) -> dict[str, Probe]:
    """Return the times of the arms' own counters in the probe pass, without arms that have none."""
    found = {}
    for arm in arms:
        name = f"raw/{folder_of(PROBE, arm.name)}/hook-after.json"
        if (path / name).is_file() and (probe := read_json(path, name).find("probe")):
            found[arm.name] = Probe(
                runs=probe.integer("runs"), run_time_ns=probe.integer("run_time_ns")
            )
    return found


def _check_schema(node: Node) -> None:
    schema = node.integer("schema")
    if schema not in READ_SCHEMAS:
        read = " and ".join(map(str, READ_SCHEMAS))
        raise RunError(
            f"{node.file}: schema {schema}, and this version reads schemas {read}",
            hint="use the version of testbed that wrote the run (its manifest names it)",
        )


def _arms(node: Node) -> tuple[Arm, ...]:
    """Manifests as a list, or as an object by name."""
    if isinstance(node.value, dict):
        manifests = tuple(node.get(name) for name in node.mapping())
    else:
        manifests = node.items()
    return tuple(_arm(manifest) for manifest in manifests)


def _arm(node: Node) -> Arm:
    expect = node.find("expect")
    name = node.text("name")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise node.fault("not an arm's name", "name")
    exhibit = node.find("exhibit")
    control = node.find("control")
    return Arm(
        name=name,
        title=node.optional_text("title") or name,
        summary=node.optional_text("summary"),
        semantic_class=node.optional_text("semantic_class"),
        hook=node.optional_text("hook"),
        exhibit=exhibit is not None and exhibit.value is True,
        original_name=node.optional_text("original_name"),
        expected_mode=expect.optional_text("mode") if expect else "",
        control_kind=control.optional_text("kind") if control else "",
        control_of=control.optional_text("of") if control else "",
    )


def _manifest(path: Path) -> dict[str, Any]:
    if not (path / "manifest.json").exists():
        return {}
    node = read_json(path, "manifest.json")
    _check_schema(node)
    if node.text("status") != "complete":
        raise node.fault(f'expected "complete", found {node.text("status")!r}', "status")
    return node.mapping()


def _command(plan: Node, manifest: dict[str, Any]) -> tuple[str, ...]:
    node = plan.find("command") or Node("manifest.json", "command", manifest.get("command", []))
    if isinstance(node.value, str):
        return (node.value,)
    return tuple(item.as_text() for item in node.items())


def _facts(path: Path) -> dict[str, dict[str, Any]]:
    """facts/*.json by name without the ending ("host", "server-before", …)."""
    files = sorted((path / "facts").glob("*.json"))
    return {file.stem: read_json(path, f"facts/{file.name}").mapping() for file in files}
