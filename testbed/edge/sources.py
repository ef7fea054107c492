# SPDX-License-Identifier: Apache-2.0
"""What of a folder goes into a guest: its sources, read once, so that what is hashed is sent."""

import hashlib
import io
import os
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from testbed.model.errors import HostError

LONG_AGO = 946_684_800
"""2000-01-01, the date of every file that is pushed: none is newer than what is built from it."""


@dataclass(frozen=True)
class Source:
    """One file of a folder."""

    content: bytes
    executable: bool = False


Sources = Mapping[str, Source]
"""By path below the folder, with slashes."""


def is_source(path: PurePath) -> bool:
    """Whether a file or folder is a source: not hidden, not a cache, not built by make."""
    hidden = any(part == "__pycache__" or part.startswith(".") for part in path.parts)
    products = (".o", ".ko", ".mod", ".mod.c", ".symvers", ".order", ".skel.h")
    return not hidden and not path.name.endswith(products) and path.name != "loader"


def read_sources(folder: Path) -> dict[str, Source]:
    """Return the sources below a folder, of a link to a file what it leads to.

    Objects that somebody built there stay behind. Raises HostError when one cannot be read.
    """
    found = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if is_source(relative) and path.is_file():
            try:
                found[relative.as_posix()] = Source(path.read_bytes(), os.access(path, os.X_OK))
            except OSError as error:
                raise HostError(
                    f"{path} cannot be read: {error.strerror}",
                    hint="it is to be put into the machines: make it yours to read",
                ) from error
    return found


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
