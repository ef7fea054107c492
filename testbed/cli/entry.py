# SPDX-License-Identifier: Apache-2.0
"""From the shell's words to an exit code; failures become messages."""

import errno
import gc
import io
import os
import shlex
import signal
import sys
import traceback
from pathlib import Path

import typer

from testbed import __version__
from testbed.cli import (  # noqa: F401  (they register commands)
    counting,
    machines,
    measuring,
    results,
    teaching,
)
from testbed.cli.app import app
from testbed.model.errors import ExitCode, Interrupted, TestbedError

REFUSALS = (errno.EACCES, errno.EPERM, errno.EROFS)
NOT_MINE = (
    "it must belong to you and be writable; after `su` or `sudo -E`, HOME or XDG_DATA_HOME may be "
    "another user's"
)
INTERRUPTED = "interrupted: everything that was started has been undone"


def main() -> None:
    """Run the command line; never show a traceback for what a user can cause."""
    gc.set_threshold(50_000)  # a tenth of a report's time went into garbage that was none
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # an arrow is no reason to fail in Latin-1
            stream.reconfigure(errors="replace")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        # Without its standalone mode click returns the code of typer.Exit.
        status = app(standalone_mode=False) or 0
        if status == ExitCode.INTERRUPTED:  # what typer makes of Ctrl-C
            raise KeyboardInterrupt
        sys.exit(status)
    except TestbedError as error:
        _complain(error.message, error.hint, error.detail)
        sys.exit(int(error.exit_code))
    except (KeyboardInterrupt, Interrupted):
        print(file=sys.stderr)
        _say_at_last(INTERRUPTED)
        sys.exit(int(ExitCode.INTERRUPTED))
    except typer.Abort:
        sys.exit(int(ExitCode.INTERRUPTED))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.errno not in REFUSALS or not error.filename:
            _bug()
            sys.exit(int(ExitCode.BUG))
        _complain(f"{os.fsdecode(error.filename)}: {error.strerror}", NOT_MINE, "")
        sys.exit(int(ExitCode.HOST))
    except Exception as error:  # a bug of ours, or click's own complaint about the words
        show = getattr(error, "show", None)
        if show is not None:
            show()
            sys.exit(int(ExitCode.USAGE))
        _bug()
        sys.exit(int(ExitCode.BUG))


def _interrupt(_number: int, _frame: object) -> None:
    raise Interrupted


def _complain(message: str, hint: str, detail: str) -> None:
    words = [detail, f"testbed: {message}", hint and f"  → {hint}"]
    _say_at_last("\n".join(filter(None, words)))


def _say_at_last(text: str) -> None:
    """Say what ended the command; the log, where there is one, ends with it too."""
    from testbed.edge.output import journal

    print(journal.plain(text), file=sys.stderr)
    journal.note(text)


def _bug() -> None:
    """Write a report that can be pasted into an issue."""
    from testbed.edge.output import journal

    path = Path("testbed-bug.txt")
    words = f"testbed {__version__}, Python {sys.version.split()[0]}\n$ {shlex.join(sys.argv)}\n\n"
    message = f"a bug of testbed's own: {sys.exc_info()[1]!r}"
    words = journal.plain(words + traceback.format_exc())
    journal.note(words)
    try:
        path.write_text(words, encoding="utf-8")
    except OSError:
        _complain(message, "please report it with the lines above", words)
    else:
        _complain(message, f"please report it with {path}", "")
