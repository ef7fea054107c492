# SPDX-License-Identifier: Apache-2.0
"""The server's idle time: the headline's instrument (`measures/cost.py` has formula and errors)."""

from testbed.analysis.instruments.instrument import Instrument
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.reading.records import Trial


def cost_us(trial: Trial) -> float | None:
    """Return the cost per delivered packet in µs; None where it has no meaning."""
    cost = cost_of(trial)
    return cost.cost_us if cost else None


INSTRUMENT = Instrument(
    name="idle time", heading="From idle time, {unit} per packet", column="cost_us", digits=3,
    read=cost_us,
)  # fmt: skip
