# SPDX-License-Identifier: Apache-2.0
"""Whose machines are whose: the name that ties a checkout to the folder of its machines.

A checkout carries it in a file of its own, so that its machines come along when it is moved. The
folder of the machines says where the checkout was last. A copy brings the file along as well; it is
told by the directory's number (inode), which stays when a directory is moved within its disk and
never is that of a copy.
"""

import hashlib
import re
from pathlib import Path

CARRIED = ".testbed/id"
CLAIM = "checkout"
"""In the folder of the machines: the path of the checkout that they belong to."""


def project_id(checkout: Path, projects: Path) -> str:
    """Return six hex digits that tell this checkout from every other on this computer.

    They are those that it carries, or else made from its path; unless it is a copy, or the
    machines of that name, in the folder `projects`, belong to another checkout that is there.
    """
    checkout = checkout.resolve()
    mine = carried(checkout)
    id_ = mine or _hash(str(checkout))
    is_copy = mine is None and _text(checkout / CARRIED) != ""
    owner = checkout_of(projects / id_)
    if is_copy or (owner not in (None, checkout) and carried(owner) == id_):
        return _hash(f"{checkout} {_number(checkout)}")
    return id_


def carried(checkout: Path) -> str | None:
    """Return the name that a checkout carries; None without one, or with that of another."""
    found = re.fullmatch(r"([0-9a-f]{6}) (\d+)\n", _text(checkout / CARRIED))
    try:
        return found[1] if found and int(found[2]) == _number(checkout) else None
    except OSError:
        return None


def carry(checkout: Path, id_: str) -> None:
    """Have a checkout carry its name. Raises OSError."""
    path = checkout / CARRIED
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{id_} {_number(checkout)}\n", encoding="ascii")


def checkout_of(project: Path) -> Path | None:
    """Return the checkout that claimed a folder of machines, None where that is not recorded."""
    text = _text(project / CLAIM).strip()
    return Path(text) if text.startswith("/") else None


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""


def _number(checkout: Path) -> int:
    return checkout.stat().st_ino


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
