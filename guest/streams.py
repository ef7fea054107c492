# SPDX-License-Identifier: Apache-2.0
"""A job's output: into a file, or through a pipe whose first bytes are kept in memory."""

import os
import selectors
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Stream:
    """One of a job's two. It writes to `writer`; a pipe's `reader` is -1 when no more is read."""

    writer: int
    reader: int
    is_pipe: bool
    kept: bytearray = field(default_factory=bytearray)
    most_bytes: int = 0
    selector: selectors.BaseSelector | None = None
    beyond: Callable[[], None] = lambda: None

    def begun(
        self, selector: selectors.BaseSelector, most_bytes: int, beyond: Callable[[], None]
    ) -> None:
        """The job has its own end: keep what comes; at more than `most_bytes` call `beyond`."""
        if self.is_pipe:
            os.close(self.writer)
            self.most_bytes, self.beyond, self.selector = most_bytes, beyond, selector
            selector.register(self.reader, selectors.EVENT_READ, self.hear)

    def hear(self) -> None:
        """Take what has come; once it is enough, who still writes is told by a signal."""
        while self.reader >= 0:
            try:
                data = os.read(self.reader, 1 << 16)
            except BlockingIOError:
                return
            self.kept += data
            if len(self.kept) > self.most_bytes:
                self.beyond()
            if not data or len(self.kept) > self.most_bytes:
                self.close()

    def close(self) -> None:
        """Read no more of a pipe."""
        if self.selector is not None and self.reader >= 0:
            self.selector.unregister(self.reader)
            os.close(self.reader)
            self.reader = -1

    def text(self) -> str:
        """Return what was written, when the job has ended; what it started is not waited for."""
        if self.is_pipe:
            self.hear()
            self.close()
            return self.kept[: self.most_bytes].decode(errors="replace")
        with os.fdopen(self.reader, "rb") as stream:
            stream.seek(0)
            return stream.read().decode(errors="replace")


def streams(output: str | None) -> tuple[Stream, Stream]:
    """Return stdout and stderr: a file and NAME.err beside it, or two pipes."""
    if output is None:
        return _pipe(), _pipe()
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
    out = os.open(output, flags | os.O_TRUNC, 0o600)
    err = os.open(Path(output).with_suffix(".err"), flags | os.O_APPEND, 0o600)
    return Stream(out, out, is_pipe=False), Stream(err, err, is_pipe=False)


def _pipe() -> Stream:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    os.set_blocking(reader, False)
    return Stream(writer, reader, is_pipe=True)
