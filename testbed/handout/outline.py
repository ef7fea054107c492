# SPDX-License-Identifier: Apache-2.0
"""The order of the sheet in every language: tasks, their parts, marks and minutes."""

from dataclasses import dataclass
from typing import Literal

from testbed.handout.commands import MODULE, PROGRAM

Kind = Literal["text", "predict", "run", "listing", "holes", "question", "table"]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a task. `names` are keys of texts, ids of commands, or an exercise's name."""

    kind: Kind
    names: tuple[str, ...]
    marks: int = 0


@dataclass(frozen=True, slots=True)
class Task:
    """One numbered task; `minutes` is what it takes a pair of students."""

    id: str
    minutes: int
    parts: tuple[Part, ...]

    @property
    def marks(self) -> int:
        """The marks of the task."""
        return sum(part.marks for part in self.parts)


def _text(name: str) -> Part:
    return Part("text", (name,))


def _predict(name: str) -> Part:
    return Part("predict", (name,))


def _run(*names: str) -> Part:
    return Part("run", names)


def _question(name: str, marks: int) -> Part:
    return Part("question", (name,), marks)


def _code(exercise: str, marks: int) -> tuple[Part, ...]:
    return Part("listing", (exercise,)), Part("holes", (exercise,), marks)


SETUP = _run("setup", "activate")
TASKS = (
    Task("up", 15, (
        _predict("up"),
        _run("up", "status"),
        _text("up-look"),
        _run("driver", "inside", "way", "ping"),
        _question("driver", 3),
        _question("baseline", 3),
    )),
    Task("module", 35, (
        _text("module-starter"),
        _run("starter"),
        *_code(MODULE, 12),
        _predict("module"),
        _run("module-empty"),
        _question("untouched", 3),
        _text("module-complete"),
        _run("module"),
        _question("writable", 3),
    )),
    Task("program", 35, (
        _text("program-start"),
        *_code(PROGRAM, 12),
        _predict("program"),
        _run("program-empty", "program"),
        _question("verifier", 3),
        _question("generic", 3),
    )),
    Task("check", 15, (
        _predict("check"),
        _run("all"),
        _question("arrival", 4),
        _question("stage", 3),
    )),
    Task("trials", 25, (
        _predict("trials"),
        _run("bench"),
        _text("trials-page"),
        Part("table", ("trials",)),
        _question("figures", 4),
        _question("interval", 5),
        _question("share", 3),
    )),
    Task("mpstat", 20, (
        _predict("mpstat"),
        _run("mpstat", "tick", "stat"),
        _question("average", 3),
        _question("ticks", 3),
        _question("exact", 3),
    )),
    Task("count", 20, (
        _predict("count"),
        _run("count"),
        _text("count-page"),
        _question("stages", 3),
        _question("moved", 3),
    )),
    Task("published", 30, (
        _text("published-claim"),
        _predict("published"),
        _run("original", "errors", "exhibits", "published"),
        _question("wrong", 7),
        _question("length", 3),
        _question("succeed", 2),
    )),
    Task("fair", 25, (
        _text("fair-task"),
        _predict("fair"),
        _run("again", "beside", "runs"),
        _question("design", 6),
    )),
)  # fmt: skip
CLOSING = (_question("sentence", 2), _question("driver-xdp", 2), _question("payload", 2))
END = _run("down")
MARKS = sum(task.marks for task in TASKS) + sum(part.marks for part in CLOSING)
MINUTES = sum(task.minutes for task in TASKS)
AIMS = ("path", "write", "prove", "measure", "judge")
HAND_IN = ("code", "answers", "run", "design")
TROUBLES = ("merged", "mpstat", "btf", "kvm", "up", "build", "load", "lossy", "stuck")
"""The first three are those that the original's report tells of."""
TEACHING = ("before", "during", "marking", "time")
