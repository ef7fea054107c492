# SPDX-License-Identifier: Apache-2.0
"""QEMU's monitor (QMP) over an inherited socket: save, restore, quit."""

import json
import socket
from typing import Any

from testbed.model.errors import MachineError

ANSWER_LIMIT_S = 120
"""Writing 1 GB of memory to a slow disk takes longest; an answer else comes at once."""


class Monitor:
    """A conversation with one QEMU; it ends with the socket."""

    def __init__(self, link: socket.socket) -> None:
        link.settimeout(ANSWER_LIMIT_S)
        self._link = link
        self._lines = link.makefile("rb")

    def begin(self) -> None:
        """Wait for QEMU's greeting and open the session. Raises MachineError when QEMU ended."""
        self._next("its greeting")
        self.ask("qmp_capabilities")

    def ask(self, command: str, **arguments: Any) -> Any:
        """Return the answer to one command.

        Raises MachineError with QEMU's own words when it refuses, or when it has ended.
        """
        line = json.dumps({"execute": command, "arguments": arguments}) + "\n"
        try:
            self._link.sendall(line.encode())
        except OSError as error:
            raise _ended(command, str(error)) from error
        while "event" in (answer := self._next(command)):
            pass
        if "error" in answer:
            raise MachineError(
                f"QEMU refuses {command}: {answer['error'].get('desc', '?')}",
                hint="`testbed down --destroy` removes the counting machine; the next count "
                "makes it anew",
            )
        return answer.get("return")

    def do(self, line: str) -> None:
        """Run one command of the human monitor; any word that it prints is a refusal."""
        said = str(self.ask("human-monitor-command", **{"command-line": line})).strip()
        if said:
            raise MachineError(
                f"QEMU could not {line}",
                hint="`testbed down --destroy` removes the counting machine; the next count "
                "makes it anew",
                detail=said,
            )

    def _next(self, what: str) -> dict[str, Any]:
        try:
            line = self._lines.readline()
        except OSError as error:
            raise _ended(what, str(error)) from error
        if not line:
            raise _ended(what, "it has ended")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _ended(what: str, why: str) -> MachineError:
    return MachineError(
        f"the counting machine's QEMU gave no answer to {what} ({why})",
        hint="its own words are above, where it said any; count again",
    )
