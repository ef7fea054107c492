# SPDX-License-Identifier: Apache-2.0
"""The words of a manifest's commands: `{name}` stands for a value, and for nothing cleverer."""

import string
from collections.abc import Iterable, Mapping
from pathlib import Path

from testbed.model.errors import ManifestError


def demand_known(words: Iterable[str], values: Mapping[str, str], path: Path) -> None:
    """Raise ManifestError, naming the manifest, when a word's placeholder is none of `values`."""
    try:
        for word in words:
            _demand_plain_names(word)
            word.format_map(values)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise ManifestError(
            f"{path}: a command uses the unknown placeholder {error}",
            hint=f"known: {', '.join(values)}; a literal brace is written twice",
        ) from error


def _demand_plain_names(word: str) -> None:
    """Raise KeyError for `{name.attribute}` and `{name[index]}`."""
    for _, name, _, _ in string.Formatter().parse(word):
        if name is not None and not name.isidentifier():
            raise KeyError(name)
