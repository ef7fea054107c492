# SPDX-License-Identifier: Apache-2.0
"""A whole count: every arm with every payload, read from a run directory."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.analysis.counting import payloads, raw
from testbed.analysis.counting.summary import Summary
from testbed.model.count_files import FOLDER, INDEX
from testbed.model.errors import ParseError

LEAST_NAMED = 0.995
"""Below it too much of a packet's path has no name, and a difference could hide there. Recorded
counts of three arms on Linux 6.1 have 1.0.
"""


@dataclass(frozen=True)
class Result:
    """The facts of count.json, and a summary by (arm, payload), in the order of the count."""

    facts: Mapping[str, Any]
    summaries: Mapping[tuple[str, int], Summary]

    @property
    def arms(self) -> list[str]:
        """The arms, in the order in which they were counted."""
        return list(self.facts["arms"])

    @property
    def payloads(self) -> list[int]:
        """The payloads, in bytes."""
        return list(self.facts["payloads"])

    @property
    def same_work(self) -> bool | None:
        """Whether all arms do the reference's work; None where the gate was not run."""
        gate = self.facts["gate"]
        return None if gate is None else all(gate.values())

    def problems(self) -> list[str]:
        """Return, a line each, why counts are not what they seem; none is good."""
        return [
            f"{arm}, {payload:,} bytes: {problem}"
            for (arm, payload), summary in self.summaries.items()
            for problem in _problems(summary)
        ]

    def as_json(self) -> dict[str, Any]:
        """Return what `--json` prints, without the run's name."""
        document = {
            "identity": self.facts["identity"],
            "gate": self.facts["gate"],
            "problems": self.problems(),
            "arms": [summary.as_json() for summary in self.summaries.values()],
        }
        if len(self.payloads) > 1:
            document["by_payload"] = {
                arm: payloads.fit([self.summaries[arm, size] for size in self.payloads])
                for arm in self.arms
            }
        return document


def of(run: Path) -> Result:
    """Read a count. Raises ParseError, naming the file, where it is damaged or not whole."""
    index = run / FOLDER / INDEX
    try:
        facts = json.loads(index.read_text())
        keys = [(str(arm), int(size)) for arm in facts["arms"] for size in facts["payloads"]]
        facts["gate"], facts["identity"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ParseError(f"{index}: no count: {error}") from error
    folders = {key: run / FOLDER / f"{key[0]}-{key[1]}" for key in keys}
    return Result(facts, {key: Summary.of(raw.read(path)) for key, path in folders.items()})


def _problems(summary: Summary) -> list[str]:
    found = []
    facts = summary.counted.facts
    if not summary.packets:
        return ["no packet was counted"]
    if not summary.closes:
        found.append("the parts do not add up to the instructions recorded")
    if summary.named_share < LEAST_NAMED:
        found.append(f"{1 - summary.named_share:.1%} of the instructions have no name")
    if facts["table"]["full"] or any(one.flags & 1 for one in summary.counted.stretches):
        found.append("more blocks ran than the counter's table holds")
    if summary.cut_short:
        found.append(f"the record of {summary.cut_short} packets is cut short")
    if summary.typical.faults:
        found.append("the typical packet runs into a processor exception: a block may count twice")
    if facts["verify"]["problem"]:
        found.append(f"the hook was gone at the end: {facts['verify']['problem']}")
    hits = facts["hits"]
    if hits["before"] is not None and hits["after"] is not None:
        counted = sum(hits["after"]) - sum(hits["before"])
        if counted != facts["sent"]:
            found.append(f"the hook counted {counted:,} of {facts['sent']:,} packets")
    return found
