# SPDX-License-Identifier: Apache-2.0
"""Everything that the templates of a count print, as plain values."""

import shlex
from collections.abc import Sequence
from typing import Any

from testbed.analysis.counting.life import BESIDE, IN_PROGRAM, RECEIVE, TO_SOCKET, WAKE_UP
from testbed.analysis.counting.stages import OTHER
from testbed.analysis.findings.finding import Verdict
from testbed.analysis.receipt.answer import NOT_TIME
from testbed.analysis.receipt.checks import COUNT_CHECKS
from testbed.analysis.receipt.differences import differences
from testbed.analysis.receipt.identity import details, overview, packets_of
from testbed.analysis.receipt.judged import JudgedCount
from testbed.analysis.receipt.receipt import Receipt, baseline_of, fits
from testbed.analysis.receipt.standouts import standouts

MINUS = "\u2212"
PARTS = (
    (TO_SOCKET, "interrupt to socket"),
    (RECEIVE, "rest of the softirq, receive call, freeing"),
    (IN_PROGRAM, "receiving program"),
)


def view_of(judged: JudgedCount) -> dict[str, Any]:
    """Return the templates' variables by name, but for the pictures."""
    run = judged.run
    return {
        "run": run,
        "titles": list(dict.fromkeys(one.title for one in run.receipts)),
        "opening": judged.opening,
        "not_time": NOT_TIME,
        "packets": packets_of(run),
        "facts": overview(run),
        "details": details(run),
        "sizes": [
            _size(judged, [one for one in run.receipts if one.payload == size])
            for size in dict.fromkeys(one.payload for one in run.receipts)
        ],
        "lines": [_line(run.title(arm), fit) for arm, fit in fits(run.receipts).items()],
        "findings": [
            {"verdict": one.verdict.value, "code": one.code, "advice": one.advice,
             "line": judged.lines([one])[0]}
            for one in sorted(judged.findings, key=lambda one: -one.verdict.severity)
            if one.verdict is not Verdict.VALID
        ],
        "checks": [
            {"check": check, "verdict": max(
                (one.verdict for one in judged.findings if one.code == check.code),
                key=lambda verdict: verdict.severity,
            ).value}
            for check in COUNT_CHECKS
        ],
        "command": shlex.join(map(str, run.result.facts.get("command") or [])),
        "folders": [f"count/{one.condition.counted}" for one in run.receipts],
    }  # fmt: skip


def _size(judged: JudgedCount, some: Sequence[Receipt]) -> dict[str, Any]:
    """One payload: the numbers of its arms, what stands out, the functions, the variants."""
    pairs = [(one, base) for one, base in judged.pairs if one in some]
    base = pairs[0][1] if pairs else None
    hooks = [one for one, _ in pairs]
    unknown = max(one.in_stage(OTHER).instructions / one.instructions for one in some)
    return {
        "payload": f"{some[0].payload:,}",
        "titles": [one.title for one in some],
        "numbers": _numbers(judged, some),
        "standouts": [
            {"title": one.title, "sentences": standouts(one, base)} for one, base in pairs
        ],
        "differences": differences(base, hooks) if base else None,
        "unknown": f"{unknown:.1%}",
        "variants": [{"title": one.title, "rows": _variants(one)} for one in some],
    }


def _numbers(judged: JudgedCount, some: Sequence[Receipt]) -> list[tuple[str, list[Any]]]:
    """(heading, [(name, a cell for each arm)]): what the tables of one payload hold."""

    def row(name: str, of: Any) -> tuple[str, list[str]]:
        return name, [of(one) for one in some]

    return [
        ("Instructions", [
            row("typical packet, its own work", lambda one: f"{one.instructions:,}"),
            row("over no hook", lambda one: _over(one, judged)),
            row("share of packets with exactly this count",
                lambda one: f"{one.summary.typical_share:.0%}"),
            row("mean, every periodic refill included",
                lambda one: f"{one.summary.mean_instructions:,.1f}"),
        ]),
        ("Parts of the typical packet", [
            *(row(words, lambda one, part=part: f"{one.summary.part(part)['typical']:,.0f}")
              for part, words in PARTS),
            row("apart: waking the program up",
                lambda one: f"{one.summary.part(WAKE_UP)['typical']:,.0f}"),
            row("apart: ticks and other work in its midst, mean",
                lambda one: f"{one.summary.part(BESIDE)['mean']:,.1f}"),
        ]),
        ("Memory", [
            row("bytes copied by string instructions", lambda one: f"{one.taken.copied:,}"),
            row("bytes copied while summing, by plain stores",
                lambda one: f"{one.copied_by_loop:,}"),
            row("bytes zeroed or filled", lambda one: f"{one.taken.filled:,}"),
            row("loads", lambda one: f"{one.taken.loads:,}"),
            row("stores", lambda one: f"{one.taken.stores:,}"),
            row("distinct 64-byte lines, median", lambda one: f"{one.summary.lines:,g}"),
            row("accesses to device memory", lambda one: f"{one.taken.device:,}"),
            row("accesses to ports", lambda one: f"{one.taken.ports:,}"),
        ]),
    ]  # fmt: skip


def _over(one: Receipt, judged: JudgedCount) -> str:
    base = baseline_of(one, judged.comparable)
    if base is None or base is one or one not in judged.comparable:
        return "" if one.is_baseline else "not compared"
    return signed(one.instructions - base.instructions)


def _variants(one: Receipt) -> list[dict[str, Any]]:
    return [
        {"count": f"{found.count:,}", "difference": signed(found.difference),
         "packets": f"{found.packets:,}", "every": _every(found.every), "cause": found.cause}
        for found in one.summary.variants
    ]  # fmt: skip


def _every(packets: int | None) -> str:
    return f"every {packets}th" if packets else ""


def _line(title: str, fit: dict[str, Any]) -> dict[str, Any]:
    """One arm over the payloads: a + b·bytes in words, and the functions that grow with bytes."""
    if fit["per_byte"] is None:
        said = "Too few payloads in one regime for a line."
    else:
        low, high = fit["regime"]
        said = (
            f"{fit['instructions']:,.1f} + {fit['per_byte']:.4g} · bytes from {low:,} to {high:,} "
            f"bytes; the counts are at most {fit['residual']:,.1f} instructions off this line."
        )
    functions = list((fit["functions"] or {}).items())[:6]
    return {
        "title": title,
        "line": said,
        "functions": ", ".join(f"{name} {count:+.3g}" for name, count in functions),
        "steps": [
            f"{step['payload_bytes']:,} bytes: {step['typical_instructions']:,} instructions; "
            f"{step['why']}"
            for step in fit["steps"]
        ],
    }


def signed(number: int) -> str:
    """ "+384", "−662", "0"."""
    return f"{number:+,}".replace("-", MINUS) if number else "0"
