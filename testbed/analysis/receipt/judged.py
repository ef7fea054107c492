# SPDX-License-Identifier: Apache-2.0
"""All that is concluded from a count, once: findings, what may be compared, what is said first."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from testbed.analysis.conclusions.csv_and_json import finding_json
from testbed.analysis.conclusions.opening import Opening
from testbed.analysis.findings.finding import Finding, Verdict, worst
from testbed.analysis.receipt.answer import answers
from testbed.analysis.receipt.checks import check_count
from testbed.analysis.receipt.count_run import CountRun
from testbed.analysis.receipt.receipt import Receipt, baseline_of, fits
from testbed.analysis.receipt.standouts import standouts

MOST_REASONS = 7


@dataclass(frozen=True)
class JudgedCount:
    """A count and what its checks found."""

    run: CountRun
    findings: tuple[Finding, ...]

    @property
    def verdict(self) -> Verdict:
        """The gravest of the findings."""
        return worst(self.findings)

    @cached_property
    def comparable(self) -> tuple[Receipt, ...]:
        """The receipts that may be set beside each other; none where the whole count is INVALID."""
        wrong = {one.scope.arm for one in self.findings if one.verdict is Verdict.INVALID}
        if None in wrong or not self.run.complete:
            return ()
        return tuple(one for one in self.run.receipts if one.arm not in wrong)

    @cached_property
    def pairs(self) -> tuple[tuple[Receipt, Receipt], ...]:
        """Each comparable hook with the path without one, of the same payload."""
        found = []
        for one in self.comparable:
            base = baseline_of(one, self.comparable)
            if base is not None and base is not one:
                found.append((one, base))
        return tuple(found)

    @cached_property
    def opening(self) -> Opening:
        """What the page says first."""
        if not self.run.complete:
            return Opening(
                status="INCOMPLETE", headline="This count did not finish. Nothing is compared.",
                reasons=self.run.reasons, answers=(),
            )  # fmt: skip
        said = answers(self.comparable)
        return Opening(
            status=self.verdict.value,
            headline=self._headline(bool(said)),
            reasons=self._reasons(),
            answers=said,
        )

    def _headline(self, compared: bool) -> str:
        if self.verdict is Verdict.VALID:
            return "Every check holds: the counts are whole, and every instruction has its place."
        if self.verdict is Verdict.SUSPECT:
            return "The checks found nothing that forbids a comparison, but read it with care."
        if not compared:
            return "Nothing is compared: these counts are not what they seem."
        kept = {one.arm for one in self.comparable}
        left = dict.fromkeys(arm for arm in self.run.result.arms if arm not in kept)
        named = ", ".join(self.run.title(arm) for arm in left)
        return f"Compared without {named}: these counts are not what they seem."

    def _reasons(self) -> tuple[str, ...]:
        said = [f"{line}." for line in self.lines(self.findings)]
        left = len(said) - MOST_REASONS + 1
        return (*said[: MOST_REASONS - 1], f"And {left} more, below.") if left > 1 else tuple(said)

    def lines(self, findings: Iterable[Finding]) -> list[str]:
        """Return what is not VALID, the gravest first, with the arm that it is about."""
        bad = [one for one in findings if one.verdict is not Verdict.VALID]
        ranked = sorted(bad, key=lambda one: -one.verdict.severity)
        return [
            f"{self.run.title(one.scope.arm) if one.scope.arm else 'The count'}: {one.statement}"
            for one in ranked
        ]

    def as_json(self) -> str:
        """Return derived/count.json, and what `--json` prints (docs/counting.md)."""
        document = {
            "schema": 1,
            "run": self.run.run_id,
            "complete": self.run.complete,
            "verdict": self.verdict.value,
            "status": self.opening.status,
            "answers": list(self.opening.answers),
            "identity": self.run.identity,
            "gate": self.run.result.facts.get("gate"),
            "problems": self.lines(
                one for one in self.findings if one.verdict is Verdict.INVALID
            ),
            "arms": [one.numbers for one in self.run.receipts],
            **self._by_payload(),
            "stages": [
                {"arm": one.arm, "payload_bytes": one.payload, "stages": {
                    stage: {"instructions": taken.instructions, "bytes_copied": taken.copied,
                            "bytes_zeroed": taken.filled}
                    for stage, taken in one.stages.items()
                }}
                for one in self.run.receipts
            ],
            "standouts": [
                {"arm": one.arm, "payload_bytes": one.payload,
                 "sentences": list(standouts(one, base))}
                for one, base in self.pairs
            ],
            "findings": [finding_json(one) for one in self.findings],
        }  # fmt: skip
        return json.dumps(document, indent=1, ensure_ascii=False) + "\n"

    def _by_payload(self) -> dict[str, Any]:
        lines = fits(self.run.receipts)
        return {"by_payload": lines} if lines else {}


def judge_count(run: CountRun) -> JudgedCount:
    """Check a count."""
    return JudgedCount(run, check_count(run))
