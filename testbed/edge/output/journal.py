# SPDX-License-Identifier: Apache-2.0
"""Everything that a command says and runs: each line with its time, for a file that wants it.

Lines are held until then: a run's log begins with the command's first word, although its directory
is made later. `--log FILE` is another such file. With `-v` commands go to stderr, too.

This is not Python's `logging`: Ctrl-C is an exception here, and where it strikes between the taking
of a handler's lock and the block that gives it back, every thread that has a word to say waits for
ever. Here is no lock: one system call appends a whole record.
"""

import contextlib
import os
import re
import shlex
import sys
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.model.errors import HostError

HELD = 10_000
"""Records; a command that never gets a file keeps its last ones."""
AGENT = "/opt/testbed/guest"
# In `http://name:password@proxy`, which an environment or a mirror's address may hold.
_LOGIN = re.compile(r"(\w://)[^/\s@'\"]+@")
# All but line ends and tabs: a guest's words must not move the cursor of who reads them.
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def without_secrets(text: str) -> str:
    """Return `text` with no name and password in an address."""
    return _LOGIN.sub(r"\1***@", text)


def plain(text: str) -> str:
    """Return `text` without secrets, and with � for each character that acts by itself."""
    return _CONTROLS.sub("�", without_secrets(text))


@dataclass
class _Journal:
    """The records of this process, and where they go."""

    verbose: bool = False
    held: deque[bytes] = field(default_factory=lambda: deque(maxlen=HELD))
    files: list[int] = field(default_factory=list)


_now = _Journal()


def begin(words: Sequence[str], *, verbose: bool, log: Path | None) -> None:
    """Start anew with a command line; raises HostError when `log` cannot be written."""
    global _now  # noqa: PLW0603  (one process, one command)
    for file in _now.files:
        os.close(file)
    _now = _Journal(verbose)
    note(f"$ {shlex.join(words)}")
    if log is not None:
        write_to(log)


def write_to(path: Path) -> None:
    """Append all that was held to the file `path`, and from now on what comes.

    Raises HostError when it cannot be written.
    """
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise HostError(
            f"{path}, the log, cannot be written: {error.strerror}",
            hint="give another file: `testbed --log FILE …`",
        ) from error
    _append(file, b"".join(_now.held))
    _now.files.append(file)


def note(text: str) -> None:
    """Keep what was said, a time (UTC) before each of its lines."""
    now = time.time()
    stamp = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(now))}.{int(now % 1 * 1000):03d}Z  "
    lines = plain(text).split("\n")
    record = "".join(f"{stamp}{line}\n" for line in lines).encode(errors="backslashreplace")
    _now.held.append(record)
    for file in _now.files:
        _append(file, record)


def _append(file: int, record: bytes) -> None:
    with contextlib.suppress(OSError):  # that a disk is full is for what is measured to say
        os.write(file, record)


def _command(line: str) -> None:
    note(f"+ {line}")
    if _now.verbose:
        print(f"+ {without_secrets(line)}", file=sys.stderr, flush=True)


def on_host(argv: Sequence[str], folder: Path | None = None) -> None:
    """Note a command on this computer; where it matters, with the folder that it runs in."""
    line = shlex.join(argv)
    if folder is not None and folder != Path("/"):
        line = f"(cd {shlex.quote(str(folder))} && {line})"
    _command(line)


def on_guest(role: str, line: str) -> None:
    """Note a line of shell in a guest, as it is typed here to do the same."""
    try:
        simple = shlex.join(shlex.split(line)) == line
    except ValueError:  # a quotation mark of a language inside of the shell's
        simple = False
    words = line if simple else f"sh -c {shlex.quote(line)}"
    _command(f"testbed ssh {role} {words}")


def to_agent(role: str, request: Mapping[str, Any]) -> None:
    """Note what a guest's agent is asked; what is no command there is a comment."""
    if request["do"] == "line":
        on_guest(role, request["line"])
    elif request["do"] == "program":
        on_guest(role, _program(request))
    else:
        words = [request["do"], *request.get("names", ()), request.get("folder", "")]
        _command(f"# {role}: the agent's {' '.join(filter(None, words))}")


def _program(request: Mapping[str, Any]) -> str:
    """Return what the agent does with one of its programs, as a command."""
    program = ["python3", f"{AGENT}/{request['program']}.py", *request["arguments"]]
    if namespace := request.get("namespace"):
        program = ["ip", "netns", "exec", namespace, *program]
    line = shlex.join(program)
    if output := request.get("output"):
        line += f" >{shlex.quote(output)} 2>{shlex.quote(str(Path(output).with_suffix('.err')))}"
    return line
