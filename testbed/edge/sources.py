# SPDX-License-Identifier: Apache-2.0
"""What of a folder goes into a guest: its sources, owned by root. The folder may be anybody's.

Only plain files, folders, and links that stay in the folder are taken, and no more than a bound
of each; nothing is opened before it is known to be one of those. What is left out is told.
"""

import errno
import io
import os
import stat
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Protocol

from testbed.model.errors import ArmError

MOST_ENTRIES = 20_000
MOST_FILE_BYTES = 32 << 20
MOST_BYTES = 64 << 20
"""The arms here have 60 kB together; a compressed tar of 64 MiB takes the guest's disk, and some
seconds of its sshd.
"""
PRODUCTS = (".o", ".ko", ".mod", ".mod.c", ".symvers", ".order", ".skel.h")
HIDDEN, BUILT, LINK, DANGLES, SPECIAL = (
    "hidden, or a cache", "made by make", "a link out of the folder", "a link to nothing here",
    "no plain file",
)  # fmt: skip
EXPECTED = (HIDDEN, BUILT)
"""Reasons that are no surprise to who wrote the folder."""
TOLD = 3


class Digest(Protocol):
    """A hash that takes bytes."""

    def update(self, data: bytes, /) -> None:
        """Take more bytes."""


@dataclass(frozen=True)
class Source:
    """A file, folder or link below the folder; `name` is its path there.

    `mode` and `mtime` are lstat's, since make goes by the time. `link` is where a link leads,
    relative to its own folder; None for others. `bytes` is a file's length, 0 for others.
    """

    name: PurePath
    mode: int
    bytes: int
    mtime: float
    link: str | None = None


@dataclass(frozen=True)
class Sources:
    """What of `folder` is taken, in the order of names, and {name: why} of what is not."""

    folder: Path
    taken: tuple[Source, ...]
    left_out: dict[str, str]

    def content(self, source: Source) -> bytes:
        """Return a file's content. Raises ArmError when it is not the file that was seen."""
        path = self.folder / source.name
        try:
            opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(opened, "rb") as file:
                if not stat.S_ISREG(os.fstat(opened).st_mode):
                    raise _refused(self.folder, f"{_shown(source.name)} changed meanwhile")
                content = file.read(MOST_FILE_BYTES + 1)
        except OSError as error:
            words = f"{_shown(source.name)} cannot be read: {error.strerror}"
            raise _refused(self.folder, words) from error
        if len(content) > MOST_FILE_BYTES:
            raise _refused(self.folder, f"{_shown(source.name)} grows")
        return content


def is_source(path: PurePath) -> bool:
    """Whether a name is a source's: not hidden, no cache, none that only make gives."""
    return _by_name(path) is None


def look(folder: Path) -> Sources:
    """Return the sources of a folder; reads no content.

    Raises ArmError for more than `MOST_ENTRIES`, `MOST_FILE_BYTES` or `MOST_BYTES`, and for a
    folder that cannot be read.
    """
    taken: list[Source] = []
    left_out: dict[str, str] = {}
    total = 0
    for name, facts in _walk(folder):
        why = _by_name(name) or _by_kind(folder, name, facts)
        if why is not None:
            left_out[_shown(name)] = why
            continue
        link = _inner_link(folder, name) if stat.S_ISLNK(facts.st_mode) else None
        size = facts.st_size if stat.S_ISREG(facts.st_mode) else 0
        total += size
        taken.append(Source(name, facts.st_mode, size, facts.st_mtime, link))
        if size > MOST_FILE_BYTES:
            raise _refused(folder, f"{_shown(name)} has {_mb(size)}, a file may have "
                           f"{_mb(MOST_FILE_BYTES)}")  # fmt: skip
        if total > MOST_BYTES:
            raise _refused(folder, f"its files have more than {_mb(MOST_BYTES)}")
        if len(taken) + len(left_out) > MOST_ENTRIES:
            raise _refused(folder, f"it has more than {MOST_ENTRIES:,} files and folders")
    return Sources(folder, tuple(sorted(taken, key=lambda one: one.name)), left_out)


def tar_of(folder: Path) -> bytes:
    """Return the sources of a folder as a compressed tar; raises ArmError as `look` does."""
    found = look(folder)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        tar.addfile(_member(Source(PurePath(), stat.S_IFDIR | 0o755, 0, time.time())))
        for source in found.taken:
            member = _member(source)
            content = found.content(source) if member.isreg() else b""
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def add_to_hash(into: Digest, folder: Path) -> None:
    """Add names and contents of a folder's sources to a hash; raises ArmError as `look` does."""
    found = look(folder)
    for source in found.taken:
        if source.link is not None:
            into.update(os.fsencode(source.name) + b" -> " + os.fsencode(source.link) + b"\0")
        elif stat.S_ISREG(source.mode):
            into.update(os.fsencode(source.name) + b"\0" + found.content(source) + b"\0")


def told(left_out: dict[str, str], *, expected: bool) -> list[str]:
    """Return a line for each reason to leave something out: the expected ones, or the others."""
    lines = []
    for why in dict.fromkeys(left_out.values()):
        if (why in EXPECTED) == expected:
            names = [name for name, reason in left_out.items() if reason == why]
            more = f" and {len(names) - TOLD} more" if len(names) > TOLD else ""
            lines.append(f"{', '.join(names[:TOLD])}{more}: {why}")
    return lines


def _walk(folder: Path) -> Iterator[tuple[PurePath, os.stat_result]]:
    """Yield what is in a folder, not in what is left out of it by its name; no link is followed."""
    waiting = [PurePath()]
    skipped = _boxs_recipe(folder)
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(folder / here) as entries:
                for entry in entries:
                    name = here / entry.name
                    if name in skipped:
                        continue
                    facts = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(facts.st_mode) and _by_name(name) is None:
                        waiting.append(name)
                    yield name, facts
        except OSError as error:
            what = _shown(here) if here.parts else "it"
            if error.errno == errno.ENAMETOOLONG:
                what = "a folder"
            raise _refused(folder, f"{what} cannot be read: {error.strerror}") from error


def _boxs_recipe(folder: Path) -> Iterable[PurePath]:
    """Return what of guest/ the guests do not need: the recipe that they are made by."""
    return {PurePath("box")} if (folder / "box/setup.sh").is_file() else ()


def _by_name(name: PurePath) -> str | None:
    if any(part == "__pycache__" or part.startswith(".") for part in name.parts):
        return HIDDEN
    return BUILT if name.name.endswith(PRODUCTS) else None


def _by_kind(folder: Path, name: PurePath, facts: os.stat_result) -> str | None:
    """Return why something is left out for what it is; None when it is taken."""
    if stat.S_ISLNK(facts.st_mode):
        link = _inner_link(folder, name)
        return link if link in (LINK, DANGLES) else None
    if stat.S_ISDIR(facts.st_mode):
        return None
    if not stat.S_ISREG(facts.st_mode):
        return SPECIAL
    return BUILT if name.name == "loader" and _is_program(folder / name) else None


def _is_program(path: Path) -> bool:
    """Whether a file is compiled: the name alone may be that of a script or of a source."""
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _inner_link(folder: Path, name: PurePath) -> str:
    """Return where a link leads, relative to its folder; LINK or DANGLES where it leads nowhere."""
    try:
        top = folder.resolve(strict=True)
        place = (folder / name).parent.resolve(strict=True)
        target = (folder / name).resolve(strict=True)
    except (OSError, RuntimeError):  # RuntimeError: it leads to itself
        target = None
    if target is None:
        return DANGLES
    if not target.is_relative_to(top):
        return LINK
    inner = target.relative_to(top)
    return os.path.relpath(target, place) if _by_name(inner) is None else DANGLES


def _member(source: Source) -> tarfile.TarInfo:
    member = tarfile.TarInfo(f"./{source.name}" if source.name.parts else ".")
    member.mode, member.mtime = stat.S_IMODE(source.mode), int(source.mtime)
    member.uname = member.gname = "root"
    if source.link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, source.link
    elif stat.S_ISDIR(source.mode):
        member.type = tarfile.DIRTYPE
    return member


def _shown(name: PurePath) -> str:
    """Return a name as it may go to a terminal, whatever it holds."""
    text = str(name)
    return text if text.isprintable() else ascii(text)


def _mb(size: int) -> str:
    return f"{size / (1 << 20):,.0f} MiB"


def _refused(folder: Path, words: str) -> ArmError:
    what = f"arm {folder.name}" if (folder / "arm.toml").exists() else str(folder)
    return ArmError(
        f"{what} cannot be sent to the machines: {words}",
        hint="an arm's folder holds sources; what they do not need belongs elsewhere, or in a "
        "hidden folder, which is left out",
    )
