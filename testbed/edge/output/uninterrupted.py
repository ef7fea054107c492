# SPDX-License-Identifier: Apache-2.0
"""Blocks that Ctrl-C does not cut in two: it strikes when they are over."""

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Let Ctrl-C, and being told to end, wait until the end of this block."""
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield  # signals do not come here
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    previous = {n: signal.signal(n, lambda number, _: pressed.append(number)) for n in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if pressed:
        signal.raise_signal(pressed[0])
