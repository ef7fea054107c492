# SPDX-License-Identifier: Apache-2.0
"""The raw files of a count: written beside the machines, read by the analysis; docs/counting.md.

`count/count.json` tells what was counted where; `count/<arm>-<payload>/` holds the record of one
arm with one payload.
"""

import json
import lzma
import struct
from collections.abc import Mapping, Sequence
from typing import Any

SCHEMA = 1
FOLDER, INDEX = "count", "count.json"
NOT_COUNTED = "not_counted"
"""In the index of a run of trials that could not be counted: `why` and `hint`, and nothing more."""
TABLE_FULL, CUT, LINES_FULL = 1, 2, 4
"""Flags of a stretch (`enum state_flags` of counter/record.h)."""
BLOCK = struct.Struct("<IHBBQQB8s7x")
"""`struct block_record` of counter/record.h."""
VISIT = struct.Struct("<IIIIIHH")
"""`struct visit` of counter/record.h; its first number is the block's."""


def encode(
    facts: Mapping[str, Any],
    blocks: Mapping[int, bytes],
    symbols: str,
    stretches: Sequence[tuple[int, bytes, bytes, int]],
) -> dict[str, bytes]:
    """Return {file: content} for one arm; a stretch is (packet, visits, lines, flags).

    Equal paths, and equal lists of lines, are kept once.
    """
    paths: dict[bytes, int] = {}
    lines: dict[bytes, int] = {}
    rows = [
        [packet, paths.setdefault(visits, len(paths)), lines.setdefault(touched, len(lines)), flags]
        for packet, visits, touched, flags in stretches
    ]
    used = {number for path in paths for (number, *_) in VISIT.iter_unpack(path)}
    index = {
        "schema": SCHEMA,
        **facts,
        "stretches": rows,
        "path_bytes": [len(path) for path in paths],
        "line_bytes": [len(touched) for touched in lines],
    }
    described = b"".join(record for number, record in sorted(blocks.items()) if number in used)
    return {
        "facts.json": (json.dumps(index, separators=(",", ":")) + "\n").encode(),
        "blocks.bin.xz": _packed(described),
        "paths.bin.xz": _packed(b"".join(paths)),
        "lines.bin.xz": _packed(b"".join(lines)),
        "symbols.txt.xz": _packed(symbols.encode()),
    }


def _packed(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_XZ, preset=1)
