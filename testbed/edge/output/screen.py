# SPDX-License-Identifier: Apache-2.0
"""The screen behind a stream: colours, lines that move, characters, width; and lines on stderr.

A line on stderr goes above the live lines while there are some, so that it does not tear them.
"""

import locale
import os
import shutil
import sys
import textwrap
from collections.abc import Callable
from typing import TextIO

NO_SCREENS = ("", "dumb", "unknown")
"""Values of TERM without a way to move the cursor."""
BEYOND_ASCII = "✓✗…█▒├┤━"
"""Signs of marks, bars and pictures."""
NARROWEST, WIDEST = 40, 100

_above: Callable[[str], None] | None = None


def moves(stream: TextIO) -> bool:
    """Whether a line may be rewritten in place: a terminal that can move its cursor."""
    return stream.isatty() and os.environ.get("TERM", "") not in NO_SCREENS


def coloured(stream: TextIO) -> bool:
    """Whether colours may go to a stream: a terminal, and nobody who asked for none."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def is_unicode(stream: TextIO) -> bool:
    """Whether more than ASCII may go to a stream: by the locale, and by what it can encode.

    Python writes UTF-8 under LC_ALL=C too (PEP 540), so the stream's encoding alone does not tell.
    """
    if locale.nl_langinfo(locale.CODESET).upper() not in ("UTF-8", "UTF8"):
        return False
    try:
        BEYOND_ASCII.encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeError:
        return False
    return True


def columns() -> int:
    """Return the width to write in, in columns."""
    return max(NARROWEST, min(shutil.get_terminal_size().columns, WIDEST))


def wrapped(text: str, stream: TextIO) -> str:
    """Return text with its long lines wrapped between words, where the stream is a terminal."""
    if not stream.isatty():
        return text
    lines = []
    for line in text.split("\n"):
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        lines += textwrap.wrap(
            line, columns(), subsequent_indent=indent, break_long_words=False,
            break_on_hyphens=False, drop_whitespace=True,
        ) or [""]  # fmt: skip
    return "\n".join(lines)


def put(text: str) -> None:
    """Print a line on stderr, above the live lines."""
    if _above is not None:
        _above(text)
    else:
        print(text, file=sys.stderr, flush=True)


def put_above(say: Callable[[str], None] | None) -> None:
    """Let `say` print what `put` is given, while live lines are shown; None: they are gone."""
    global _above  # noqa: PLW0603  (one process, one terminal)
    _above = say
