# SPDX-License-Identifier: Apache-2.0
"""A run's end in a terminal: the verdict, the answer, and a small picture of the costs.

The picture has a bar only of an arm that may be compared. Where no comparison may be printed there
is none at all, for bars of unequal length are an order.
"""

import textwrap

from testbed.analysis.conclusions import answers
from testbed.analysis.conclusions.comparison import Comparison, excluded_arms
from testbed.analysis.conclusions.second_opinion import disagreements, order_text
from testbed.analysis.conclusions.sentences import mean_text, supported
from testbed.analysis.findings import Finding, Verdict, about_comparison, worst
from testbed.analysis.formats.text_bars import CUT, RANGE, Bar, bars, in_ascii
from testbed.analysis.measures.cost import costs_by_block
from testbed.analysis.measures.cost_names import cost_unit
from testbed.analysis.page.judged import Judged
from testbed.analysis.reading.records import Arm, Run
from testbed.analysis.statistics.intervals import geometric_mean, mean_interval

MOST_PAIRS = 2
"""So many pairs without an order are named."""
_CARE = {
    Verdict.VALID: "",
    Verdict.SUSPECT: ". SUSPECT: read it with care",
    Verdict.INVALID: ". INVALID: of those arms alone that may be compared",
}


def text(judged: Judged, columns: int | None, *, unicode: bool) -> str:
    """Return all that a terminal says of a run; the page has the rest.

    Sentences are wrapped at `columns`, and are one line each where that is None, in a file.
    """
    said = judged.opening
    lines = [line for one in _opening(judged) for line in _wrapped(one, columns)]
    drawn = picture(judged.run, judged.findings, judged.comparisons, columns or 80)
    lines += drawn if unicode else [line.replace(CUT, ".") for line in drawn]
    for one in (*said.reasons, *caveats(judged.run, judged.comparisons)):
        lines += _wrapped(one, columns)
    whole = "\n".join(lines)
    return whole if unicode else in_ascii(whole)


def _opening(judged: Judged) -> list[str]:
    """Return what is said above the picture; of a run with a count both answers come first."""
    said, both, counted = judged.opening, judged.both, judged.lane
    if both is None or counted is None:
        return [f"{said.status}: {said.headline}", *said.answers]
    count = counted.opening
    return [
        both.exact, both.cpu_time,
        *([] if counted.judged is None else [f"Count {count.status}: {count.headline}"]),
        *count.reasons, *count.answers[1:],
        f"CPU time {said.status}: {said.headline}",
        *(one for one in said.answers if one not in both.cpu_time),
    ]  # fmt: skip


def picture(
    run: Run, findings: tuple[Finding, ...], comparisons: tuple[Comparison, ...], columns: int
) -> list[str]:
    """Return a heading and a row for each arm, between empty lines; nothing without a ratio."""
    told = [one for one in comparisons if not one.is_control]
    if not any(one.ratio for one in told):
        return []
    excluded = excluded_arms(run, findings)
    withheld = {name for one in told if one.rates for name in (one.arm, one.reference)}
    withheld -= {arm.name for arm in run.arms if arm.is_baseline}
    suspects = {f.scope.arm for f in about_comparison(findings) if f.verdict is Verdict.SUSPECT}
    rows = []
    for arm in sorted(run.arms, key=lambda arm: not arm.is_baseline):
        if arm.control_kind:
            continue
        if arm.name in excluded:
            rows.append(Bar(label=arm.title, words="INVALID: not compared"))
        elif arm.name in withheld:
            rows.append(Bar(label=arm.title, words="no answer: not sent the same load"))
        else:
            rows.append(_bar(run, arm, is_suspect=arm.name in suspects))
    if sum(row.value is not None for row in rows) < 2:
        return []
    heading = (
        f"{cost_unit(run)} per delivered packet: geometric mean, and ({RANGE}) its 95 % interval"
        f"{_CARE[worst(findings)]}"
    )
    return ["", *_wrapped(heading, columns), *bars(rows, columns), *_no_order(run, told, columns),
            ""]  # fmt: skip


def caveats(run: Run, comparisons: tuple[Comparison, ...]) -> list[str]:
    """Return what may be wrong with an answer: another clock's order, an A/A pair that differs."""
    headlines = tuple(one for one in comparisons if one.is_headline)
    told = headlines or tuple(one for one in comparisons if not one.is_control)
    said = [order_text(run, found) for found in disagreements(run, told)]
    said += [
        answers.aa_answer(run, one)
        for one in comparisons
        if one.control_kind == "again" and one.verdict in ("lower", "higher")
    ]
    return [one for one in said if one]


def _bar(run: Run, arm: Arm, *, is_suspect: bool) -> Bar:
    costs = list(costs_by_block(run, arm.name).values())
    mean, ends = geometric_mean(costs), mean_interval(costs)
    if mean is None:
        return Bar(label=arm.title, words="no cost per packet")
    words, doubt = mean_text(costs), " SUSPECT" if is_suspect else ""
    if ends is None:
        return Bar(label=arm.title, words=f"{words} (no interval){doubt}", value=mean)
    low, high = (supported(end, (ends[1] - ends[0]) / 2) for end in ends)
    return Bar(
        label=arm.title, words=f"{words} ({low} to {high}){doubt}", value=mean,
        low=ends[0], high=ends[1],
    )  # fmt: skip


def _no_order(run: Run, told: list[Comparison], columns: int) -> list[str]:
    """Return sentences on hooks whose bars differ in length and say nothing by it."""
    headlines = [one for one in told if one.is_headline and one.ratio]
    pairs = [one for one in headlines if one.verdict == "inconclusive"]
    said = [
        f"Inconclusive: the bars of “{run.arm(one.arm).title}” and "
        f"“{run.arm(one.reference).title}” are in no order."
        for one in pairs[:MOST_PAIRS]
    ]
    if (more := len(pairs) - MOST_PAIRS) > 0:
        said.append(f"Nor are those of {more} more {'pair' if more == 1 else 'pairs'}.")
    hooks = {name for one in told if one.ratio for name in (one.arm, one.reference)}
    kinds = {run.arm(name).semantic_class for name in hooks if not run.arm(name).is_baseline}
    if len(kinds) > 1:
        said.append("Hooks that do different kinds of work are in no order.")
    return [line for sentence in said for line in _wrapped(sentence, columns)]


def _wrapped(sentence: str, columns: int | None) -> list[str]:
    if columns is None:
        return [sentence]
    return textwrap.wrap(
        sentence, columns, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
    )
