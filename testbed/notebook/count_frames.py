# SPDX-License-Identifier: Apache-2.0
"""The tables of an exact count, made of the numbers that derived/count.json is written from.

Names are those of docs/counting.md; the unit is added where the key there lacks it.
"""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from testbed.analysis.counting.life import OWN, WAKE_UP
from testbed.analysis.receipt.judged import JudgedCount
from testbed.notebook.frames import NUMBER, WHOLE, WORD, YES, frame

RENAMED = {
    "mean_with_wake_up": "mean_with_wake_up_instructions", "beside": "beside_instructions",
}  # fmt: skip
COUNTS = {
    "arm": WORD, "payload_bytes": WHOLE, "may_be_compared": YES, "packets": WHOLE,
    "delivered": WHOLE, "typical_instructions": WHOLE, "over_none_instructions": WHOLE,
    "typical_share": NUMBER, "mean_instructions": NUMBER, "mean_with_wake_up_instructions": NUMBER,
    **{f"{part}_instructions": WHOLE for part in (*OWN, WAKE_UP)},
    "bytes_copied": WHOLE, "bytes_zeroed": WHOLE, "mean_bytes_copied": NUMBER,
    "mean_bytes_zeroed": NUMBER, "loads": WHOLE, "stores": WHOLE, "device_accesses": WHOLE,
    "port_accesses": WHOLE, "cache_lines": NUMBER, "beside_instructions": NUMBER,
    "named_share": NUMBER, "closes": YES,
}  # fmt: skip
STAGES = {
    "arm": WORD, "payload_bytes": WHOLE, "stage": WORD, "instructions": WHOLE,
    "bytes_copied": WHOLE, "bytes_zeroed": WHOLE,
}  # fmt: skip
FUNCTIONS = {
    "arm": WORD, "payload_bytes": WHOLE, "function": WORD, "context": WORD, "part": WORD,
    "instructions": WHOLE, "mean_instructions": NUMBER, "loads": WHOLE, "stores": WHOLE,
    "bytes_copied": WHOLE, "bytes_zeroed": WHOLE, "device_accesses": WHOLE, "port_accesses": WHOLE,
}  # fmt: skip


def counts(judged: JudgedCount) -> pd.DataFrame:
    """One row an arm and payload: the typical packet, means, and the instructions of each part.

    `over_none_instructions` is the difference to no hook with the same payload. It is NA where the
    two may not be compared.
    """
    over = {(one.arm, one.payload): one.instructions - base.instructions
            for one, base in judged.pairs}  # fmt: skip
    may = {(one.arm, one.payload) for one in judged.comparable}
    rows = []
    for one in judged.run.receipts:
        key, numbers = (one.arm, one.payload), dict(one.numbers)
        named = {RENAMED.get(name, name): value for name, value in numbers.items()}
        parts = {f"{part}_instructions": both["typical"] for part, both in numbers["parts"].items()}
        also = {"may_be_compared": key in may, "over_none_instructions": over.get(key)}
        rows.append(named | parts | also)
    return frame(rows, COUNTS)


def stages(judged: JudgedCount) -> pd.DataFrame:
    """One row an arm, payload and stage of the kernel's path: the typical packet's own work."""
    return frame(
        (
            {"arm": one.arm, "payload_bytes": one.payload, "stage": stage,
             "instructions": taken.instructions, "bytes_copied": taken.copied,
             "bytes_zeroed": taken.filled}
            for one in judged.run.receipts
            for stage, taken in one.stages.items()
        ),
        STAGES,
    )  # fmt: skip


def functions(judged: JudgedCount) -> pd.DataFrame:
    """One row an arm, payload and function in its context: the typical packet, wake-up included."""
    return frame(_functions(judged), FUNCTIONS)


def _functions(judged: JudgedCount) -> Iterator[dict[str, Any]]:
    for one in judged.run.receipts:
        for row in one.numbers["functions"]:
            yield {"arm": one.arm, "payload_bytes": one.payload, **row}
