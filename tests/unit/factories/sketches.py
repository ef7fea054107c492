# SPDX-License-Identifier: Apache-2.0
"""Reports whose figures are laid out and not written, for tests that look at words.

Three quarters of a report's time go into writing each figure as SVG and as PNG. Whatever lays a
figure out still runs, and raises what it raises. The files themselves have tests of their own, in
`tests/unit/analysis/page/test_figures.py` and in `tests/pages`.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from testbed.analysis.page.report import render_report
from testbed.analysis.plots.style import Drawing, Sheet
from testbed.analysis.reading.run import load_run
from testbed.edge.computer import aside
from tests.unit.factories.run_factory import RunRecipe, make_run

FINISH = Sheet.finish
EVERY = ("*",)
"""In place of names: all figures are drawn."""


def sketch(patch: pytest.MonkeyPatch, drawn: Collection[str] = ()) -> None:
    """Let figures have no content, but those that are named."""
    # Loaded here, copies of this process have it already.
    from matplotlib.backends import backend_agg, backend_svg  # noqa: F401

    def finish(self: Sheet, name: str, alternative: str) -> Drawing:
        if drawn == EVERY or name in drawn:
            return FINISH(self, name, alternative)
        spoken = f"{alternative} {self.stamp}"
        svg = f'<svg viewBox="0 0 1 1" role="img" aria-label="{escape(spoken)}"></svg>'
        return Drawing(name=name, alternative=spoken, svg=svg, png=b"")

    patch.setattr(Sheet, "finish", finish)
    # A copy of this large process takes longer than what is left to draw.
    patch.setattr(aside, "can_fork", lambda: False)


@contextmanager
def sketched(drawn: Collection[str] = ()) -> Iterator[None]:
    """Do the same for as long as the context lasts, also within a wider one."""
    with pytest.MonkeyPatch.context() as patch:
        sketch(patch, drawn)
        yield


def rendered(
    recipe: RunRecipe | None = None, drawn: Collection[str] = (), **options: bool
) -> Mapping[str, Any]:
    """Return a report's files, rendered once for each recipe; only the figures named are drawn."""
    return _rendered(_Recipe(recipe or RunRecipe()), drawn, tuple(sorted(options.items())))


class _Recipe:
    """A recipe as a key: its mappings cannot be one."""

    def __init__(self, recipe: RunRecipe) -> None:
        self.recipe, self.key = recipe, repr(recipe)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Recipe) and other.key == self.key

    def __hash__(self) -> int:
        return hash(self.key)


@cache
def _rendered(
    made_of: _Recipe, drawn: tuple[str, ...], options: tuple[tuple[str, bool], ...]
) -> Mapping[str, Any]:
    with TemporaryDirectory() as folder, sketched(drawn):
        run = load_run(make_run(Path(folder), made_of.recipe))
        return render_report(run, **dict(options))
