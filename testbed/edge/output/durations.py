# SPDX-License-Identifier: Apache-2.0
"""How long each step took on this computer the last times, so that the next can say what is left.

It is a convenience: what cannot be read is as if it were not there, and nothing fails when it
cannot be written. The folder is made by the first verb that works here; one that only looks at a
checkout leaves no trace in it.
"""

import contextlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

FILE = ".testbed/durations.json"
KEPT = 5
"""Times a step: few follow a change soon, and their median is not moved by one bad day."""
STEPS = 200
LARGEST_BYTES = 1 << 17
A_DAY_S = 86_400


@dataclass(frozen=True)
class Durations:
    """The times of one checkout's steps, by their names, in the file `path`."""

    path: Path

    def usual_s(self, step: str) -> float | None:
        """Return the median of a step's last times, seconds; None for one that is not known."""
        times = sorted(self._read().get(step, ()))
        return times[len(times) // 2] if times else None

    def learn(self, step: str, took_s: float) -> None:
        """Remember one more time of a step, the oldest ones forgotten."""
        known = self._read()
        known[step] = [*known.pop(step, ()), round(took_s, 2)][-KEPT:]
        latest = dict(list(known.items())[-STEPS:])
        new = self.path.with_name(f"{self.path.name}.{os.getpid()}.new")
        with contextlib.suppress(OSError):
            new.write_text(json.dumps(latest, ensure_ascii=False, indent=1), encoding="utf-8")
            new.replace(self.path)

    def _read(self) -> dict[str, list[float]]:
        try:
            if not self.path.is_file() or self.path.stat().st_size > LARGEST_BYTES:
                return {}
            known = json.loads(self.path.read_text(encoding="utf-8"))
            return {step: times for step, times in known.items() if _are_times(times)}
        except (OSError, ValueError, AttributeError, RecursionError):
            return {}


def _are_times(value: object) -> bool:
    return isinstance(value, list) and all(
        type(one) in (int, float) and 0 <= one < A_DAY_S for one in value
    )
