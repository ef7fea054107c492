# SPDX-License-Identifier: Apache-2.0
"""Blocks of instructions and their visits, as the counter recorded them (counter/record.h)."""

from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.count_files import BLOCK, VISIT
from testbed.model.errors import ParseError

USER, REPEATED = 1, 2
PREFIXES = frozenset((0x26, 0x2E, 0x36, 0x3E, 0x64, 0x65, 0x66, 0x67, 0xF0, 0xF2, 0xF3))


@dataclass(frozen=True, slots=True)
class Block:
    """Instructions that QEMU translates at once; `after` is the address behind the last one.

    `calls` and `irets`: what the last instruction is. A program's block has no address (0).
    """

    instructions: int
    ports: int
    address: int
    last: int
    after: int
    user: bool
    repeated: bool
    calls: bool
    irets: bool


@dataclass(frozen=True, slots=True)
class Visit:
    """One block that ran: how many instructions of it did, and what they did to memory.

    `loads` and `stores` leave out string instructions, whose bytes are `copied` and `filled`.
    """

    block: Block
    instructions: int
    loads: int
    stores: int
    copied: int
    filled: int
    device: int


def parse_blocks(data: bytes, where: str) -> dict[int, Block]:
    """Return {number: block}. Raises ParseError, naming `where`, for a damaged file."""
    if len(data) % BLOCK.size:
        raise ParseError(f"{where}: {len(data)} bytes are not whole records of {BLOCK.size}")
    return {record[0]: _block(*record[1:]) for record in BLOCK.iter_unpack(data)}


def _block(
    instructions: int, flags: int, ports: int, address: int, last: int, size: int, tail: bytes
) -> Block:
    opcode = tail[: min(size, len(tail))].lstrip(bytes(PREFIXES))
    rex = 0x40 <= (opcode[0] if opcode else 0) <= 0x4F
    opcode = opcode[1:] if rex else opcode
    calls = opcode[:1] == b"\xe8" or (
        opcode[:1] == b"\xff" and len(opcode) > 1 and opcode[1] >> 3 & 7 == 2
    )
    return Block(
        instructions, ports, address, last, last + size, bool(flags & USER),
        bool(flags & REPEATED), calls, opcode[:1] == b"\xcf",
    )  # fmt: skip


def visits(path: bytes, blocks: dict[int, Block], where: str) -> Iterator[Visit]:
    """Yield the visits of one path. Raises ParseError for a block that is not described."""
    if len(path) % VISIT.size:
        raise ParseError(f"{where}: {len(path)} bytes are not whole visits of {VISIT.size}")
    for number, loads, stores, copied, filled, device, ran in VISIT.iter_unpack(path):
        block = blocks.get(number)
        if block is None:
            raise ParseError(f"{where}: block {number} is visited and not described")
        yield Visit(block, ran or block.instructions, loads, stores, copied, filled, device)
