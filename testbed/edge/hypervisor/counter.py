# SPDX-License-Identifier: Apache-2.0
"""The counter's socket: what QEMU's plugin (counter/counter.c) says, message by message.

The layout is that of counter/record.h. Nothing here knows what a packet is.
"""

import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

from testbed.model.count_files import CUT, TABLE_FULL
from testbed.model.errors import MachineError, NoAnswer

FORMAT = 1
HEADER = struct.Struct("<II")
STATE = struct.Struct("<IIII")
BLOCK_BYTES = 40
VISIT_BYTES = 24
LINE_BYTES = 2
HELLO, BLOCKS, STRETCH, STATE_OF = 1, 2, 3, 4


@dataclass(frozen=True, slots=True)
class Stretch:
    """The blocks that the CPU ran from its waking to its next halt.

    `visits` has 24 bytes a block that ran, `lines` 2 bytes: the cache lines that it touched first.
    """

    visits: bytes
    lines: bytes
    flags: int

    @property
    def is_cut(self) -> bool:
        """Whether more ran than the counter records of one stretch."""
        return bool(self.flags & CUT)


@dataclass(frozen=True, slots=True)
class State:
    """How full the plugin's table of blocks is; `full` when blocks found no place in it."""

    on: bool
    blocks: int
    capacity: int
    full: bool


@dataclass
class Counter:
    """The conversation with the plugin; `blocks` has the record of every block seen so far."""

    link: socket.socket
    blocks: dict[int, bytes] = field(default_factory=dict)
    interface: int = 0

    def begin(self, limit_s: float) -> None:
        """Wait until the plugin says that it is loaded. Raises MachineError when it does not."""
        self.link.settimeout(limit_s)
        kind, body = self._message("its first word")
        form, self.interface = struct.unpack_from("<II", body)
        if kind != HELLO or form != FORMAT:
            raise MachineError(
                f"the counter speaks format {form}, not {FORMAT}",
                hint="its file is from another version of the testbed: count again",
            )

    def on(self) -> State:
        """Count from the CPU's next waking on."""
        return self._tell(b"1")

    def off(self) -> State:
        """Count no more; what is under way is dropped."""
        return self._tell(b"0")

    def stretches(self, limit_s: float) -> Iterator[Stretch]:
        """Yield what the CPU runs, each time when it halts. Raises NoAnswer after `limit_s`."""
        while True:
            self.link.settimeout(limit_s)
            kind, body = self._message("a packet")
            if kind == BLOCKS:
                self._learn(body)
            elif kind == STRETCH:
                yield _stretch(body)

    def _tell(self, word: bytes) -> State:
        self.link.settimeout(30)
        try:
            self.link.sendall(word)
        except OSError as error:
            raise _gone(error) from error
        while True:
            kind, body = self._message("on or off")
            if kind == BLOCKS:
                self._learn(body)
            elif kind == STATE_OF:
                on, blocks, capacity, flags = STATE.unpack(body)
                return State(bool(on), blocks, capacity, bool(flags & TABLE_FULL))

    def _learn(self, body: bytes) -> None:
        for at in range(0, len(body), BLOCK_BYTES):
            record = body[at : at + BLOCK_BYTES]
            self.blocks[int.from_bytes(record[:4], "little")] = record

    def _message(self, what: str) -> tuple[int, bytes]:
        kind, size = HEADER.unpack(self._exactly(HEADER.size, what))
        return kind, self._exactly(size, what)

    def _exactly(self, size: int, what: str) -> bytes:
        got = bytearray()
        while len(got) < size:
            try:
                part = self.link.recv(size - len(got))
            except TimeoutError as error:
                raise NoAnswer(
                    f"the counter did not tell of {what} in time",
                    hint="the machine may hang in the hook: `testbed count` again starts afresh",
                ) from error
            except OSError as error:
                raise _gone(error) from error
            if not part:
                raise _gone(None)
            got += part
        return bytes(got)


def _stretch(body: bytes) -> Stretch:
    visits, flags = struct.unpack_from("<II", body)
    cut = 8 + visits * VISIT_BYTES
    return Stretch(body[8:cut], body[cut : cut + visits * LINE_BYTES], flags)


def _gone(error: OSError | None) -> MachineError:
    why = f" ({error})" if error else ""
    return MachineError(
        f"the counting machine ended while it was counting{why}",
        hint="its QEMU's own words are above, where it said any; count again",
    )
