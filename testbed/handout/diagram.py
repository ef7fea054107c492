# SPDX-License-Identifier: Apache-2.0
"""The drawing of a packet's path: from top to bottom, so that it fits a phone as it is.

One unit is one CSS pixel at a width of 340. Colours are attributes for what knows no style sheet of
the page (a PDF, a file of its own); the page's style sheet overrides them by class. Shapes say the
same as colours: a hook that is in use is a filled disc, a free one is a ring.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

from markupsafe import Markup

from testbed.handout.catalogue import Catalogue
from testbed.handout.path import Stage, arms_at, stages_for
from testbed.model.arm import Arm

WIDTH, CENTRE = 340, 106
BOX_X, BOX_WIDTH, BOX_HEIGHT = 16, 180, 38
GAP = 14
HOOK_X = CENTRE + 14
INNER_RIGHT = WIDTH - 14
FONT, SMALL, LINE = 12.0, 10.5, 13.5
INK, SOFT, FAINT, PAPER, ACCENT = "#1d1d1b", "#5c5a55", "#f4f1ea", "#ffffff", "#1a4f8b"
HANGUL = 0x1100


def width_of(text: str, size: float) -> float:
    """Return about how wide a text is: 0.56 em a letter, 1 em a syllable of Hangul."""
    return sum(size * (1.0 if ord(letter) >= HANGUL else 0.56) for letter in text)


def wrapped(words: Sequence[str], room: float, size: float) -> list[str]:
    """Return words in lines that fit into `room`; a word that is longer has a line of its own."""
    lines: list[str] = []
    for word in words:
        if lines and width_of(f"{lines[-1]} {word}", size) <= room:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def in_words(arms: Sequence[Arm], text: Catalogue) -> str:
    """Return what the drawing shows, for who cannot see it."""
    used = arms_at(arms)
    said = []
    for stage in stages_for(arms):
        name = text.plain(f"stage.{stage.key}")
        if stage.is_hook:
            names = ", ".join(arm.name for arm in used.get(stage.key, ()))
            said.append(f"{name}: {names or text.plain('diagram.free')}")
        else:
            said.append(f"{name} ({text.plain(f'detail.{stage.key}')})")
    return "; ".join(said)


def draw_path(arms: Sequence[Arm], text: Catalogue) -> Markup:
    """Return the SVG element: every stage of the path, and the arms at their hooks."""
    pen = _Pen(text, arms_at(arms))
    top = {}
    for place, stages in groupby(stages_for(arms), key=lambda stage: stage.place):
        top[place] = pen.y
        pen.open(place)
        for stage in stages:
            pen.stage(stage)
        if place != "server":  # the server's frame ends behind the namespace, which is in it
            pen.close(place, top[place])
        if place == "client":
            pen.link()
    pen.close("server", top["server"])
    head = (
        f'<svg class="path" role="img" xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {WIDTH} {pen.y:g}" aria-labelledby="path-title path-text">'
        f'<title id="path-title">{escape(text.plain("diagram.title"))}</title>'
        f'<desc id="path-text">{escape(in_words(arms, text))}</desc>'
    )
    return Markup("\n".join([head, *reversed(pen.frames), *pen.parts, "</svg>"]))


@dataclass
class _Pen:
    """The drawing so far, and how far down it reaches. Frames go behind everything else."""

    text: Catalogue
    used: Mapping[str, Sequence[Arm]]
    parts: list[str] = field(default_factory=list)
    frames: list[str] = field(default_factory=list)
    y: float = 2.0
    line_from: float | None = None

    def open(self, place: str) -> None:
        """Begin a frame: room for its label, which the path's line passes on the left."""
        inset = 8 if place == "namespace" else 2
        self.words(WIDTH - inset - 8, self.y + 16, self.text.plain(f"place.{place}"), FONT, "end",
                   weight=600)  # fmt: skip
        self.words(WIDTH - inset - 8, self.y + 30, self.text.plain(f"address.{place}"), SMALL,
                   "end", soft=True)  # fmt: skip
        self.y += 38

    def close(self, place: str, top: float) -> None:
        """Draw the frame around everything since `top`."""
        inset = 8 if place == "namespace" else 2
        self.y += 10
        dash = ' stroke-dasharray="5 3"' if place == "namespace" else ""
        fill = PAPER if place == "namespace" else FAINT
        self.frames.append(
            f'<rect class="frame {place}" x="{inset}" y="{top:g}" width="{WIDTH - 2 * inset}" '
            f'height="{self.y - top:g}" rx="6" fill="{fill}" stroke="{SOFT}"{dash}/>'
        )
        self.y += 4

    def link(self) -> None:
        """Write what is on the link between the two machines."""
        self.words(HOOK_X, self.y + 13, self.text.plain("diagram.link"), SMALL, soft=True)
        self.y += 20

    def stage(self, stage: Stage) -> None:
        """Draw one stage and the piece of the path that leads to it."""
        if stage.is_hook:
            self._hook(stage)
        else:
            self._box(stage)

    def _box(self, stage: Stage) -> None:
        self.y += GAP if self.line_from is not None else 0
        if self.line_from is not None:
            self.arrow(self.line_from, self.y)
        self.parts.append(
            f'<rect class="box" x="{BOX_X}" y="{self.y:g}" width="{BOX_WIDTH}" '
            f'height="{BOX_HEIGHT}" rx="3" fill="{PAPER}" stroke="{INK}"/>'
        )
        self.words(CENTRE, self.y + 16, self.text.plain(f"stage.{stage.key}"), FONT, "middle")
        detail = self.text.plain(f"detail.{stage.key}")
        self.words(CENTRE, self.y + 30, detail, SMALL, "middle", soft=True)
        self.y += BOX_HEIGHT
        self.line_from = self.y

    def _hook(self, stage: Stage) -> None:
        arms = self.used.get(stage.key, ())
        names = [f"{arm.name}{',' * (arm is not arms[-1])}" for arm in arms]
        lines = wrapped(names, INNER_RIGHT - HOOK_X, SMALL) or [self.text.plain("diagram.free")]
        middle = self.y + GAP + 6
        fill = ACCENT if arms else PAPER
        self.parts.append(
            f'<circle class="hook {"used" if arms else "free"}" cx="{CENTRE}" cy="{middle:g}" '
            f'r="6" fill="{fill}" stroke="{ACCENT}" stroke-width="2"/>'
        )
        name = self.text.plain(f"stage.{stage.key}")
        self.words(HOOK_X, middle + 4, name, FONT, weight=600)
        for number, line in enumerate(lines, start=1):
            self.words(HOOK_X, middle + 4 + LINE * number, line, SMALL, soft=not arms)
        self.y = middle + 6 + LINE * len(lines)

    def arrow(self, start: float, end: float) -> None:
        """Draw the path's line, under what is drawn on it, with its head at `end`."""
        self.parts.insert(
            0,
            f'<path class="way" d="M{CENTRE} {start:g}V{end - 5:g}" fill="none" stroke="{INK}" '
            f'stroke-width="1.5"/><path class="head" d="M{CENTRE - 4} {end - 6:g}h8l-4 6z" '
            f'fill="{INK}"/>',
        )

    def words(
        self, x: float, y: float, text: str, size: float, anchor: str = "start", *,
        weight: int = 400, soft: bool = False,
    ) -> None:  # fmt: skip
        """Write a line of text."""
        self.parts.append(
            f'<text class="{"soft" if soft else "ink"}" x="{x:g}" y="{y:g}" '
            f'font-family="sans-serif" font-size="{size:g}" font-weight="{weight}" '
            f'text-anchor="{anchor}" fill="{SOFT if soft else INK}">{escape(text)}</text>'
        )
