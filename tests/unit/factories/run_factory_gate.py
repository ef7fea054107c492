# SPDX-License-Identifier: Apache-2.0
"""The gate's files for a sound arm: a few crafted packets, all of them right."""

import json
from functools import lru_cache
from pathlib import Path

from testbed.model.config import BenchConfig, NetworkConfig
from testbed.packets import capture
from testbed.packets.case import Case
from testbed.packets.cases import cases_for
from testbed.packets.craft import Wire
from testbed.packets.drawing import Draws, TrialSpace
from testbed.packets.reference import expected

SEED = 1
CASES = 3
"""A few out of some four hundred: the judge has tests of its own."""


def write_gate(root: Path, arm: str, *, counted: bool, direct: bool) -> None:
    """gate/<arm>/; `counted`: the arm has a counter; `direct`: no packet meets its hook."""
    folder = root / "gate" / arm
    folder.mkdir(parents=True)
    network = NetworkConfig()
    cases = _cases(direct=direct)
    for name, content in _captures(direct=direct).items():
        (folder / f"{name}.pcap.gz").write_bytes(content)
    record = {
        "schema": 2,
        "arm": arm,
        "direct": direct,
        "seed": SEED,
        "marker": "00" * 24,
        "network": network.model_dump(mode="json"),
        "hits_before": [0] if counted else None,
        "hits_after": [0 if direct else CASES] if counted else None,
        "verify": {},
        "rounds": [
            {"cases": None, "frames": CASES + 40, "ended": True,
             "came": {"namespace": CASES, "root": 0},
             "client_sent": [0, CASES + 40], "server_received": [5, CASES + 45],
             "backlog_drops": [0, 0], "capture_drops": 0}
        ],
        "missing": [],
        "took_s": 1.5,
        "cases": [
            {key: getattr(case, key) for key in
             ("number", "group", "title", "fate", "payload_bytes", "countable")}
            | {"frames": [place]}
            for place, case in enumerate(cases)
        ],
    }  # fmt: skip
    (folder / "gate.json").write_text(json.dumps(record) + "\n", encoding="utf-8")


@lru_cache(maxsize=2)
def _cases(*, direct: bool) -> tuple[Case, ...]:
    draws = Draws(SEED, NetworkConfig(), TrialSpace.of(BenchConfig()))
    wire = Wire("52:54:00:7b:ed:03", "52:54:00:7b:ed:02")
    cases = cases_for(draws, wire, direct=direct)
    return tuple(case for case in cases if case.fate == "rewritten")[:CASES]


@lru_cache(maxsize=2)
def _captures(*, direct: bool) -> dict[str, bytes]:
    cases = _cases(direct=direct)
    came = [expected(case, NetworkConfig()) for case in cases]
    return {
        "sent": capture.write((frame for case in cases for frame in case.frames), capture.ETHERNET),
        "namespace": capture.write([packet for packet in came if packet], capture.RAW_IP),
        "root": capture.write([], capture.RAW_IP),
    }
