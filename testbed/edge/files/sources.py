# SPDX-License-Identifier: Apache-2.0
"""What of a folder goes into a guest: its sources, read once, so that what is hashed is sent."""

import hashlib
import io
import os
import stat
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from testbed.edge.files.source_folder import (
    MOST_BYTES,
    MOST_FILE_BYTES,
    Entry,
    Skip,
    look,
    none_of_it,
    open_plain,
    refused,
    shown,
)

LONG_AGO = 946_684_800
"""2000-01-01, the date of every file that is pushed: none is newer than what is built from it."""


@dataclass(frozen=True)
class Source:
    """One file of a folder."""

    content: bytes
    executable: bool = False


Sources = Mapping[str, Source]
"""By path below the folder, with slashes."""


@dataclass(frozen=True)
class Read:
    """What was read of a folder, and {name: why} of what is not sent."""

    files: dict[str, Source]
    left_out: dict[str, str]


def read_sources(folder: Path, skip: Skip = none_of_it) -> Read:
    """Return the sources below a folder, a link to one of its files as that file.

    Never holds more than the bounds of source_folder.py. Raises ArmError for an arm's folder that
    cannot be sent, HostError for another: too large, not readable, or changed while it was read.
    """
    seen = look(folder, skip)
    files: dict[str, Source] = {}
    room = MOST_BYTES
    for entry in seen.taken:
        source = _read(folder, entry)
        room -= len(source.content)
        if room < 0:
            raise refused(folder, "its files grow")
        files[entry.name.as_posix()] = source
    return Read(files, seen.left_out)


def _read(folder: Path, entry: Entry) -> Source:
    """Return a file's content and mode. Raises what `refused` returns when it is another one now.

    A file that was replaced by a pipe is not waited for, and one by a link is not followed.
    """
    try:
        opened = open_plain(entry.opened)
        with os.fdopen(opened, "rb") as file:
            facts = os.fstat(opened)
            if not stat.S_ISREG(facts.st_mode):
                raise refused(folder, f"{shown(entry.name)} changed meanwhile")
            content = file.read(MOST_FILE_BYTES + 1)
    except OSError as error:
        words = f"{shown(entry.name)} cannot be read: {error.strerror}"
        raise refused(folder, words) from error
    if len(content) > MOST_FILE_BYTES:
        raise refused(folder, f"{shown(entry.name)} grows")
    return Source(content, bool(facts.st_mode & 0o111))


def stamp_of(sources: Sources) -> str:
    """Return a hash over names, contents and modes."""
    digest = hashlib.sha256()
    for name, source in sorted(sources.items()):
        words = (os.fsencode(name), source.content, b"x" if source.executable else b"")
        for word in words:
            digest.update(b"%d:" % len(word) + word)
    return digest.hexdigest()


def checksums(sources: Sources, below: str = "") -> dict[str, str]:
    """Return {path: SHA-256} as a guest lists them, which has them in the folder `below`."""
    return {
        os.fsencode(f"{below}{name}").decode(errors="replace"): hashlib.sha256(
            source.content
        ).hexdigest()
        for name, source in sources.items()
    }


def tar_of(sources: Sources) -> bytes:
    """Return sources as a compressed tar, owned by root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        for name, source in sources.items():
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(source.content), LONG_AGO
            member.mode = 0o755 if source.executable else 0o644
            member.uname = member.gname = "root"
            tar.addfile(member, io.BytesIO(source.content))
    return buffer.getvalue()
