# SPDX-License-Identifier: Apache-2.0
"""kernel-log.jsonl: the kernel's log records of one trial, one JSON object a line."""

from dataclasses import dataclass

from testbed.model.json_node import parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One /dev/kmsg record; `text` is whatever a kernel or a module wrote: data, never markup."""

    sequence: int
    monotonic_us: int
    level: int
    text: str


def parse_kernel_log(text: str, name: str) -> tuple[LogLine, ...]:
    """Raises ParseError naming the line that is cut off or lacks a member."""
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        node = parse_json(line, f"{name} (record {number})")
        lines.append(
            LogLine(
                sequence=node.integer("seq"),
                monotonic_us=node.integer("monotonic_us"),
                level=node.optional_integer("level") or 0,
                text=node.optional_text("text"),
            )
        )
    return tuple(lines)
