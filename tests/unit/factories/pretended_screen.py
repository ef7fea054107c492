# SPDX-License-Identifier: Apache-2.0
"""A screen that does what a terminal does with the few sequences that move its cursor."""

import re
from io import StringIO

WORDS = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])|\r|\n|[^\x1b\r\n]")


class Tty(StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


class Screen:
    """A screen of `width` columns after `text` was written to it."""

    def __init__(self, text: str, width: int) -> None:
        self.lines, self.row, self.column, self.cursor_shown = [""], 0, 0, True
        for word in WORDS.finditer(text):
            if word[0] == "\r":
                self.column = 0
            elif word[0] == "\n":
                self._down()
            elif word[2] is None:
                self._print(word[0], width)
            else:
                self._act(word[1], word[2])

    @property
    def shown(self) -> list[str]:
        """The lines, without what is empty at their ends and below them."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n").split("\n")

    def _down(self) -> None:
        self.row, self.column = self.row + 1, 0
        if self.row == len(self.lines):
            self.lines.append("")

    def _print(self, character: str, width: int) -> None:
        if self.column == width:  # the terminal wraps
            self._down()
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
        self.column += 1

    def _act(self, value: str, letter: str) -> None:
        if letter == "A":
            self.row -= int(value or 1)
            assert self.row >= 0, "above what this program wrote are the lines of others"
        elif letter == "K":
            assert value == "2"
            self.lines[self.row] = ""
        elif value == "?25":
            self.cursor_shown = letter == "h"
        else:
            assert letter == "m", f"a sequence that moves something else: {value}{letter}"
