# SPDX-License-Identifier: Apache-2.0
"""Reading the record of one arm, which `testbed.model.count_files` describes and writes."""

import lzma
import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from testbed.analysis.counting.blocks import Block, parse_blocks
from testbed.model.count_files import CUT
from testbed.model.errors import ParseError
from testbed.model.json_node import Node, parse_json
from testbed.model.plan import Condition
from testbed.model.symbols import Symbols, parse


@dataclass(frozen=True, slots=True)
class Stretch:
    """One counted packet: the numbers of its path and of its list of cache lines."""

    packet: int
    path: int
    lines: int
    flags: int

    @property
    def is_cut(self) -> bool:
        """Whether more ran before the CPU halted than the counter records of one stretch."""
        return bool(self.flags & CUT)


@dataclass(frozen=True)
class Counted:
    """The record of one arm with one payload."""

    where: str
    facts: Mapping[str, Any]
    blocks: dict[int, Block]
    symbols: Symbols
    stretches: tuple[Stretch, ...]
    _paths: tuple[bytes, ...]
    _lines: tuple[bytes, ...]

    @property
    def arm(self) -> str:
        """The arm's name."""
        return str(self.facts["arm"])

    @property
    def payload_bytes(self) -> int:
        """The UDP payload of every packet."""
        return int(self.facts["payload_bytes"])

    @property
    def condition(self) -> Condition:
        """The arm and its packets."""
        return Condition(self.arm, self.payload_bytes)

    @property
    def driver(self) -> str:
        """The function that handles the NIC's interrupt."""
        return str(self.facts["interrupt_handler"])

    def path(self, number: int) -> bytes:
        """Return the visits of a path, 24 bytes each."""
        return self._paths[number]

    def lines_of(self, number: int) -> Sequence[int]:
        """Return how many cache lines each visit of a stretch was the first to touch."""
        found = array("H")
        found.frombytes(self._lines[number])
        return found


def read(folder: Path) -> Counted:
    """Read what `encode` made. Raises ParseError, naming file and place, for what is damaged."""
    where = str(folder)
    try:
        text = (folder / "facts.json").read_text(encoding="utf-8")
        index = parse_json(text, f"{where}/facts.json")
        rows = tuple(_stretch(row) for row in index.get("stretches").items())
        paths = _cut(_unpacked(folder / "paths.bin.xz"), _sizes(index.get("path_bytes")))
        lines = _cut(_unpacked(folder / "lines.bin.xz"), _sizes(index.get("line_bytes")))
        blocks = parse_blocks(_unpacked(folder / "blocks.bin.xz"), where)
        symbols = parse(_unpacked(folder / "symbols.txt.xz").decode())
        if any(row.path >= len(paths) or row.lines >= len(lines) for row in rows):
            raise ValueError("a stretch names a path that is not there")
        facts = {
            **index.mapping(), "arm": index.text("arm"),
            "payload_bytes": index.integer("payload_bytes"),
            "interrupt_handler": index.text("interrupt_handler"),
        }  # fmt: skip
    except (OSError, ValueError, lzma.LZMAError, struct.error) as error:
        raise ParseError(f"{where}: no record of a count: {error}") from error
    return Counted(where, facts, blocks, symbols, rows, paths, lines)


def _stretch(row: Node) -> Stretch:
    numbers = _sizes(row)
    if len(numbers) != len(fields(Stretch)):
        raise row.fault(f"expected {len(fields(Stretch))} numbers")
    return Stretch(*numbers)


def _sizes(node: Node) -> tuple[int, ...]:
    return tuple(one.as_int() for one in node.items())


def _unpacked(path: Path) -> bytes:
    return lzma.decompress(path.read_bytes())


def _cut(data: bytes, sizes: Sequence[int]) -> tuple[bytes, ...]:
    if sum(sizes) != len(data):
        raise ValueError(f"{len(data)} bytes, {sum(sizes)} expected")
    parts, at = [], 0
    for size in sizes:
        parts.append(data[at : at + size])
        at += size
    return tuple(parts)
