# SPDX-License-Identifier: Apache-2.0
"""One sheet as a page: the outline filled with texts, commands, sources and figures."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.analysis.formats.templates import render
from testbed.handout import outline
from testbed.handout.catalogue import Catalogue, read_texts
from testbed.handout.commands import FINISHED, WORKSHOP, Command, by_id, commands_of
from testbed.handout.diagram import draw_path
from testbed.handout.exercises import Exercise
from testbed.handout.facts import facts_of
from testbed.handout.outline import Part
from testbed.handout.path import place_of
from testbed.handout.sample import Sample, invalid_of_the_published
from testbed.model.arm import FAIR, Arm, placeholders
from testbed.model.config import Config
from testbed.model.errors import ConfigError, UsageError
from testbed.model.nic import NICS

FOLDER = "handout"
TEMPLATE = "handout.html.j2"


@dataclass(frozen=True, slots=True)
class Sheet:
    """Everything that a sheet is made from; `sample` is None where there is no sample run."""

    config: Config
    arms: Mapping[str, Arm]
    arms_dir: Path
    exercises: Sequence[Exercise]
    templates: Path
    sample: Sample | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question with its number on the sheet; `id` is its key in the catalogue."""

    number: int
    id: str
    marks: int


def render_sheet(sheet: Sheet, language: str, *, instructor: bool) -> str:
    """Return the page of one language, with answers or without.

    Raises ConfigError for a catalogue, UsageError for a template, that cannot be used: with the
    file, and the key or the line.
    """
    facts = facts_of(sheet.config, sheet.arms, sheet.arms_dir) | _sums(sheet)
    text = _catalogue(sheet, language, facts)
    commands = by_id(commands_of(sheet.config))
    questions = _questions()
    variables: dict[str, Any] = {
        "lang": language,
        "instructor": instructor,
        "t": text,
        "drawing": draw_path(list(sheet.arms.values()), text),
        "arms": [_arm(arm, text) for arm in sheet.arms.values()],
        "manifest": _manifest_commands(sheet),
        "setup": [commands[name] for name in outline.SETUP.names],
        "end": [commands[name] for name in outline.END.names],
        "tasks": [
            {"number": number, "task": task,
             "parts": [_part(part, commands, questions, sheet) for part in task.parts]}
            for number, task in enumerate(outline.TASKS, start=1)
        ],
        "closing": [questions[part.names[0]] for part in outline.CLOSING],
        "aims": outline.AIMS,
        "hand_in": outline.HAND_IN,
        "troubles": outline.TROUBLES,
        "teaching": outline.TEACHING,
        "fair_arms": FAIR,
        "sample": sheet.sample,
        "exits": _exits,
    }  # fmt: skip
    try:
        return render(sheet.templates, TEMPLATE, variables)
    except UsageError as error:
        if isinstance(error.__cause__, ConfigError):  # the catalogue's fault, not the template's
            raise error.__cause__ from None
        raise


def _catalogue(sheet: Sheet, language: str, facts: Mapping[str, str]) -> Catalogue:
    """Return the texts, one of which is a fact of others: whether the driver has XDP."""
    folder = sheet.templates / FOLDER
    path = folder / f"{language}.toml"
    text = Catalogue(language, path, read_texts(folder, language), facts)
    nic = NICS[sheet.config.machines.nic_model]
    here = text.plain("xdp.driver" if nic.native_xdp else "xdp.no-driver")
    return replace(text, facts={**facts, "xdp_here": here})


def _sums(sheet: Sheet) -> dict[str, str]:
    """Return the sums of the outline, and the places of things."""
    code = next(part for task in outline.TASKS for part in task.parts if part.kind == "holes")
    holes = next(len(each.holes) for each in sheet.exercises if each.name == code.names[0])
    return {
        **{f"task_{task.id}": str(n) for n, task in enumerate(outline.TASKS, start=1)},
        "hole_marks": f"{code.marks / holes:g}",
        "marks_total": str(outline.MARKS),
        "minutes": str(outline.MINUTES),
        "hours": f"{outline.MINUTES / 60:.1f}",
        "workshop": WORKSHOP,
        "pub_invalid": ", ".join(invalid_of_the_published()),
    }


def _questions() -> dict[str, Question]:
    """Return the questions by their keys, numbered through."""
    parts = [*(part for task in outline.TASKS for part in task.parts), *outline.CLOSING]
    asked = [part for part in parts if part.kind == "question"]
    return {
        part.names[0]: Question(number, part.names[0], part.marks)
        for number, part in enumerate(asked, start=1)
    }


def _part(
    part: Part, commands: Mapping[str, Command], questions: Mapping[str, Question], sheet: Sheet
) -> dict[str, Any]:
    name = part.names[0]
    view: dict[str, Any] = {"kind": part.kind, "name": name, "marks": part.marks}
    if part.kind == "run":
        view["commands"] = [commands[each] for each in part.names]
    elif part.kind == "question":
        view["question"] = questions[name]
    elif part.kind in ("listing", "holes"):
        view["exercise"] = next(each for each in sheet.exercises if each.name == name)
    return view


def _arm(arm: Arm, text: Catalogue) -> dict[str, Any]:
    place = place_of(arm)
    known = f"class.{arm.semantic_class}"
    return {
        "arm": arm,
        "place": text(f"stage.{place}") if place else "",
        "mode": arm.expect.mode,
        "class": text(known) if text.has(known) else arm.semantic_class,
    }


def _manifest_commands(sheet: Sheet) -> dict[str, list[str]]:
    """Return how each fair arm is loaded, with this configuration's values, as shell lines."""
    found = {}
    for name in FAIR:
        arm = sheet.arms[name]
        values = placeholders(sheet.config.network, "")
        found[name] = [shlex.join(argv) for argv in arm.resolve(arm.commands.load, values)]
    return found


def _exits(command: Command) -> str:
    """Return the key of what to say about a command's exit code; "" for an ordinary one."""
    if command.exits == FINISHED:
        return "exit.finished"
    return "" if command.exits == (0,) else "exit.invalid"
