# SPDX-License-Identifier: Apache-2.0
"""The testbed's files in a guest, built ones included: paths and checksums, in parts.

A part is replaced as a whole: an arm's folder is one, all the rest (programs and shared headers) is
another. The measured files are those in these records; any other file was changed by somebody.
"""

import hashlib
import json
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PROGRAMS = "."
"""The part that is no arm."""
SHARED = "include"
"""The one folder below arms/ that is no arm's."""
MOST_NAMED = 3


def part_of(path: str) -> str:
    """Return the part that a path belongs to; it counts from the guest's folder of sources."""
    words = path.split("/")
    return words[1] if len(words) > 2 and words[0] == "arms" and words[1] != SHARED else PROGRAMS


@dataclass(frozen=True)
class Part:
    """One part: what it was made from, and its files, each path with its SHA-256.

    `stamp` is empty while nobody knows what is there: it is being replaced, or was damaged.
    """

    stamp: str = ""
    pushed: Mapping[str, str] = field(default_factory=dict)
    made: Mapping[str, str] = field(default_factory=dict)
    """The files that the build left beside its sources: `load` will use them."""

    @property
    def files(self) -> dict[str, str]:
        """Every file of the part."""
        return {**self.pushed, **self.made}


@dataclass(frozen=True)
class Deployed:
    """All parts of one guest. `lies` is every file that lay there when they were complete."""

    parts: Mapping[str, Part] = field(default_factory=dict)
    lies: Mapping[str, str] = field(default_factory=dict)

    def with_parts(self, parts: Mapping[str, Part]) -> "Deployed":
        """Return the same with some parts replaced."""
        return Deployed({**self.parts, **parts}, self.lies)

    def still_there(self, lies: Mapping[str, str]) -> "Deployed":
        """Return the record without parts of which nothing is left: the machine was made anew."""
        there = {part_of(path) for path in lies}
        return Deployed({name: part for name, part in self.parts.items() if name in there})

    def stamp(self, names: Iterable[str]) -> str:
        """Return a hash over what the programs and these arms were made from."""
        stamps = {name: self.parts.get(name, Part()).stamp for name in (PROGRAMS, *names)}
        return hashlib.sha256(json.dumps(stamps, sort_keys=True).encode()).hexdigest()

    def tampered(self, lies: Mapping[str, str]) -> dict[str, list[str]]:
        """Return what is not as it was recorded, by part."""
        found = {}
        for name, part in self.parts.items():
            there = {path: sha for path, sha in lies.items() if part_of(path) == name}
            if part.stamp and (changed := changes(part.files, there)):
                found[name] = changed
        return found

    def as_json(self) -> dict[str, Any]:
        """Return what `parse` reads."""
        return {
            name: {"stamp": part.stamp, "pushed": dict(part.pushed), "made": dict(part.made)}
            for name, part in self.parts.items()
        }

    @classmethod
    def parse(cls, document: Mapping[str, Any] | None) -> "Deployed":
        """Return what was recorded; nothing where that cannot be read."""
        try:
            return cls({
                name: Part(str(part["stamp"]), dict(part["pushed"]), dict(part["made"]))
                for name, part in (document or {}).items()
            })  # fmt: skip
        except (KeyError, TypeError, ValueError):
            return cls()


def changes(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the paths that differ, each with how: added, changed or removed."""
    return [
        f"{_plain(path)} ({_how(path, was, now)})"
        for path in sorted(was.keys() | now.keys())
        if was.get(path) != now.get(path)
    ]


def named(changed: Sequence[str]) -> str:
    """Return the first of the changes, for a sentence, and how many more there are."""
    more = len(changed) - MOST_NAMED
    return ", ".join(changed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def leading_out(name: str, lies: Mapping[str, str]) -> list[str]:
    """Return what in a part is neither a file nor a link to one of its own or of the shared ones.

    `lies` is every file of the guest.
    """
    found = []
    for path, what in lies.items():
        kind, arrow, target = what.partition(">")
        end = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
        inside = end in lies and part_of(end) in (name, PROGRAMS)
        if arrow and part_of(path) == name and not (kind == "l" and inside):
            found.append(f"{_plain(path)} → {_plain(target)}" if kind == "l" else _plain(path))
    return found


def _how(path: str, was: Mapping[str, str], now: Mapping[str, str]) -> str:
    if path not in was:
        return "added"
    return "changed" if path in now else "removed"


def _plain(text: str) -> str:
    """A guest chose the name: what would act on a terminal is replaced."""
    return "".join(char if char.isprintable() else "\ufffd" for char in text)
