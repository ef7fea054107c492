# SPDX-License-Identifier: Apache-2.0
"""One line of the doctor's: what was looked at, what was found, what to do about it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Level = Literal["ok", "note", "warning", "problem"]
"""`note`: good to know. `warning`: numbers may suffer. `problem`: it will not work."""
LEVELS: tuple[Level, ...] = get_args(Level)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A result; `fix` is one command or sentence, and empty exactly when all is well."""

    name: str
    level: Level
    found: str
    fix: str = ""

    def __post_init__(self) -> None:
        if (self.level == "ok") == bool(self.fix):
            raise ValueError(f"{self.name}: {self.level} with the fix {self.fix!r}")


def ok(name: str, found: str) -> Diagnosis:
    """Return a line about what is as it should be."""
    return Diagnosis(name, "ok", found)


def worst(diagnoses: Iterable[Diagnosis]) -> Level:
    """Return the worst level among them, ok when there are none."""
    return max((one.level for one in diagnoses), key=LEVELS.index, default="ok")
