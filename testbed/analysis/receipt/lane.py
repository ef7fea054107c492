# SPDX-License-Identifier: Apache-2.0
"""The count of a run of trials: judged by its own checks alone, or why there is none.

CPU time and count are two answers. Neither's checks can take away, or give back, the other's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from testbed.analysis.conclusions.opening import Opening
from testbed.analysis.formats.document import read_json
from testbed.analysis.reading.checksums import edited_of_count, has_count
from testbed.analysis.receipt.answer import EXACT, counted
from testbed.analysis.receipt.count_run import load_count
from testbed.analysis.receipt.judged import JudgedCount, judge_count
from testbed.model.count_files import FOLDER, INDEX, NOT_COUNTED
from testbed.model.errors import RunError

NO_COUNT = "NOT COUNTED"
"""The status of a run whose arms could not be counted, which is nothing wrong with the run."""
INVALID = "INVALID"


@dataclass(frozen=True)
class Lane:
    """`judged` is None where nothing was counted, or where the files cannot be read (`damaged`).

    `why` and `hint` then tell why, and what to do.
    """

    judged: JudgedCount | None
    why: str = ""
    hint: str = ""
    damaged: bool = False

    @cached_property
    def opening(self) -> Opening:
        """The first words of the page about it."""
        if self.judged is not None:
            return self.judged.opening
        headline = "The count cannot be read." if self.damaged else "No instruction was counted."
        said = f"{self.why[:1].upper()}{self.why[1:]}{f': {self.hint}' if self.hint else ''}."
        status = INVALID if self.damaged else NO_COUNT
        return Opening(status=status, headline=headline, reasons=(said,), answers=())

    @property
    def is_invalid(self) -> bool:
        """Whether it is there, and not what it seems."""
        return self.opening.status in (INVALID, "INCOMPLETE")

    @property
    def exact(self) -> str:
        """Return the exact answer in one sentence, or that there is none."""
        said = self.opening
        if said.status == NO_COUNT:
            return f"Exact: not counted ({self.why})."
        sure = " (SUSPECT)." if said.status == "SUSPECT" else "."
        if said.answers:
            return said.answers[0].removesuffix(".") + sure
        compared = self.judged.comparable if self.judged is not None else ()
        if len(compared) == 1:
            one = compared[0]
            where = "without a hook" if one.is_baseline else f"with {one.spoken}"
            return f"{EXACT}{counted(one.instructions, 'instruction')} {where}{sure}"
        return f"Exact: no answer; the count is {said.status}."

    def as_json(self) -> dict[str, Any]:
        """Return what findings.json holds of it; derived/count.json has the rest."""
        said, compared = self.opening, self.judged.comparable if self.judged is not None else ()
        return {
            "status": said.status,
            "headline": said.headline,
            "reasons": list(said.reasons),
            "answers": list(said.answers),
            "typical_instructions": {one.arm: one.instructions for one in compared},
        }


def lane_of(path: Path, manifest: Mapping[str, Any]) -> Lane | None:
    """Read the count of a run of trials; None where the run has none, and none was tried.

    A fault in its files is the lane's own, and never raised.
    """
    if not (path / FOLDER / INDEX).is_file():
        return _damaged(f"{FOLDER}/{INDEX} is missing") if has_count(manifest) else None
    try:
        left = read_json(path, f"{FOLDER}/{INDEX}").find(NOT_COUNTED)
        if left is None:
            return Lane(judge_count(load_count(path)))
        if changed := edited_of_count(path, manifest):
            return _damaged(f"{changed[0]} is not the file that was recorded")
        return Lane(None, left.text("why"), left.optional_text("hint"))
    except RunError as error:
        return _damaged(error.message)


def _damaged(why: str) -> Lane:
    return Lane(None, why, "get the file back, or measure again", damaged=True)
