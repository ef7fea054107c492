# SPDX-License-Identifier: Apache-2.0
"""Which files of a folder may go into a guest, and why the others may not.

The folder may be anybody's. Only plain files, and links to plain files of the same folder, are
taken, and no more than a bound. Nothing is opened before it is known to be one of those.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from testbed.model.errors import ArmError, HostError

MOST_ENTRIES = 20_000
MOST_FILE_BYTES = 32 << 20
MOST_BYTES = 64 << 20
"""The arms here have 60 kB together; a compressed tar of 64 MiB takes the guest's disk, and some
seconds of its sshd.
"""
PRODUCTS = (".o", ".ko", ".mod", ".mod.c", ".symvers", ".order", ".skel.h")
HIDDEN, BUILT, LINK, DANGLES, TO_FOLDER, SPECIAL = (
    "hidden, or a cache", "made by make", "a link out of the folder", "a link to nothing here",
    "a link to a folder", "no plain file",
)  # fmt: skip
EXPECTED = (HIDDEN, BUILT)
"""Reasons that are no surprise to the folder's author."""
TOLD = 3


@dataclass(frozen=True)
class Entry:
    """A file that may be sent: its path below the folder, and the file to open for it.

    `opened` differs from `name` where that is a link. `bytes` is the length that lstat told.
    """

    name: PurePath
    opened: Path
    bytes: int


@dataclass(frozen=True)
class Seen:
    """What of a folder is taken, in the order of names, and {name: why} of what is not."""

    taken: tuple[Entry, ...]
    left_out: dict[str, str]


Skip = Callable[[PurePath], bool]
"""Whether a folder, by its path below the one that is looked at, counts as not there."""


def none_of_it(_: PurePath) -> bool:
    """Skip no folder."""
    return False


def look(folder: Path, skip: Skip = none_of_it) -> Seen:
    """Return which files of a folder are sources; reads no content.

    Raises what `refused` returns for more than `MOST_ENTRIES`, `MOST_FILE_BYTES` or `MOST_BYTES`,
    and for a folder that cannot be read.
    """
    taken: list[Entry] = []
    left_out: dict[str, str] = {}
    for count, (name, facts) in enumerate(_walk(folder, skip), 1):
        if count > MOST_ENTRIES:
            raise refused(folder, f"it has more than {MOST_ENTRIES:,} files and folders")
        found: Entry | str | None = by_name(name)
        if found is None and not stat.S_ISDIR(facts.st_mode):
            found = _by_kind(folder, name, facts)
        if isinstance(found, str):
            left_out[shown(name)] = found
        elif found is not None:
            taken.append(found)
    _demand_within(folder, taken)
    return Seen(tuple(sorted(taken, key=lambda one: one.name)), left_out)


def told(left_out: Mapping[str, str], *, expected: bool) -> list[str]:
    """Return a line for each reason to leave something out: the expected ones, or the others."""
    lines = []
    for why in dict.fromkeys(left_out.values()):
        if (why in EXPECTED) == expected:
            names = [name for name, reason in left_out.items() if reason == why]
            more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
            lines.append(f"{', '.join(names[:TOLD])}{more}: {why}")
    return lines


def refused(folder: Path, words: str) -> ArmError | HostError:
    """Return the error for a folder that cannot be sent: ArmError for an arm's."""
    if (folder / "arm.toml").exists():
        return ArmError(
            f"arm {folder.name} cannot be sent to the machines: {words}",
            hint="an arm's folder holds sources; what they do not need belongs elsewhere, or in a "
            "hidden folder, which is left out",
        )
    return HostError(
        f"{folder} cannot be sent to the machines: {words}",
        hint="git shows what of it is not as it was",
    )


def by_name(name: PurePath) -> str | None:
    """Return why a path is left out for its name; None when it may be a source's."""
    if any(part == "__pycache__" or part.startswith(".") for part in name.parts):
        return HIDDEN
    return BUILT if name.name.endswith(PRODUCTS) else None


def shown(name: PurePath) -> str:
    """Return a name as it may go to a terminal, whatever it holds."""
    text = str(name)
    return text if text.isprintable() else ascii(text)


def open_plain(path: Path) -> int:
    """Return a descriptor of a file, without following a link or waiting for a pipe."""
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def _walk(folder: Path, skip: Skip) -> Iterator[tuple[PurePath, os.stat_result]]:
    """Yield what is in a folder, not in what is left out of it by its name; no link is followed."""
    waiting = [PurePath()]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(folder / here) as entries:
                for entry in entries:
                    name = here / entry.name
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(facts.st_mode):
                        if skip(name):
                            continue
                        if by_name(name) is None:
                            waiting.append(name)
                    yield name, facts
        except OSError as error:
            what = shown(here) if here.parts else "it"
            if error.errno == errno.ENAMETOOLONG:
                what = "a folder"
            raise refused(folder, f"{what} cannot be read: {error.strerror}") from error


def _by_kind(folder: Path, name: PurePath, facts: os.stat_result) -> Entry | str:
    """Return the file that is sent under a name; or why it is left out for what it is."""
    path = folder / name
    if stat.S_ISLNK(facts.st_mode):
        found = _led_to(folder, name)
        if isinstance(found, str):
            return found
        path, facts = found
    if not stat.S_ISREG(facts.st_mode):
        return TO_FOLDER if stat.S_ISDIR(facts.st_mode) else SPECIAL
    if "loader" in (name.name, path.name) and _is_program(path):
        return BUILT
    return Entry(name, path, facts.st_size)


def _led_to(folder: Path, name: PurePath) -> tuple[Path, os.stat_result] | str:
    """Return what a link leads to in its own folder; or why it is left out."""
    try:
        top, path = folder.resolve(strict=True), (folder / name).resolve(strict=True)
        facts = path.lstat()
    except (OSError, RuntimeError):  # RuntimeError: it leads to itself
        return DANGLES
    if not path.is_relative_to(top):
        return LINK
    return (path, facts) if by_name(path.relative_to(top)) is None else DANGLES


def _is_program(path: Path) -> bool:
    """Whether a file is compiled: the name alone may be that of a script or of a source."""
    try:
        with os.fdopen(open_plain(path), "rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _demand_within(folder: Path, taken: Sequence[Entry]) -> None:
    for one in taken:
        if one.bytes > MOST_FILE_BYTES:
            words = (
                f"{shown(one.name)} has {_mb(one.bytes)}, a file may have {_mb(MOST_FILE_BYTES)}"
            )
            raise refused(folder, words)
    if sum(one.bytes for one in taken) > MOST_BYTES:
        raise refused(folder, f"its files have more than {_mb(MOST_BYTES)}")


def _mb(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"
