# SPDX-License-Identifier: Apache-2.0
"""NET_RX softirqs for each frame that the server's NIC received; veth's backlog adds some."""

from testbed.analysis.instruments.instrument import Instrument
from testbed.analysis.measures.hops import received_frames
from testbed.analysis.reading.records import Trial


def net_rx_per_packet(trial: Trial) -> float | None:
    """Return softirqs per frame between the edges of the traffic; None when not recorded."""
    server, received = trial.server, received_frames(trial)
    if server is None or not received:
        return None
    before, after = server.before.softirqs, server.after.softirqs
    if "NET_RX" not in before or "NET_RX" not in after:
        return None
    return (after["NET_RX"] - before["NET_RX"]) / received


INSTRUMENT = Instrument(
    name="softirqs", heading="NET_RX softirqs per received packet", column="net_rx_per_packet",
    digits=4, read=net_rx_per_packet,
)  # fmt: skip
