# SPDX-License-Identifier: Apache-2.0
"""Whether packets went through the server's stack merged (GRO, LRO) or came as fragments.

ip_rcv_core() (net/ipv4/ip_input.c, Linux 6.1) adds one to IpInReceives for every buffer that it is
given, and to IpExtInNoECTPkts (or InECT1Pkts, InECT0Pkts, InCEPkts, by the packet's ECN bits) the
number of segments that the buffer was merged from. Without merging the two agree.
"""

from dataclasses import dataclass

from testbed.analysis.measures.data_packets import moved
from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.trial_records import Stack

SEGMENTS = ("IpExtInNoECTPkts", "IpExtInECT1Pkts", "IpExtInECT0Pkts", "IpExtInCEPkts")


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """`segments` packets as sent went through the stack of `where` as `units` buffers."""

    where: str
    segments: int
    units: int

    @property
    def share(self) -> float:
        """Packets that had no buffer of their own, of all; 0 where some were merely malformed."""
        return max(0, self.segments - self.units) / max(self.segments, 1)


def merged(trial: Trial) -> Merged | None:
    """Of the two namespaces the one that merged more; None when not recorded."""
    found = [_merged_in(where, *pair) for where, pair in _stacks(trial).items()]
    known = [one for one in found if one is not None]
    return max(known, key=lambda one: one.share) if known and len(known) == len(found) else None


def reassembled(trial: Trial) -> int | None:
    """Fragments that were to be put together, in both namespaces; None when not recorded."""
    fragments = 0
    for before, after in _stacks(trial).values():
        count = moved(before.snmp, after.snmp, "IpReasmReqds")
        if count is None:
            return None
        fragments += count
    return fragments if _stacks(trial) else None


def _merged_in(where: str, before: Stack, after: Stack) -> Merged | None:
    units = moved(before.snmp, after.snmp, "IpInReceives")
    counts = [moved(before.netstat, after.netstat, name) for name in SEGMENTS]
    known = [count for count in counts if count is not None]
    if units is None or len(known) < len(counts):
        return None
    return Merged(where=where, segments=sum(known), units=units)


def _stacks(trial: Trial) -> dict[str, tuple[Stack, Stack]]:
    stacks = trial.server.stacks if trial.server else None
    if stacks is None:
        return {}
    first, last = stacks
    return {
        "root": (first.root, last.root),
        "namespace": (first.namespace, last.namespace),
    }
