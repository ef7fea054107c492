# SPDX-License-Identifier: Apache-2.0
"""`testbed runs` and results/index.html: every run in a line, without reading its trials.

A run is judged when its report is rendered; here only what `derived/findings.json` says of that is
read, so a thousand runs take a second. A run that was not rendered since it ended says so.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.edge.files import store
from testbed.model.errors import HostError, ParseError
from testbed.model.json_node import Node, parse_json
from testbed.verbs.lab import Lab, print_json
from testbed.verbs.reporting.receipts import is_count

INDEX = "index.html"
MOST = 3
"""Answers of a run in its line."""
NOT_RENDERED = "complete"
"""The state of a run that has no verdict yet: it is closed, and that is all that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRun:
    """One run. `state`: VALID, SUSPECT, INVALID, INCOMPLETE, or "complete" without a verdict."""

    run: str
    complete: bool
    state: str
    arms: tuple[str, ...]
    trials: int | None
    """The trials of each arm; None for a count."""
    answers: tuple[str, ...]
    """In short, "xdp/netfilter 0.93 (0.91 to 0.95)"; empty where nothing was compared."""
    sentences: tuple[str, ...]
    """The page's own."""
    page: bool
    """Whether there is a report."""
    packets: int | None = None
    """Counted of each arm; None for a run of trials, or where it is not recorded."""
    counted: tuple[str, ...] = ()
    """For a run of trials: the words of its exact count, apart from the answers; or why nothing."""

    @property
    def is_count(self) -> bool:
        return self.trials is None


def runs(lab: Lab, *, as_json: bool) -> None:
    """Print every run, oldest first, and renew the index."""
    rows = _rows(lab)
    _write_index(lab, rows)
    if as_json:
        print_json({"runs": [
            {"run": row.run, "kind": "count" if row.is_count else "trials",
             "complete": row.complete, "status": row.state, "arms": list(row.arms),
             "trials": row.trials, "packets": row.packets, "answers": list(row.sentences),
             "counted": list(row.counted)}
            for row in rows
        ]})  # fmt: skip
        return
    if not rows:
        lab.terminal.say(f"no run in {lab.results} yet: `testbed bench --both` makes one")
        return
    wide = max(len(_what(row)) for row in rows)
    for row in rows:
        answer = "; ".join((*row.answers, *row.counted))
        print(f"{row.run}  {row.state:<10}  {_what(row):<{min(wide, 44)}}  {answer}".rstrip())
    lab.terminal.say(f"the same as a page: {lab.results / INDEX}")


def _what(row: ListedRun) -> str:
    number = row.trials if row.trials is not None else f"count, {row.packets or '?'}"
    return f"{number} x {', '.join(row.arms)}"


def renew_index(lab: Lab) -> None:
    """Write results/index.html: the newest run first, each with its verdict, answer and page."""
    _write_index(lab, _rows(lab))


def _write_index(lab: Lab, rows: list[ListedRun]) -> None:
    from testbed.analysis.formats.templates import render

    if not lab.results.is_dir():
        return
    page = render(lab.checkout / "templates", "runs.html.j2", {"rows": rows[::-1]})
    path = lab.results / INDEX
    try:
        store.write_whole(path, page.encode())
    except OSError as error:
        raise HostError(
            f"{path} cannot be written: {error.strerror}",
            hint=f"make {lab.results} yours to write, or free some room",
        ) from error


def _rows(lab: Lab) -> list[ListedRun]:
    rows = []
    for path in store.all_runs(lab.results):
        count = is_count(path)
        try:
            rows.append(_count_row(path) if count else _row(path))
        except (ValueError, KeyError, TypeError, AttributeError, ParseError):
            lab.terminal.warn(f"{path.name}: {'count' if count else 'plan'}.json is damaged")
    return rows


def _row(path: Path) -> ListedRun:
    """Raises one of the above for a plan that is none."""
    plan = _document(path, "plan.json").mapping()
    arms = tuple(str(arm["name"]) for arm in plan["arms"])
    complete = (path / "manifest.json").is_file()
    state = NOT_RENDERED if complete else "INCOMPLETE"
    answers: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    counted: tuple[str, ...] = ()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, ParseError):
        node = _document(path, "derived/findings.json")
        judged = node.mapping()
        if judged["complete"] == complete:  # else it was rendered while it still ran
            answers, sentences = _in_short(node.get("comparisons")), tuple(judged["answers"])
            state = str(judged["status"])
            counted = _counted(node.find("count"))
    return ListedRun(
        run=path.name,
        complete=complete,
        state=state,
        arms=arms,
        trials=len(plan["blocks"]),
        answers=answers,
        sentences=sentences,
        page=(path / "report.html").is_file(),
        counted=counted,
    )


def _counted(count: Node | None) -> tuple[str, ...]:
    """The answer of a run's count, in short; nothing for a run without one."""
    if count is None:
        return ()
    arms = count.get("typical_instructions")
    said = _listed([f"{arm} {arms.integer(arm):,} instructions" for arm in arms.mapping()])
    status = count.text("status")
    if status == "NOT COUNTED":
        return ("not counted",)
    return said if said and status == "VALID" else (f"count {status}", *said)


def _count_row(path: Path) -> ListedRun:
    """Raises ValueError, KeyError, TypeError or AttributeError for a count.json that is none."""
    facts = _document(path, store.COUNT_INDEX).mapping()
    complete = (path / "manifest.json").is_file()
    state = NOT_RENDERED if complete else "INCOMPLETE"
    answers: tuple[str, ...] = ()
    sentences: tuple[str, ...] = ()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, ParseError):
        judged = _document(path, "derived/count.json").mapping()
        if judged["complete"] == complete:
            sentences = tuple(map(str, judged["answers"]))
            answers = _instructions(judged["arms"]) if sentences else ()
            state = str(judged["status"])
    return ListedRun(
        run=path.name, complete=complete, state=state, arms=tuple(map(str, facts["arms"])),
        trials=None, packets=facts.get("packets"), answers=answers, sentences=sentences,
        page=(path / "report.html").is_file(),
    )  # fmt: skip


def _instructions(arms: Any) -> tuple[str, ...]:
    """ "xdp 10,593 instructions", for the first payload of each arm."""
    first: dict[str, int] = {}
    for one in arms:
        first.setdefault(str(one["arm"]), int(one["typical_instructions"]))
    return _listed([f"{arm} {number:,} instructions" for arm, number in first.items()])


def _listed(said: list[str]) -> tuple[str, ...]:
    return (*said[:MOST], *((f"and {len(said) - MOST} more",) if len(said) > MOST else ()))


def _document(path: Path, name: str) -> Node:
    return parse_json((path / name).read_text(encoding="utf-8"), name)


def _in_short(comparisons: Node) -> tuple[str, ...]:
    """Hook against hook or, where there are no two, each hook against no hook; no controls."""
    from testbed.analysis.conclusions.sentences import interval_text, ratio_text
    from testbed.analysis.statistics.intervals import Ratio

    known = [c for c in comparisons.items() if c.find("ratio") and not c.mapping()["control"]]
    said = []
    for one in [c for c in known if c.mapping()["headline"]] or known:
        ratio = Ratio(
            ratio=one.number("ratio"),
            low=one.optional_number("low"),
            high=one.optional_number("high"),
            block_count=one.integer("blocks"),
        )
        pair = f"{one.text('arm')}/{one.text('reference')}"
        said.append(f"{pair} {ratio_text(ratio)} ({interval_text(ratio)})")
    return _listed(said)
