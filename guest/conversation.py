# SPDX-License-Identifier: Apache-2.0
"""The client's control messages: asked again until answered, answers known by their token."""

import contextlib
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from protocol import (
    FIRST_RETRY_S,
    LAST_RETRY_S,
    Counts,
    Kind,
    Message,
    unpack_counts,
    unpack_message,
)

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Conversation:
    """The control messages of one trial, which survive loss by being repeated."""

    sock: socket.socket
    address: tuple[str, int]
    message: Message  # kind and sequence are replaced in what is sent
    timeout_s: float
    attempts: dict[Kind, int] = field(default_factory=lambda: {Kind.START: 0, Kind.END: 0})
    trouble: str = ""  # the last error of a control message's send

    def start(self, planned: int) -> bool:
        """Announce the trial; False when there was no answer in time."""
        return bool(self._ask(Kind.START, planned, Kind.START_ACK, lambda _datagram: True))

    def end(self, offered: int) -> Counts | None:
        """Tell what was sent; the server's counts, or None when there was no answer in time."""
        return self._ask(
            Kind.END, offered, Kind.END_ACK, lambda datagram: unpack_counts(datagram, len(datagram))
        )

    def close(self) -> None:
        """Tell the server that its END_ACK came. It need not arrive."""
        with contextlib.suppress(OSError):
            self.sock.sendto(self.message._replace(kind=Kind.CLOSE).pack(), self.address)

    def _ask(
        self, kind: Kind, sequence: int, wanted: Kind, read: Callable[[bytes], Answer | None]
    ) -> Answer | None:
        request = self.message._replace(kind=kind, sequence=sequence).pack()
        retry_s, give_up = FIRST_RETRY_S, time.monotonic() + self.timeout_s
        while (now := time.monotonic()) < give_up:
            self.attempts[kind] += 1
            try:
                self.sock.sendto(request, self.address)
            except OSError as error:  # perhaps an address being set up: goes on to try
                self.trouble = error.strerror or str(error)
            answer = self._listen(min(now + retry_s, give_up), wanted, read)
            if answer is not None:
                return answer
            retry_s = min(2 * retry_s, LAST_RETRY_S)
        return None

    def _listen(
        self, until: float, wanted: Kind, read: Callable[[bytes], Answer | None]
    ) -> Answer | None:
        """The answer if it comes in time. It is known by its token, whatever address it is from."""
        while (left_s := until - time.monotonic()) > 0:
            self.sock.settimeout(left_s)
            try:
                datagram = self.sock.recv(2048)
            except OSError:  # silence
                continue
            got = unpack_message(datagram, len(datagram))
            if got is not None and got.token == self.message.token and got.kind is wanted:
                return read(datagram)
        return None
