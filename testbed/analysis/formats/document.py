# SPDX-License-Identifier: Apache-2.0
"""The files of a run, as text and as JSON; errors name the file (testbed/model/json_node.py)."""

from pathlib import Path

from testbed.model.errors import ParseError
from testbed.model.json_node import Node, parse_json


def read_text(root: Path, name: str) -> str:
    """A file of the run; ParseError when it is missing or not UTF-8."""
    try:
        return (root / name).read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ParseError(f"{name}: missing") from None
    except UnicodeDecodeError as error:
        raise ParseError(f"{name}: byte {error.start}: not UTF-8 text") from None
    except OSError as error:
        raise ParseError(f"{name}: cannot be read: {error.strerror}") from None


def read_json(root: Path, name: str) -> Node:
    return parse_json(read_text(root, name), name)
