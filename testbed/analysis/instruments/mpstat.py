# SPDX-License-Identifier: Apache-2.0
"""mpstat in the server: the mean of its nine busy columns over the traffic, by the tick's samples.

The checks `closure`, `ticks` and `lock` mark its column: they are about `mpstat` alone.
"""

from testbed.analysis.instruments.instrument import Instrument
from testbed.analysis.measures.mpstat_timeline import percent_in_traffic

INSTRUMENT = Instrument(
    name="mpstat", heading="mpstat busy, % of one CPU", column="mpstat_busy_pct", digits=2,
    read=percent_in_traffic,
)  # fmt: skip
