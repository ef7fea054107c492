# SPDX-License-Identifier: Apache-2.0
"""One run, opened for reading in a notebook. Nothing is measured here, and nothing is written."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from testbed.analysis.conclusions.opening import Opening
from testbed.analysis.formats.document import read_json
from testbed.analysis.page.judged import Judged, judge
from testbed.analysis.reading.run import load_run
from testbed.analysis.receipt.count_run import load_count
from testbed.analysis.receipt.judged import JudgedCount, judge_count
from testbed.analysis.receipt.lane import NO_COUNT, Lane, lane_of
from testbed.edge.computer.checkout import find_checkout
from testbed.edge.files import store
from testbed.model.errors import RunError, TestbedError

if TYPE_CHECKING:
    import pandas as pd

LATEST = "latest"
UNASKED = "it was measured without one"
COUNT_NOW = "`testbed count` counts arms by themselves"


class NotebookError(RunError):
    """A run, or a part of it, that cannot be read; a notebook shows nothing else of an error.

    So its text has the other program's words and the next step, too.
    """

    def __str__(self) -> str:
        told = filter(None, (self.detail, self.message, self.hint and f"→ {self.hint}"))
        return "\n".join(told)


@dataclass(frozen=True, repr=False)
class OpenRun:
    """A run of `testbed bench` or `testbed count`: its tables, and what its page says first.

    Each table is made anew when it is asked for, so changing one changes nothing else.
    """

    path: Path
    """The run directory."""
    plan: Mapping[str, Any]
    """plan.json (docs/run-directory.md); empty for a run of `testbed count`."""
    _judged: Judged | None
    _lane: Lane | None

    def __repr__(self) -> str:
        trials = f", {len(self._judged.run.trials)} trials" if self._judged else ""
        return f"<run {self.run_id}: {self.status}{trials}, count {self.count_status}>"

    @property
    def run_id(self) -> str:
        """The run's name: when it began, and six digits."""
        return self._judged.run.run_id if self._judged else self.path.name

    @property
    def status(self) -> str:
        """VALID, SUSPECT, INVALID or INCOMPLETE: of the trials, or of a count that is alone."""
        return self._opening.status

    @property
    def count_status(self) -> str:
        """The same of the exact count; NOT COUNTED where there is none."""
        return self._lane.opening.status if self._lane else NO_COUNT

    @property
    def headline(self) -> str:
        """The first sentence of the page."""
        return self._opening.headline

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the run is not VALID, a sentence each."""
        return self._opening.reasons

    @property
    def answers(self) -> tuple[str, ...]:
        """The page's answers on CPU time, or of a count that is alone; none where it has none."""
        return self._opening.answers

    @property
    def count_answers(self) -> tuple[str, ...]:
        """The exact answers; none where nothing was counted or may be compared."""
        return self._lane.opening.answers if self._lane else ()

    @property
    def trials(self) -> "pd.DataFrame":
        """One row a trial. Raises NotebookError for a run of `testbed count`."""
        from testbed.notebook import frames

        return frames.trials(self._trials.run)

    @property
    def ledger(self) -> "pd.DataFrame":
        """One row a trial and hop: the packets there, and those lost on the way to it."""
        from testbed.notebook import frames

        return frames.ledger(self._trials.run)

    @property
    def comparisons(self) -> "pd.DataFrame":
        """One row a comparison; one that is refused has a verdict, `why`, and no ratio."""
        from testbed.notebook import frames

        return frames.comparisons(self._trials)

    @property
    def findings(self) -> "pd.DataFrame":
        """One row a finding: of the trials, or of a count that is alone."""
        from testbed.notebook import frames

        return frames.findings(self._either.findings)

    @property
    def evidence(self) -> "pd.DataFrame":
        """One row a quantity that such a finding rests on."""
        from testbed.notebook import frames

        return frames.evidence(self._either.findings)

    @property
    def counts(self) -> "pd.DataFrame":
        """One row an arm and payload. Raises NotebookError, saying why, where none was counted."""
        from testbed.notebook import count_frames

        return count_frames.counts(self._counted)

    @property
    def count_stages(self) -> "pd.DataFrame":
        """One row an arm, payload and stage of the path. Raises as `counts`."""
        from testbed.notebook import count_frames

        return count_frames.stages(self._counted)

    @property
    def count_functions(self) -> "pd.DataFrame":
        """One row an arm, payload and function. Raises as `counts`."""
        from testbed.notebook import count_frames

        return count_frames.functions(self._counted)

    @property
    def count_findings(self) -> "pd.DataFrame":
        """One row a finding on the count. Raises as `counts`."""
        from testbed.notebook import frames

        return frames.findings(self._counted.findings)

    @property
    def _opening(self) -> Opening:
        return self._either.opening

    @property
    def _either(self) -> Judged | JudgedCount:
        return self._judged or self._counted

    @property
    def _trials(self) -> Judged:
        if self._judged is None:
            raise NotebookError(
                f"{self.path} holds a count and no trials",
                hint="ask it for counts, count_stages and count_functions",
            )
        return self._judged

    @property
    def _counted(self) -> JudgedCount:
        if self._lane is None or self._lane.judged is None:
            why = self._lane.why if self._lane else UNASKED
            hint = (self._lane.hint if self._lane else "") or COUNT_NOW
            raise NotebookError(f"{self.path} has no count: {why}", hint=hint)
        return self._lane.judged


def open_run(run: str | Path = LATEST) -> OpenRun:
    """Open a run: "latest", a run's name, or the path of a run directory.

    Names are looked up below `results/` of the checkout that holds the current folder. Raises
    NotebookError for a run that is not there or is damaged.
    """
    with _told():
        path = _find(run)
        if not (path / "plan.json").is_file():
            return OpenRun(path, {}, None, Lane(judge_count(load_count(path))))
        plan = read_json(path, "plan.json").mapping()
        loaded = load_run(path)
        lane = lane_of(path, loaded.manifest)
        return OpenRun(path, plan, judge(loaded, lane), lane)


def _find(run: str | Path) -> Path:
    """A path needs no checkout around; a name does."""
    if store.is_run(Path(run)):
        return Path(run).resolve()
    return store.find_run(find_checkout() / "results", None if run == LATEST else str(run))


@contextmanager
def _told() -> Iterator[None]:
    """Give an error all its words as its text."""
    try:
        yield
    except TestbedError as error:
        raise NotebookError(error.message, hint=error.hint, detail=error.detail) from error
