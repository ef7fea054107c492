# SPDX-License-Identifier: Apache-2.0
"""An instrument: one way to see the work of a trial, and its place on the page and in tables."""

from collections.abc import Callable
from dataclasses import dataclass

from testbed.analysis.reading.records import Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Instrument:
    """One instrument. A new one is a module with this record, and a place in `INSTRUMENTS`.

    `read` gives one trial's number; None where the trial did not record it, never 0. Findings whose
    `about` is `name` mark its column and nothing else: no comparison rests on it.
    """

    name: str
    heading: str
    """The head of its column on the page; `{unit}` is the unit of the run's cost."""
    column: str
    """Its name in `derived/trials.csv`."""
    digits: int
    """Decimals there."""
    read: Callable[[Trial], float | None]
