# SPDX-License-Identifier: Apache-2.0
"""The page of a count, and two counts beside each other: from their files, without machines."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.edge.computer.aside import Aside
from testbed.edge.files import store
from testbed.edge.files.store import RunDir
from testbed.edge.output import screen
from testbed.model.errors import RunError
from testbed.verbs.lab import Lab, print_json

if TYPE_CHECKING:
    from testbed.analysis.kernels.compared import TwoKernels
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


def compare_counts(lab: Lab, first: Path, second: Path, *, as_json: bool) -> None:
    """Print the typical counts of two runs beside each other, and the functions that differ.

    Two kernels get a page, too, in the second run's directory. Raises RunError that names every
    difference when more differs than the kernel and what follows from it.
    """
    from testbed.analysis.receipt import beside

    one, two, kernels = _judged(first, second)
    if kernels is not None:
        _show_kernels(lab, kernels, second, as_json=as_json)
        return
    found = beside.beside(one, two)
    if as_json:
        print_json(found.as_json())
    else:
        print(beside.text(found))


def compare_kernels(
    lab: Lab, first: Path, second: Path, unlike: Sequence[str], *, as_json: bool
) -> bool:
    """Print the counts of two runs whose CPU times must not be compared, and say so.

    `unlike` says why. Returns False, with nothing printed, where the runs hold no counts of two
    kernels.
    """
    try:
        *_, kernels = _judged(first, second)
    except RunError:
        return False
    if kernels is None:
        return False
    lab.terminal.warn(f"CPU times are not compared, only the counts are: {'; '.join(unlike)}")
    _show_kernels(lab, kernels, second, as_json=as_json)
    return True


def _judged(first: Path, second: Path) -> "tuple[JudgedCount, JudgedCount, TwoKernels | None]":
    """Return two counts, and both beside each other where they are of two kernels."""
    from testbed.analysis.kernels.compared import two_kernels
    from testbed.analysis.receipt.count_run import load_count
    from testbed.analysis.receipt.judged import judge_count

    one, two = judge_count(load_count(first)), judge_count(load_count(second))
    return one, two, two_kernels(one, two)


def _show_kernels(lab: Lab, found: "TwoKernels", second: Path, *, as_json: bool) -> None:
    from testbed.analysis.kernels import page, words

    name = page.page_name(found)
    RunDir(second).write(name, page.render_kernels(found, lab.checkout / "templates"))
    if as_json:
        print_json(words.as_json(found))
    else:
        print(words.text(found, unicode=screen.is_unicode(sys.stdout)))
        print(second / name)


def is_count(path: Path) -> bool:
    """Whether a run directory holds a count and no trials."""
    return (path / store.COUNT_INDEX).is_file() and not (path / "plan.json").is_file()


def _load() -> None:
    from matplotlib import figure  # noqa: F401
    from matplotlib.backends import backend_agg, backend_svg  # noqa: F401


def _draw(pictures: "list[Picture]") -> "Pictures":
    from testbed.analysis.receipt.page import draw

    return draw(pictures)
