# SPDX-License-Identifier: Apache-2.0
"""Half of a report's work on the second core: drawing needs matplotlib, judging needs SciPy.

Importing each takes as long as using it, so a fork made before either halves the waiting.
"""

import contextlib
import os
import pickle
import signal
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


@contextlib.contextmanager
def begun(work: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Begin `work` in a fork of this process; what the block gets waits for it and returns it.

    `work` changes nothing and its result can be pickled. Where it fails there, where there is one
    core or no fork, it is done here when it is asked for: the same result, or the same error.
    """
    if (os.cpu_count() or 1) < 2 or not hasattr(os, "fork"):
        yield work
        return
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _do(work, reading, writing)
    os.close(writing)

    def result() -> T:
        with open(reading, "rb", closefd=False) as pipe:
            data = pipe.read()
        return pickle.loads(data) if data else work()  # of our own fork

    try:
        yield result
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _do(work: Callable[[], object], reading: int, writing: int) -> None:
    """In the fork: work, send what came of it, and end without any of the parent's tidying up."""
    try:
        os.close(reading)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        data = pickle.dumps(work())
        with open(writing, "wb") as pipe:
            pipe.write(data)
    finally:
        os._exit(0)  # an error is met again where it can be told
