# SPDX-License-Identifier: Apache-2.0
"""The page of a count, and two counts beside each other: from their files, without machines."""

from pathlib import Path
from typing import TYPE_CHECKING

from testbed.edge.computer.aside import Aside
from testbed.edge.files import store
from testbed.edge.files.store import RunDir
from testbed.verbs.lab import Lab, print_json

if TYPE_CHECKING:
    from testbed.analysis.receipt.judged import JudgedCount
    from testbed.analysis.receipt.page import Picture, Pictures


def rendered(lab: Lab, path: Path, *, pdf: bool = False) -> "JudgedCount":
    """Judge a count and write its page, pictures and derived/count.json into its directory.

    Raises ParseError for a damaged file, UsageError for a broken template.
    """
    from testbed.analysis.receipt.count_run import load_count
    from testbed.analysis.receipt.judged import judge_count
    from testbed.analysis.receipt.page import pictures_of, render_count

    with Aside(_draw, prepare=_load) as drawing:
        judged = judge_count(load_count(path))
        drawing.ask(pictures_of(judged))
        files = render_count(judged, lab.checkout / "templates", pictures=drawing.answer)
    run_dir = RunDir(path)
    for name, content in files.items():
        run_dir.write(name, content)
    if pdf:
        from testbed.edge.files.pdf import write_pdf

        run_dir.write("report.pdf", write_pdf(str(files["report.html"]), path))
    return judged


def said(judged: "JudgedCount") -> str:
    """Return what the terminal says of a count: the verdict, the reasons, the answers."""
    opening = judged.opening
    return "\n".join([f"{opening.status}: {opening.headline}", *opening.reasons, *opening.answers])


def compare_counts(first: Path, second: Path, *, as_json: bool) -> None:
    """Print the typical counts of two runs beside each other, and the functions that differ.

    Raises RunError that names every difference when they were not counted on equal machines.
    """
    from testbed.analysis.receipt import beside
    from testbed.analysis.receipt.count_run import load_count
    from testbed.analysis.receipt.judged import judge_count

    found = beside.beside(judge_count(load_count(first)), judge_count(load_count(second)))
    if as_json:
        print_json(found.as_json())
    else:
        print(beside.text(found))


def is_count(path: Path) -> bool:
    """Whether a run directory holds a count and no trials."""
    return (path / store.COUNT_INDEX).is_file() and not (path / "plan.json").is_file()


def _load() -> None:
    from matplotlib import figure  # noqa: F401
    from matplotlib.backends import backend_agg, backend_svg  # noqa: F401


def _draw(pictures: "list[Picture]") -> "Pictures":
    from testbed.analysis.receipt.page import draw

    return draw(pictures)
