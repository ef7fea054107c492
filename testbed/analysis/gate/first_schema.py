# SPDX-License-Identifier: Apache-2.0
"""Runs of the first schema: a case is named by its IP identification, and rounds have no counters.

Captures are not divided by rounds there: all that came out counts as the first one's.
"""

from collections.abc import Mapping, Sequence

from testbed.analysis.gate.rounds import Round
from testbed.model.json_node import Node
from testbed.packets.case import Case, Fate
from testbed.packets.reference import identification, packet_of

FATES: tuple[Fate, ...] = ("rewritten", "forwarded", "local", "nowhere")
END_ID = 0xFFFF
"""Identification of the end markers."""


def read_first_schema(
    node: Node, sent: Sequence[bytes], captured: Mapping[str, tuple[bytes, ...]], *, direct: bool
) -> tuple[tuple[Case, ...], tuple[Round, ...], bytes, int]:
    """Return cases, rounds, what markers begin with (nothing), and the most hits there may be."""
    frames: dict[int, list[bytes]] = {}
    for frame in sent:
        frames.setdefault(identification(packet_of(frame)), []).append(frame)
    cases = tuple(_case(item, frames) for item in node.get("cases").items())
    rounds: list[Round] = []
    at_most = 0
    for item in node.get("rounds").items():
        came = {place: () if rounds else _unmarked(captured[place]) for place in captured}
        ended = item.get("ended").value is True
        rounds.append(Round(None, ended, came["namespace"], came["root"]))
        at_most += item.integer("nowhere") + (0 if direct else item.integer("rewritten"))
    return cases, tuple(rounds), NO_MARKER, at_most


NO_MARKER = bytes(64)
"""No payload of that time begins with so many zeros."""


def _unmarked(packets: Sequence[bytes]) -> tuple[bytes, ...]:
    return tuple(packet for packet in packets if identification(packet) != END_ID)


def _case(node: Node, frames: Mapping[int, Sequence[bytes]]) -> Case:
    number, fate = node.integer("id"), node.text("fate")
    if number not in frames:
        raise node.fault(f"no frame with identification {number} in sent.pcap.gz", "id")
    known = next((name for name in FATES if name == fate), None)
    if known is None:
        raise node.fault(f"unknown fate {fate!r}; known: {', '.join(FATES)}", "fate")
    return Case(
        number=number,
        group=node.text("group"),
        title=node.text("title"),
        fate=known,
        payload_bytes=node.optional_integer("payload_bytes"),
        frames=tuple(frames[number]),
        countable=known in ("rewritten", "nowhere"),
    )
