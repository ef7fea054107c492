# SPDX-License-Identifier: Apache-2.0
"""Loads a run directory (docs/run-directory.md) into one frozen record.

`plan.json` must be there and readable: without it nothing is known, and that is an error. All
else may be missing: an interrupted run has no manifest and lacks trials, and its page says so.
"""

from pathlib import Path
from typing import Any

from testbed.analysis.document import Node, read_json
from testbed.analysis.records import Arm, Run
from testbed.analysis.trial import load_trial
from testbed.model.errors import ParseError, RunError

SCHEMA = 1


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
            if not manifest and not (path / f"raw/{number:02d}-{name}").is_dir():
                reasons.append(f"block {number}, {name}: not run")
                continue
            trials.append(
                load_trial(
                    path, block=number, position=position, arm=by_name[name], number=done[name]
                )
            )
    config = plan.find("config")
    return Run(
        run_id=str(manifest.get("run_id", "")) or path.resolve().name,
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
    )


def _check_schema(node: Node) -> None:
    schema = node.integer("schema")
    if schema != SCHEMA:
        raise RunError(
            f"{node.file}: schema {schema}, and this version reads schema {SCHEMA}",
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
    if not name or "/" in name or name.startswith("."):
        raise node.fault("not an arm's name", "name")
    exhibit = node.find("exhibit")
    return Arm(
        name=name,
        title=node.optional_text("title") or name,
        summary=node.optional_text("summary"),
        semantic_class=node.optional_text("semantic_class"),
        hook=node.optional_text("hook"),
        exhibit=exhibit is not None and exhibit.value is True,
        original_name=node.optional_text("original_name"),
        expected_mode=expect.optional_text("mode") if expect else "",
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
