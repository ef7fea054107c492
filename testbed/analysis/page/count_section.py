# SPDX-License-Identifier: Apache-2.0
"""The variables of a run's exact count in the templates, beside its CPU time."""

from dataclasses import asdict
from typing import Any

from testbed.analysis.page.judged import Judged
from testbed.analysis.receipt.answer import NOT_TIME
from testbed.analysis.receipt.view import view_of


def exact_of(judged: Judged) -> dict[str, Any] | None:
    """Return the variable `exact`; None for a run without a count.

    `first` and `second` are the two answers, `more` the count's others; `count` has the variables
    of a count's own page, or is None where nothing was counted.
    """
    lane, both = judged.lane, judged.both
    if lane is None or both is None:
        return None
    said = lane.opening
    return {
        "first": both.exact,
        "second": both.cpu_time,
        "status": said.status,
        "headline": said.headline,
        "reasons": said.reasons,
        "more": said.answers[1:],
        "not_time": NOT_TIME,
        "count": view_of(lane.judged) if lane.judged is not None else None,
    }


def count_of(judged: Judged) -> dict[str, Any] | None:
    """Return what findings.json has of the count: its verdict, and both answers in a sentence."""
    lane, both = judged.lane, judged.both
    if lane is None or both is None:
        return None
    return {**lane.as_json(), "both": asdict(both)}
