# SPDX-License-Identifier: Apache-2.0
"""Each trial's work as every instrument saw it; the first is the headline's, the rest stand beside.

An instrument is one module: what it reads, its formula, its column. The page, the tables and the
checks take it from its record.
"""

from testbed.analysis.instruments import host_vcpus, idle_time, interrupts, mpstat, softirqs
from testbed.analysis.instruments.instrument import Instrument

INSTRUMENTS: tuple[Instrument, ...] = (
    idle_time.INSTRUMENT, host_vcpus.INSTRUMENT, mpstat.INSTRUMENT, softirqs.INSTRUMENT,
    interrupts.INSTRUMENT,
)  # fmt: skip

__all__ = ["INSTRUMENTS", "Instrument"]
