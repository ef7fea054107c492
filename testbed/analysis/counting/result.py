# SPDX-License-Identifier: Apache-2.0
"""A whole count: every arm with every payload, read from a run directory."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.analysis.counting import raw
from testbed.analysis.counting.summary import Summary
from testbed.model.count_files import FOLDER, INDEX
from testbed.model.errors import ParseError
from testbed.model.json_node import parse_json
from testbed.model.plan import Condition


@dataclass(frozen=True)
class Result:
    """The facts of count.json, and a summary by condition, in the order of the count."""

    facts: Mapping[str, Any]
    summaries: Mapping[Condition, Summary]

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
        gate = self.facts.get("gate")
        return all(gate.values()) if isinstance(gate, Mapping) else None


def of(run: Path) -> Result:
    """Read a count. Raises ParseError, naming the file, where it is damaged or not whole."""
    index = run / FOLDER / INDEX
    try:
        node = parse_json(index.read_text(encoding="utf-8"), str(index))
    except (OSError, ValueError) as error:
        raise ParseError(f"{index}: no count: {error}") from error
    arms = [arm.as_text() for arm in node.get("arms").items()]
    sizes = [size.as_int() for size in node.get("payloads").items()]
    conditions = [Condition(arm, size) for arm in arms for size in sizes]
    found = {one: _summary(run / FOLDER / one.counted) for one in conditions}
    return Result(node.mapping(), found)


def _summary(folder: Path) -> Summary:
    try:
        return Summary.of(raw.read(folder))
    except (ValueError, LookupError) as error:
        raise ParseError(f"{folder}: its files do not fit each other: {error}") from error
