# SPDX-License-Identifier: Apache-2.0
"""The packet ledger as the pages print it: a row a hop and a column an arm, and every trial."""

from typing import Any

from testbed.analysis.conclusions import sentences
from testbed.analysis.measures.hops import ORDER, Hop
from testbed.analysis.measures.ledger import Ledger, Step, arm_ledger, ledger_of
from testbed.analysis.reading.records import Arm, Run, Trial


def ledger_table(run: Run) -> dict[str, Any]:
    """The template's variables: `rows` by hop, `reasons` by arm, `trials`."""
    arms = run.ordered_arms
    books = {arm.name: arm_ledger(run, arm) for arm in arms}
    return {
        "rows": [row for name in ORDER if (row := _row(name, list(books.values())))],
        "reasons": [_reasons(arm, books[arm.name]) for arm in arms],
        "hops": [name for name in ORDER if any(_hop(book, name) for book in books.values())],
        "trials": [_trial(run, trial) for trial in run.trials],
    }


def _row(name: str, books: list[Ledger | None]) -> dict[str, Any] | None:
    hops = [_hop(book, name) for book in books]
    counter = next((hop.counter for hop in hops if hop), None)
    if counter is None:
        return None
    return {
        "hop": name,
        "counter": counter,
        "cells": [_cell(book, name) for book in books],
    }


def _hop(book: Ledger | None, name: str) -> Hop | None:
    hops = book.hops if book else ()
    return next((hop for hop in hops if hop.name == name), None)


def _cell(book: Ledger | None, name: str) -> dict[str, Any]:
    """Packets, a dash when not recorded, nothing when the arm has no such hop; and what the step
    to the hop lost."""
    hop = _hop(book, name)
    step = book.step_to(name) if book else None
    missing = sentences.DASH if book is None else ""
    return {
        "packets": sentences.count(hop.packets) if hop else missing,
        "lost": _change(step),
        "why": step.reason if step else "",
    }


def _change(step: Step | None) -> str:
    """ "−250", "+3", or nothing."""
    if step is None or step.lost == 0:
        return ""
    return f"\u2212{step.lost:,}" if step.lost > 0 else f"+{-step.lost:,}"


def _reasons(arm: Arm, book: Ledger | None) -> dict[str, Any]:
    if book is None:
        said = ["no record of client and server"]
    else:
        said = [step.sentence for step in book.steps if step.lost]
        said += [f"“{hop.name}” was not recorded in every trial" for hop in book.unknown]
    return {"title": arm.title, "sentences": said}


def _trial(run: Run, trial: Trial) -> dict[str, Any]:
    book = ledger_of(trial, run.arm(trial.arm))
    uneven = [step.sentence for step in book.steps if step.lost] if book else []
    return {
        "trial": trial,
        "cells": {name: _cell(book, name) for name in ORDER},
        "closes": book is not None and book.closes(),
        "sentences": uneven,
    }
