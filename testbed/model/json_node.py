# SPDX-License-Identifier: Apache-2.0
"""Typed reading of JSON that other programs wrote, with errors that name file, place and value.

`Node` is one value of a parsed file together with where it stands. Reading through it turns
"KeyError: 'offered'" into "raw/01-xdp/client.json: trials[0].offered: missing". Arms print JSON,
too, and the run directory holds what guests wrote: none of it is trusted to be sound.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from testbed.model.errors import ParseError
from testbed.model.numbers import LARGEST, fault_of, shown

T = TypeVar("T")
DEEPEST = 64
"""Lists and objects inside each other. The run's own files need 8 (`ip -j -d link` in before.json);
a thousand end Python's recursion, in whatever walks through them later."""


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
        """A count: a whole number, zero or more."""
        if isinstance(self.value, bool) or not isinstance(self.value, int):
            raise self.fault(f"expected a whole number, found {_kind(self.value)}")
        self._demand_usable(self.value)
        return self.value

    def as_float(self) -> float:
        """A size or a time: a number of zero or more."""
        if isinstance(self.value, bool) or not isinstance(self.value, int | float):
            raise self.fault(f"expected a number, found {_kind(self.value)}")
        self._demand_usable(self.value)
        return float(self.value)

    def _demand_usable(self, value: float) -> None:
        if fault := fault_of(value):
            raise self.fault(fault)

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
        return value if value is not None and 0 <= value <= LARGEST else self.get(key).as_int()

    def optional_integer(self, key: str) -> int | None:
        value = self._plain(key, int)
        if value is not None and 0 <= value <= LARGEST:
            return value
        found = self.find(key)
        return None if found is None else found.as_int()

    def number(self, key: str) -> float:
        value = self._plain(key, float)
        return value if value is not None and 0 <= value <= LARGEST else self.get(key).as_float()

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
        plain = self._plain(key, list)
        if plain is not None and all(type(v) is int and 0 <= v <= LARGEST for v in plain):
            return tuple(plain)
        found = self.find(key)
        return None if found is None else tuple(item.as_int() for item in found.items())


class _Unusable(str):
    """The text of a number that is none, until its place is known."""

    __slots__ = ()


def parse_json(text: str, name: str) -> Node:
    """JSON text as a node. Raises ParseError when it is cut off or malformed (line and column),
    nested too deeply, or holds a number or a text that nothing can be done with (place and value).
    """
    unusable: list[_Unusable] = []

    def refused(number: str) -> _Unusable:
        unusable.append(_Unusable(number))
        return unusable[-1]

    def whole(number: str) -> int | _Unusable:
        value = int(number) if len(number) <= 20 else None
        return refused(number) if value is None or abs(value) > LARGEST else value

    def broken(number: str) -> float | _Unusable:
        value = float(number)
        return value if abs(value) <= LARGEST else refused(number)

    decoder = json.JSONDecoder(parse_constant=refused, parse_int=whole, parse_float=broken)
    try:
        value = decoder.decode(text)
    except json.JSONDecodeError as error:
        raise ParseError(f"{name}: line {error.lineno} column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise _too_deep(name) from None
    if _deeper(value, DEEPEST):
        raise _too_deep(name)
    if unusable or _HALF_A_PAIR.search(text):
        for place, fault in _faults(Node(name, "", value)):
            raise place.fault(fault)
    return Node(name, "", value)


_HALF_A_PAIR = re.compile(r"\\u[dD][89a-fA-F]")
"""Two of them may make one character; one alone makes a text that no file can be written with."""


def _too_deep(name: str) -> ParseError:
    return ParseError(f"{name}: lists or objects inside each other, more than {DEEPEST} deep")


def _deeper(value: object, levels: int) -> bool:
    """Whether lists and objects are nested deeper than this."""
    level = [value]
    for _ in range(levels):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> list[object]:
    """The lists and objects directly in a value."""
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, dict | list)]
    if isinstance(value, list):
        return [inner for inner in value if isinstance(inner, dict | list)]
    return []


def _faults(node: Node) -> Iterator[tuple[Node, str]]:
    """The places of what cannot be used; at most DEEPEST calls deep."""
    if isinstance(node.value, dict):
        for key, inner in node.value.items():
            if _is_half(key):
                yield node, f"a member's name, {shown(ascii(key))}, holds half a character"
            yield from _faults(Node(node.file, node._place_of(key), inner))
    elif isinstance(node.value, list):
        for index, inner in enumerate(node.value):
            yield from _faults(Node(node.file, node._place_of(index), inner))
    elif isinstance(node.value, _Unusable):
        large = node.value not in ("NaN", "Infinity", "-Infinity")
        why = "is larger than anything that is counted here" if large else "is not a number in JSON"
        yield node, f"{shown(node.value)} {why}"
    elif isinstance(node.value, str) and _is_half(node.value):
        yield node, f"{shown(ascii(node.value))} holds half a character (a lone surrogate)"


def _is_half(text: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in text)


def _kind(value: object) -> str:
    """Return a value's kind in words, or the value itself if it is short."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return f"the number {shown(value)}"
    if isinstance(value, dict):
        return "an object"
    return "a list" if isinstance(value, list) else "text"
