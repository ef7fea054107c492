# SPDX-License-Identifier: Apache-2.0
"""TOML that somebody else wrote: tables of Python's, or one error whatever is wrong with it."""

import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


class TomlError(Exception):
    """Text that is not TOML, or that Python cannot read as such; its words say why."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return the tables of a text; raises TomlError.

    Python's reader ends with other errors than its own where values lie too deep in each other for
    its recursion, and where a number has more digits than Python converts.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(str(error)) from error
    except RecursionError as error:
        raise TomlError("its values lie too deep in each other") from error
    except ValueError as error:
        raise TomlError("a number has too many digits") from error
