# SPDX-License-Identifier: Apache-2.0
"""Work that a forked copy of this process does beside it, so that two cores are used.

What a copy cannot do is done here, when its answer is wanted: with one core, beside other threads
(a lock that one holds would stay locked in the copy), or when the copy failed. So an error is the
one that there would be without a copy, and it comes from where the answer is asked for.
"""

import contextlib
import os
import pickle
import signal
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Generic, NoReturn, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")
STOPS = (signal.SIGINT, signal.SIGTERM)


def can_fork() -> bool:
    """Whether there are two cores to use, and no thread but this one."""
    return len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


class Aside(Generic[Q, A]):
    """One question and its answer; the copy is gone when the context is left.

    It is made at once and runs `prepare` (imports that take long) while the question is not known
    yet. Question and answer are pickled.
    """

    def __init__(self, work: Callable[[Q], A], prepare: Callable[[], object] = tuple) -> None:
        self._work = work
        self._question: Q
        self._copy = 0
        if can_fork():
            self._link, theirs = socket.socketpair()
            # A signal must find the copy where it only ends, not on its way back to our caller.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPS)
            try:
                self._copy = os.fork()
                if not self._copy:
                    self._link.close()
                    _live(theirs, work, prepare, before)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def __enter__(self) -> "Aside[Q, A]":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def ask(self, question: Q) -> None:
        """Let the copy begin with it."""
        self._question = question
        if self._copy:
            try:
                self._link.sendall(pickle.dumps(question, pickle.HIGHEST_PROTOCOL))
            except Exception:  # nested too deeply, or nobody there to read it
                self._end()

    def answer(self) -> A:
        """Wait for the answer to what was asked."""
        if self._copy:
            with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
                with self._link.makefile("rb") as file:
                    found: A = pickle.load(file)
                return found
        return self._work(self._question)

    def _end(self) -> None:
        if self._copy:
            self._link.close()
            os.kill(self._copy, signal.SIGTERM)
            os.waitpid(self._copy, 0)
            self._copy = 0


def _live(
    link: socket.socket,
    work: Callable[[Q], A],
    prepare: Callable[[], object],
    mask: set[int | signal.Signals],
) -> NoReturn:
    """The copy's life. However it ends, nothing that the original began is ended twice."""
    status = 1
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        prepare()
        with link.makefile("rb") as file:
            question = pickle.load(file)
        link.sendall(pickle.dumps(work(question), pickle.HIGHEST_PROTOCOL))
        status = 0
    finally:
        os._exit(status)


def shared(pieces: Sequence[Callable[[], A]]) -> list[A]:
    """What the pieces return, in their order; every second one is done aside."""

    def work(first: int) -> list[A]:
        return [piece() for piece in pieces[first::2]]

    with Aside(work) as other:
        other.ask(1)
        halves = work(0), other.answer()
    return [halves[number % 2][number // 2] for number in range(len(pieces))]
