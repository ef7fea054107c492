# SPDX-License-Identifier: Apache-2.0
"""The words of a manifest's commands: `{name}` stands for a value, and for nothing cleverer."""

import re
import stat
import string
from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address
from pathlib import Path

from testbed.model.errors import ManifestError

LAST_PORT = 65_535
LONGEST_KEY = 80
"""Characters of a key, or of a value, that an error shows."""
MOST_BYTES = 1 << 20
"""The longest manifest here has a thousandth of that."""


def demand_known(words: Iterable[str], values: Mapping[str, str], path: Path) -> None:
    """Raise ManifestError, naming the manifest, when a word's placeholder is none of `values`.

    Or when a word has a NUL, which no program can be given.
    """
    try:
        for word in words:
            if "\0" in word:
                raise ManifestError(f"{path}: a command has a NUL in a word: {word[:20]!r}")
            _demand_plain_names(word)
            word.format_map(values)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{path}: a command uses the unknown placeholder {error}",
            hint=f"known: {', '.join(values)}; a literal brace is written twice",
        ) from error


def _demand_plain_names(word: str) -> None:
    """Raise KeyError for `{name.attribute}`, `{name[index]}`, `{name:9999}` and `{name!r}`.

    A width would make a word of any length.
    """
    for _, name, form, conversion in string.Formatter().parse(word):
        if name is not None and (not name.isidentifier() or form or conversion):
            after = f"!{conversion}" if conversion else f":{form[:20]}" if form else ""
            raise KeyError(f"{name[:40]}{after}")


def demand_destination(address: str, port: str, path: Path) -> None:
    """Raise ManifestError unless a client can send UDP over IPv4 there."""
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > LAST_PORT:
        raise ManifestError(f"{path}: traffic.port: {port[:LONGEST_KEY]!r} is no port, 1 to 65535")
    try:
        IPv4Address(address)
    except ValueError as error:
        shown = address[:LONGEST_KEY]
        raise ManifestError(f"{path}: traffic.address: {shown!r} is no IPv4 address") from error


def demand_small(path: Path) -> None:
    """Raise ManifestError unless a manifest is a plain file of `MOST_BYTES` at most.

    A pipe would be waited for. Raises OSError when it cannot be looked at.
    """
    facts = path.stat()
    if not stat.S_ISREG(facts.st_mode):
        raise ManifestError(f"{path} is no plain file")
    if facts.st_size > MOST_BYTES:
        raise ManifestError(f"{path} has more than {MOST_BYTES >> 10} KiB")
