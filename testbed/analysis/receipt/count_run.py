# SPDX-License-Identifier: Apache-2.0
"""A count in its run directory: the numbers, and whether the files are whole and as recorded."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from testbed.analysis.counting import result
from testbed.analysis.counting.result import Result
from testbed.analysis.formats.document import read_json
from testbed.analysis.reading.run import edited_files
from testbed.analysis.receipt.receipt import Receipt, receipts
from testbed.model.count_files import FOLDER, INDEX
from testbed.model.errors import RunError

UNFINISHED = "manifest.json is missing: the count did not finish"


@dataclass(frozen=True)
class CountRun:
    """`reasons` say why the count is not whole; `edited` names files that changed since."""

    run_id: str
    result: Result
    complete: bool
    reasons: tuple[str, ...]
    edited: tuple[str, ...]

    @cached_property
    def receipts(self) -> tuple[Receipt, ...]:
        """A receipt for each arm and payload that has packets, no hook first."""
        return receipts(self.result)

    @property
    def identity(self) -> Mapping[str, Any]:
        """What it was counted on; empty where that is not recorded."""
        known = self.result.facts.get("identity")
        return known if isinstance(known, Mapping) else {}

    def title(self, arm: str) -> str:
        """An arm's title, or its name where no title was recorded."""
        titles = self.result.facts.get("titles")
        return str(titles.get(arm) or arm) if isinstance(titles, Mapping) else arm


def load_count(path: Path) -> CountRun:
    """Read a count. Raises RunError when `path` holds none, ParseError where it is damaged."""
    if not (path / FOLDER / INDEX).is_file():
        raise RunError(
            f"{path} holds no count: it has no {FOLDER}/{INDEX}",
            hint="`testbed count` makes one below results/",
        )
    there = (path / "manifest.json").is_file()
    manifest = read_json(path, "manifest.json").mapping() if there else {}
    return CountRun(
        run_id=path.resolve().name,
        result=result.of(path),
        complete=there,
        reasons=() if there else (UNFINISHED,),
        edited=tuple(
            name for name in edited_files(path, manifest) if not name.startswith("derived/")
        ),
    )
