# SPDX-License-Identifier: Apache-2.0
"""What of a folder goes into a guest: its sources, owned by root."""

import io
import tarfile
from pathlib import Path, PurePath


def is_source(path: PurePath) -> bool:
    """Whether a file or folder is a source: not hidden, not a cache, not built by make."""
    hidden = any(part == "__pycache__" or part.startswith(".") for part in path.parts)
    products = (".o", ".ko", ".mod", ".mod.c", ".symvers", ".order", ".skel.h")
    return not hidden and not path.name.endswith(products) and path.name != "loader"


def as_source(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what is no source, and the box's recipe; own everything as root."""
    path = PurePath(member.name)
    if path.parts[:1] == ("box",) or not is_source(path):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member


def tar_of(folder: Path) -> bytes:
    """Return the sources of a folder as a compressed tar."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        tar.add(folder, arcname=".", filter=as_source)
    return buffer.getvalue()
