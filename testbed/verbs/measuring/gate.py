# SPDX-License-Identifier: Apache-2.0
"""`testbed check`: do the arms do the same work? Crafted frames instead of a measurement."""

import secrets
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.edge.files.store import RunDir
from testbed.edge.output import screen
from testbed.lab.gate.examining import run_gate
from testbed.lab.guests import building
from testbed.model import arm as arm_manifest
from testbed.model.arm import BASELINE, FAIR
from testbed.model.errors import ArmError, ExitCode, Wrecked
from testbed.model.run_files import GATE, gated
from testbed.verbs.lab import Lab, print_json
from testbed.verbs.measuring.ready import ready_guests

if TYPE_CHECKING:
    from testbed.analysis.gate.outcomes import GateOutcome


def check(lab: Lab, names: Sequence[str], *, seed: int | None, as_json: bool) -> int:
    """Put the named arms, by default the fair ones, through the gate on running machines.

    The packets are drawn by `seed`, by a fresh one where it is None. Prints what came out and
    returns the exit code: 7 when any arm does other work. An arm that does not build, or fails in
    another way, ends no other: ArmError is raised when the others are judged and printed. Raises
    MachineError when the machines are not up, GuestError.
    """
    from testbed.analysis.gate.files import outcomes_of

    arms = arm_manifest.choose(lab.arms_dir, names or [BASELINE, *FAIR])
    drawn = secrets.randbelow(2**31) if seed is None else seed
    failed: dict[str, ArmError] = {}
    run_dir = RunDir(_scratch(lab))
    try:
        with ready_guests(lab, "check", arms, failed) as (_, guests):
            sound = [arm for arm in arms if arm.folder not in failed]
            run_gate(guests, sound, lab.config, run_dir, lab.terminal, drawn, failed)
    except Wrecked as error:
        if error not in failed.values():
            raise
    done = gated(run_dir.path)
    judged = [arm.name for arm in arms if arm.name in done]
    outcomes = outcomes_of(run_dir.path, judged)
    if as_json:
        told = [{"arm": name, "error": error.message} for name, error in failed.items()]
        print_json({
            "seed": drawn, "arms": [_as_json(outcome) for outcome in outcomes.values()],
            "failed": told,
        })  # fmt: skip
    else:
        _print(outcomes)
        lab.terminal.say(f"frames and captures: {run_dir.path / GATE}, seed {drawn}")
    if left := [arm.name for arm in arms if arm.name not in {*judged, *failed}]:
        lab.terminal.warn(f"not looked at, since the server is gone: {', '.join(left)}")
    building.demand_built(failed)
    same = all(outcome.same_work for outcome in outcomes.values())
    return int(ExitCode.OK if same else ExitCode.INVALID)


def _scratch(lab: Lab) -> Path:
    """Return an empty folder in the place of the last check's."""
    path = lab.checkout / ".testbed/check"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _print(outcomes: Mapping[str, "GateOutcome"]) -> None:
    from testbed.analysis.gate.matrix import reasons
    from testbed.analysis.gate.matrix_text import plain_text

    if not outcomes:
        return
    columns = screen.columns()
    print(plain_text(outcomes, columns))
    print()
    for arm, outcome in outcomes.items():
        count = f"{len(outcome.cases):,} cases, {outcome.rounds} round"
        count += f"{'s' if outcome.rounds > 1 else ''}, {outcome.took_s:.1f} s"
        lines = reasons(outcome)
        if not outcome.same_work:
            print(f"{arm}: OTHER WORK ({count})")
        elif lines or outcome.unexplained:
            print(f"{arm}: every packet that was seen is right, but some were not seen ({count})")
        else:
            print(f"{arm}: same work as the reference ({count})")
        for line in lines:
            print(textwrap.fill(line, columns, initial_indent="  ", subsequent_indent="    "))


def _as_json(outcome: "GateOutcome") -> dict[str, Any]:
    from testbed.analysis.gate.matrix import in_words

    hits = outcome.hits
    return {
        "arm": outcome.arm,
        "same_work": outcome.same_work,
        "cases": len(outcome.cases),
        "mismatches": outcome.mismatches,
        "not_seen": outcome.unseen,
        "lost_behind_nic": outcome.lost,
        "lost_on_link": outcome.lost_on_link,
        "counted_and_dropped": outcome.counted_behind,
        "rounds": outcome.rounds,
        "took_s": outcome.took_s,
        "hits": {"counted": hits.counted, "at_least": hits.at_least, "at_most": hits.at_most},
        "groups": {group.group: in_words(group) for group in outcome.groups},
        "wrong": [
            {"number": case.number, "group": case.group, "title": case.title, "field": case.field,
             "fault": case.fault, "detail": case.detail}
            for group in outcome.groups
            for case in group.mismatches
        ],
    }  # fmt: skip
