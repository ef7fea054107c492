# SPDX-License-Identifier: Apache-2.0
"""A testbed.toml to begin with: every key with its default, as a comment."""

import json
from collections.abc import Iterator
from inspect import getdoc

from pydantic import BaseModel

from testbed.model.config import Config

HEAD = """\
# SPDX-License-Identifier: Apache-2.0
# The settings of this lab folder. All of it is optional: these are the defaults.
# To change one, take away the "#" before it and before the [section] above it.
# docs/configuration.md tells what each one means, and its range.
"""


def commented() -> str:
    """Return the text; numbers of CPUs are those that this computer gets by default."""
    return HEAD + "".join(f"{line}\n" for line in _sections(Config(), ""))


def _sections(section: BaseModel, name: str) -> Iterator[str]:
    values = {key: getattr(section, key) for key in type(section).model_fields}
    plain = {key: value for key, value in values.items() if not isinstance(value, BaseModel)}
    if plain:
        yield ""
        yield from (f"# {line}".rstrip() for line in (getdoc(type(section)) or "").splitlines())
        yield f"# [{name}]"
        yield from (f"# {key} = {json.dumps(value)}" for key, value in plain.items())
    for key, value in values.items():
        if isinstance(value, BaseModel):
            yield from _sections(value, f"{name}.{key}" if name else key)
