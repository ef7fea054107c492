# SPDX-License-Identifier: Apache-2.0
"""The starter and its solution, which are one source: `guest/starter/<arm>/`.

A solution lies between two comments on lines of their own:

    /* SOLUTION 1 */
    …
    /* END 1 */

The starter has a line that asks for code in its place. The comment above says what to do, and both
have it. So the two cannot drift apart, and the instructor's page prints what is tested.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.model.errors import ConfigError

MARKERS = "docs/handout.md has the markers"
HOLE = "/* your code, in place of this line */"
_BEGIN = re.compile(r"(\s*)/\* SOLUTION (\d+) \*/")
_END = re.compile(r"\s*/\* END (\d+) \*/")
BUILT = re.compile(r"\.(o|ko|mod|cmd|d)$|\.mod\.c$|\.skel\.h$|^loader$|^Module\.symvers$|\.order$")


@dataclass(frozen=True, slots=True)
class Hole:
    """One hole: its number within the arm, and the lines that fill it, indentation taken off."""

    number: int
    solution: str


@dataclass(frozen=True, slots=True)
class Exercise:
    """One arm to complete. `files` are those of the starter, `solved` those of the solution.

    `source` is the file with the holes.
    """

    name: str
    source: str
    files: Mapping[str, str]
    solved: Mapping[str, str]
    holes: tuple[Hole, ...]

    @property
    def listing(self) -> str:
        """The source as handed out, from its first comment on."""
        return self.files[self.source].partition("\n")[2]


def read_exercises(folder: Path) -> tuple[Exercise, ...]:
    """Return every exercise below `folder`, in the order of their names.

    Raises ConfigError that names the file and the line of a marker without its other half.
    """
    return tuple(_exercise(path.parent) for path in sorted(folder.glob("*/arm.toml")))


def _exercise(folder: Path) -> Exercise:
    files, solved, holes, source = dict[str, str](), dict[str, str](), list[Hole](), ""
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith(".") or BUILT.search(path.name):
            continue
        text = path.read_text(encoding="utf-8")
        files[path.name], solved[path.name], found = split(text, path)
        if found:
            source, holes = path.name, found
    if not holes:
        raise ConfigError(f"{folder}: no file has a hole", hint=MARKERS)
    return Exercise(folder.name, source, files, solved, tuple(holes))


def split(text: str, path: Path) -> tuple[str, str, list[Hole]]:
    """Return the starter, the solution and the holes of a source. Raises ConfigError."""
    starter, solved, holes = list[str](), list[str](), list[Hole]()
    within, begun, indent = list[str](), 0, ""
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        begin, end = _BEGIN.fullmatch(line.rstrip("\n")), _END.fullmatch(line.rstrip("\n"))
        if (begin and begun) or (end and int(end[1]) != begun):
            raise ConfigError(
                f"{path}, line {number}: a marker without its other half", hint=MARKERS
            )
        if begin:
            indent, begun, within = begin[1], int(begin[2]), []
            starter.append(f"{indent}{HOLE}\n")
        elif end:
            body = "".join(part.removeprefix(indent) for part in within)
            holes, begun = [*holes, Hole(begun, body)], 0
        else:
            solved.append(line)
            (within if begun else starter).append(line)
    if begun:
        raise ConfigError(f"{path}: SOLUTION {begun} has no END", hint=MARKERS)
    if [hole.number for hole in holes] != list(range(1, len(holes) + 1)):
        raise ConfigError(f"{path}: the holes are not numbered 1, 2, 3 …", hint=MARKERS)
    return "".join(starter), "".join(solved), holes
