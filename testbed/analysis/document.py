# SPDX-License-Identifier: Apache-2.0
"""Typed reading of JSON that other programs wrote, with errors that name file and place.

`Node` is one value of a parsed file together with where it stands. Reading through it turns
"KeyError: 'offered'" into "raw/01-xdp/client.json: trials[0].offered: missing".
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from testbed.model.errors import ParseError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Node:
    """A JSON value, the file it came from and its place in that file ("" is the whole)."""

    file: str
    place: str
    value: Any

    def fault(self, problem: str, key: str | int | None = None) -> ParseError:
        place = self.place if key is None else self._place_of(key)
        return ParseError(f"{self.file}: {place or 'top level'}: {problem}")

    def _place_of(self, key: str | int) -> str:
        if isinstance(key, int):
            return f"{self.place}[{key}]"
        return f"{self.place}.{key}" if self.place else key

    def get(self, key: str) -> "Node":
        """A member that must be there; null counts as missing."""
        found = self.find(key)
        if found is None:
            raise self.fault("missing", key)
        return found

    def find(self, key: str) -> "Node | None":
        """A member that may be absent or null."""
        if not isinstance(self.value, dict):
            raise self.fault(f"expected an object, found {_kind(self.value)}")
        value = self.value.get(key)
        return None if value is None else Node(self.file, self._place_of(key), value)

    def items(self) -> "tuple[Node, ...]":
        """The elements of a list."""
        if not isinstance(self.value, list):
            raise self.fault(f"expected a list, found {_kind(self.value)}")
        return tuple(Node(self.file, self._place_of(i), v) for i, v in enumerate(self.value))

    def mapping(self) -> dict[str, Any]:
        if not isinstance(self.value, dict):
            raise self.fault(f"expected an object, found {_kind(self.value)}")
        return self.value

    def as_int(self) -> int:
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.fault(f"expected a whole number, found {_kind(self.value)}")
        return self.value

    def as_float(self) -> float:
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.fault(f"expected a number, found {_kind(self.value)}")
        return float(self.value)

    def as_text(self) -> str:
        if not isinstance(self.value, str):
            raise self.fault(f"expected text, found {_kind(self.value)}")
        return self.value

    def _plain(self, key: str, kind: type[T]) -> T | None:
        """A member that is there and of this very type: nearly every one, without a Node of it."""
        value = self.value.get(key) if isinstance(self.value, dict) else None
        return value if type(value) is kind else None

    def integer(self, key: str) -> int:
        value = self._plain(key, int)
        return self.get(key).as_int() if value is None else value

    def optional_integer(self, key: str) -> int | None:
        value = self._plain(key, int)
        if value is not None:
            return value
        found = self.find(key)
        return None if found is None else found.as_int()

    def number(self, key: str) -> float:
        value = self._plain(key, float)
        return self.get(key).as_float() if value is None else value

    def optional_number(self, key: str) -> float | None:
        found = self.find(key)
        return None if found is None else found.as_float()

    def text(self, key: str) -> str:
        value = self._plain(key, str)
        return self.get(key).as_text() if value is None else value

    def optional_text(self, key: str, default: str = "") -> str:
        found = self.find(key)
        return default if found is None else found.as_text()

    def integers(self, key: str) -> tuple[int, ...] | None:
        """A list of whole numbers, or None when absent."""
        found = self.find(key)
        return None if found is None else tuple(item.as_int() for item in found.items())


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number in JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


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


def parse_json(text: str, name: str) -> Node:
    """JSON text as a node; ParseError with line and column when it is cut off or malformed."""
    try:
        return Node(name, "", _DECODER.decode(text))
    except json.JSONDecodeError as error:
        raise ParseError(f"{name}: line {error.lineno} column {error.colno}: {error.msg}") from None
    except ValueError as error:
        raise ParseError(f"{name}: {error}") from None
    except RecursionError:
        raise ParseError(f"{name}: nested too deeply") from None


def read_json(root: Path, name: str) -> Node:
    return parse_json(read_text(root, name), name)


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true/false"}
    if value is None:
        return "null"
    return names.get(type(value), "a number")
