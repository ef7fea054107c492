# SPDX-License-Identifier: Apache-2.0
"""A template and its variables become a page; a template that is broken is named with its line.

What the variables hold is data: HTML is escaped by itself (`*.html.j2`), Markdown by the filter
`md`, characters that act by themselves are replaced in both, and a variable that is not there is an
error, never an empty place.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, TemplateError
from jinja2.exceptions import TemplateSyntaxError

from testbed.analysis.formats.sanitize import harmless
from testbed.model.errors import UsageError

TEMPLATES = Path(__file__).resolve().parents[3] / "templates"


def render(directory: Path, name: str, variables: dict[str, object]) -> str:
    """The page that the template `directory/name` makes of the variables. Raises UsageError."""
    return template(directory, name)(variables)


def template(directory: Path, name: str) -> Callable[[dict[str, object]], str]:
    """The template `directory/name`, read: a function that makes a page of variables.

    Both raise UsageError naming the template that is missing, or the line of a broken one.
    """
    if not (directory / name).is_file():
        raise UsageError(
            f"the page template {directory / name} is missing",
            hint="run testbed from its source directory, or restore templates/",
        )
    page = Environment(
        loader=FileSystemLoader(directory),
        autoescape=name.endswith(".html.j2"),
        undefined=StrictUndefined,
        finalize=_finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page.filters["md"] = markdown_text
    with _told(directory, name):
        read = page.get_template(name)

    def fill(variables: dict[str, object]) -> str:
        with _told(directory, name):
            return read.render(variables)

    return fill


@contextmanager
def _told(directory: Path, name: str) -> Iterator[None]:
    """What is wrong with a template becomes a UsageError with its place."""
    try:
        yield
    except TemplateSyntaxError as error:
        place = f"{directory / (error.name or name)}, line {error.lineno}"
        raise UsageError(f"{place}: {error.message}", hint="correct the template") from error
    except Exception as error:
        # What a template calls fails with Python's own errors; one from elsewhere is ours.
        line = _template_line(error, directory)
        if line is None and not isinstance(error, TemplateError):
            raise
        said = error.message if isinstance(error, TemplateError) else repr(error)
        raise UsageError(f"{line or directory}: {said}", hint="correct the template") from error


def _finalize(value: object) -> object:
    """Of what a template prints: text becomes harmless, markup of the template's own stays."""
    return harmless(value) if type(value) is str else value


def _template_line(error: Exception, directory: Path) -> str | None:
    """The innermost template frame of the traceback, as "file, line n"."""
    place, frame = None, error.__traceback__
    while frame is not None:
        file = Path(frame.tb_frame.f_code.co_filename)
        if file.is_relative_to(directory):
            place = f"{file}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return place


def markdown_text(value: object) -> str:
    """Text as data in Markdown: no markup, no table cell, no HTML comes out of it."""
    text = " ".join(str(value).split())
    for character in "\\`*_[]|#":
        text = text.replace(character, "\\" + character)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
