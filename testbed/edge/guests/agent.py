# SPDX-License-Identifier: Apache-2.0
"""The other end of guest/agent.py: requests to a process that waits in the guest, over SSH.

One channel carries them all, a JSON object a line each way; any thread may ask, and answers come
in any order. When this program ends, however it ends, the channel closes, and with it
everything that the agent has started ends.
"""

import base64
import contextlib
import itertools
import json
import queue
import shlex
import threading
import time
import zlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, Literal

from testbed.model.errors import NoAnswer

UNIT = "testbed-agent"
END = b""
GRACE_S = 15
"""On top of a job's own time limit: for the answer's way out of a guest that does not keep up."""
SILENCE_S = 15
"""After so long without an answer the agent is asked whether it is there, and has as long again to
say so. A paused machine, or a link that was cut, leaves the connection open without a word. It
answers within milliseconds, or within 2 s where two busy cores emulate it.
"""


@dataclass(frozen=True)
class Output:
    """The result of a remote command. `cut`: it printed too much, and was ended for that."""

    argv: tuple[str, ...]
    status: int
    stdout: str
    stderr: str
    cut: bool = False


@dataclass(frozen=True)
class Job:
    """A job that runs in a guest beside other requests, known there by its name.

    `program` is one of guest/agent.py's, or "" for a line of shell that `arguments` are. Its output
    goes to the file `output` and to one beside it with the ending .err. It has begun when it has
    started, says that it is ready, or has ended. `stop_signal` asks it to end; after `limit_s` it
    is killed.
    """

    name: str
    program: str
    arguments: Sequence[str]
    limit_s: float
    until: Literal["start", "ready", "end"]
    output: str
    namespace: str = ""
    stop_signal: str = "TERM"

    def request(self) -> dict[str, Any]:
        """Return what the agent is asked."""
        what = {"do": "program", "program": self.program, "arguments": list(self.arguments)}
        return {
            **(what if self.program else {"do": "line", "line": shlex.join(self.arguments)}),
            "name": self.name,
            "until": self.until,
            "output": self.output,
            "namespace": self.namespace,
            "stop_signal": self.stop_signal,
        }


def unpacked(files: Any) -> dict[str, bytes]:
    """Return the files of an answer; those whose name is a path are left out.

    Raises ValueError when they are not what an agent sends.
    """
    try:
        return {
            name: zlib.decompress(base64.b64decode(text, validate=True))
            for name, text in files.items()
            if name not in {"", ".", ".."} and "/" not in name
        }
    except (AttributeError, TypeError, zlib.error) as error:
        raise ValueError(str(error)) from error


@dataclass
class Agent:
    """A conversation with one guest's agent over an open paramiko channel.

    Lines are sent by a thread of their own: Ctrl-C cannot cut one in the middle.
    """

    role: str
    channel: Any
    _waiting: dict[int, Future[dict[str, Any]]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _lines: "queue.SimpleQueue[bytes]" = field(default_factory=queue.SimpleQueue)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: threading.Event = field(default_factory=threading.Event)
    _why: str = ""
    given_up: bool = False
    """Whether it is taken for dead though its connection is open: a login would wait for ever."""

    def start(self, timeout_s: float) -> "Agent":
        """Wait for the agent's first word; raises NoAnswer with its last ones when none comes."""
        ready: Future[dict[str, Any]] = Future()
        self._waiting[0] = ready
        for work in (self._listen, self._speak):
            threading.Thread(target=work, daemon=True).start()
        try:
            self._answer_of(ready, "its start", timeout_s)
        except NoAnswer as error:
            error.hint = "what ran there before may not end: `testbed down --destroy`, `testbed up`"
            raise
        return self

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return not self._ended.is_set()

    def ask(self, what: str, *, limit_s: float, **words: Any) -> dict[str, Any]:
        """Send one request and return its answer; `what` names it in an error message.

        Raises NoAnswer when the connection broke, when the agent itself is silent, or when nothing
        was heard for a while beyond `limit_s`, the job's own limit in the guest.
        """
        answer = self._asked(what, {"limit_s": limit_s, **words})
        return self._answer_of(answer, what, limit_s + GRACE_S)

    def _asked(self, what: str, words: Mapping[str, Any]) -> "Future[dict[str, Any]]":
        number, answer = next(self._numbers), Future[dict[str, Any]]()
        with self._lock:
            if self._ended.is_set():
                raise self._broken(what, self._why)
            self._waiting[number] = answer
        self._lines.put(json.dumps({"id": number, **words}).encode() + b"\n")
        return answer

    def give_up(self, why: str) -> None:
        """Whatever waits fails now with `why`, and so does what is asked from now on."""
        self.given_up = True
        self._end(why)
        with contextlib.suppress(OSError, EOFError):
            self.channel.close()

    def close(self) -> None:
        """End it, and wait until it has ended: what runs in the guest then is not the testbed's."""
        self._lines.put(END)
        self._ended.wait(5)
        with contextlib.suppress(OSError, EOFError):
            self.channel.close()

    def _answer_of(
        self, answer: "Future[dict[str, Any]]", what: str, limit_s: float
    ) -> dict[str, Any]:
        deadline = time.monotonic() + limit_s
        while not wait([answer], min(SILENCE_S, max(0.0, deadline - time.monotonic()))).done:
            if time.monotonic() >= deadline:
                raise NoAnswer(
                    f"{self.role}: no end after {limit_s:g} s: {what}",
                    hint=f"`testbed ssh {self.role}` lets you look",
                )
            self._demand_a_sign(what)
        try:
            return answer.result()
        except ConnectionError as error:
            raise self._broken(what, str(error)) from error

    def _demand_a_sign(self, what: str) -> None:
        """Give the guest up unless its agent tells the time."""
        if not wait([self._asked(what, {"do": "clock"})], SILENCE_S).done:
            self.give_up(f"no sign of life for {2 * SILENCE_S} s: paused, or cut off")

    def _broken(self, what: str, why: str) -> NoAnswer:
        reason, _, words = why.partition("\n")
        return NoAnswer(
            f"{self.role}: the connection broke during: {what} ({reason.rstrip(':')})",
            hint="`testbed status` tells whether the machine still runs, `testbed up` mends it",
            detail=words,
        )

    def _speak(self) -> None:
        """Send the requests, one after the other."""
        with contextlib.suppress(OSError, EOFError):  # then the listener hears of it, too
            while (line := self._lines.get()) != END:
                self.channel.sendall(line)
            self.channel.shutdown_write()

    def _listen(self) -> None:
        """Hand out the answers until the channel ends; then nobody waits in vain."""
        why = "it has ended"
        try:
            with self.channel.makefile("rb") as lines:
                for line in lines:
                    answer = json.loads(line)
                    waiting = self._waiting.pop(answer["id"], None)
                    if waiting is not None:
                        waiting.set_result(answer)
            said = self.channel.makefile_stderr("rb").read().decode(errors="replace").strip()
            why = said.splitlines()[-1] if said else why
        except (OSError, EOFError, ValueError, KeyError, RecursionError) as error:
            why = str(error)
        finally:
            self._end(why)

    def _end(self, why: str) -> None:
        with self._lock:
            if self._ended.is_set():
                return
            self._why = why
            self._ended.set()
            left = list(self._waiting.values())
            self._waiting.clear()
        for waiting in left:
            waiting.set_exception(ConnectionError(why))
        self._lines.put(END)
