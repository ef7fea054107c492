# SPDX-License-Identifier: Apache-2.0
"""A sheet made from this checkout, and what its page holds, for the tests of the handout."""

from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from testbed.handout import Sheet, read_exercises
from testbed.handout.sample import Sample
from testbed.model import arm
from testbed.model.config import Config
from tests import PROJECT

TEMPLATES = PROJECT / "templates"
LANGUAGES = ("en", "ko")
VOID = {"meta", "link", "br", "hr", "img", "input", "path", "rect", "circle"}


def sheet(
    config: Config | None = None, *, templates: Path = TEMPLATES, sample: Sample | None = None
) -> Sheet:
    """Return the sheet of a configuration, by default the original's."""
    arms_dir = PROJECT / "guest/arms"
    arms = arm.choose(arms_dir, arm.known(arms_dir))
    return Sheet(
        config=config or Config(),
        arms={one.name: one for one in arms},
        arms_dir=arms_dir,
        exercises=read_exercises(PROJECT / "guest/starter"),
        templates=templates,
        sample=sample,
    )


@dataclass
class Page(HTMLParser):
    """What a page holds: commands by id, headings by level, text without styles, requests."""

    html: str
    commands: dict[str, str] = field(default_factory=dict)
    headings: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    unscoped: int = 0
    uncaptioned: int = 0
    open: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    language: str = ""
    command: str = ""

    def __post_init__(self) -> None:
        super().__init__()
        self.feed(self.html)
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag not in VOID:
            self.open.append(tag)
        if tag == "html":
            self.language = given["lang"]
        if "id" in given:
            self.ids.append(given["id"])
        if "data-command" in given:
            self.command = given["data-command"]
            self.commands[self.command] = ""
        if tag in ("h1", "h2", "h3", "h4", "h5", "h6"):
            self.headings.append(int(tag[1]))
        if tag in ("script", "iframe"):
            self.requests.append(tag)
        self.requests += [given[name] for name in ("src", "srcset", "data") if name in given]
        if tag == "link":
            self.requests.append(given["href"])
        if tag == "a":
            self.links.append(given["href"])
        self.unscoped += tag == "th" and "scope" not in given
        self.uncaptioned += (tag == "table") - (tag == "caption")

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        assert self.open and self.open[-1] == tag, f"</{tag}> within {self.open[-4:]}"
        self.open.pop()
        if tag == "pre":
            self.command = ""

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words.append(data)
        if self.command:
            self.commands[self.command] += data

    @property
    def text(self) -> str:
        """All words, in one line."""
        return " ".join(" ".join(self.words).split())
