# SPDX-License-Identifier: Apache-2.0
"""`testbed handout`: the lab sheet as pages, and the starter that goes with it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.edge.files import store
from testbed.edge.output.terminal import Terminal
from testbed.model import arm as arm_manifest
from testbed.model.errors import HostError, RunError, UsageError
from testbed.verbs.lab import Lab

if TYPE_CHECKING:
    from testbed.handout.page import Sheet
    from testbed.handout.sample import Sample

STARTER = "guest/starter"
OUT = "results/handout"
SAMPLE = "results/sample"


def handout(
    lab: Lab, languages: Sequence[str], *, instructor: bool, pdf: bool, out: Path | None,
    run: str | None = None,
) -> list[Path]:  # fmt: skip
    """Write the student's sheet, or the instructor's, in each language; return the files.

    Without `languages`: in all that there are. `run` gives the instructor's figures, by default
    the sample run. Raises ConfigError for a catalogue, UsageError for a template that cannot be
    used, HostError when a file cannot be written, or for a PDF without its libraries or fonts.
    """
    from testbed.handout import catalogue
    from testbed.handout.page import FOLDER, render_sheet

    folder = (out or lab.checkout / OUT).absolute()
    sheet = _sheet(lab, _sample(lab, run) if instructor else None)
    kind = "instructor" if instructor else "handout"
    there = catalogue.languages(sheet.templates / FOLDER)
    files: dict[Path, bytes] = {}
    for language in languages or there:
        with lab.terminal.step(f"{kind}, {language}", expect_s=5 if pdf else None):
            html = render_sheet(sheet, language, instructor=instructor)
            files[folder / f"{kind}-{language}.html"] = html.encode()
            if pdf:
                from testbed.edge.files.pdf import write_pdf

                files[folder / f"{kind}-{language}.pdf"] = write_pdf(html, folder)
    for path, content in files.items():
        _write(path, content)
    return list(files)


def starter(lab: Lab, folder: Path, *, solved: bool) -> list[Path]:
    """Write the exercises' folders below `folder`, with holes or solved; return them.

    Raises UsageError when one is there already, and writes nothing then.
    """
    from testbed.handout.exercises import read_exercises

    exercises = read_exercises(lab.checkout / STARTER)
    folders = [folder / exercise.name for exercise in exercises]
    for path in folders:
        if path.exists():
            raise UsageError(
                f"{path} is there already, and may hold somebody’s work",
                hint="give another folder, or move that one away",
            )
    for path, exercise in zip(folders, exercises, strict=True):
        for name, text in (exercise.solved if solved else exercise.files).items():
            _write(path / name, text.encode())
    return folders


def _sheet(lab: Lab, sample: "Sample | None") -> "Sheet":
    from testbed.handout.exercises import read_exercises
    from testbed.handout.page import Sheet

    arms = arm_manifest.choose(lab.arms_dir, arm_manifest.known(lab.arms_dir))
    return Sheet(
        config=lab.config,
        arms={arm.name: arm for arm in arms},
        arms_dir=lab.arms_dir,
        exercises=read_exercises(lab.checkout / STARTER),
        templates=lab.checkout / "templates",
        sample=sample,
    )


def _sample(lab: Lab, name: str | None) -> "Sample | None":
    """Return a run's figures; None, and a word about it, when nobody asked for a certain run."""
    from testbed.analysis.reading.run import load_run
    from testbed.handout.sample import sample_of

    try:
        path = store.find_run(lab.results, name) if name else lab.checkout / SAMPLE
        return sample_of(load_run(path))
    except RunError as error:
        if name:
            raise
        _say_that_there_is_none(lab.terminal, error)
        return None


def _say_that_there_is_none(terminal: Terminal, error: RunError) -> None:
    terminal.warn(f"no figures of a sample run: {error.message}")
    terminal.say("  → `--sample RUN` takes those of a run of yours")


def _write(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    try:
        store.write_whole(path, content)
    except OSError as error:
        raise HostError(
            f"{path} cannot be written: {error.strerror}", hint="give another folder with --out"
        ) from error
