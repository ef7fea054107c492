# SPDX-License-Identifier: Apache-2.0
"""Host time of the server's virtual CPUs: the same work as the host's scheduler saw it.

The host counts in nanoseconds how long each virtual CPU's thread ran (/proc/PID/task/TID/schedstat,
by the scheduler and not by ticks), and knows nothing of the guest's own accounting. Under emulation
that is the time to emulate the work, and a virtual CPU that spins while it waits counts as busy.

    vcpu_us = (Δrun over the traffic - rate of Δrun in the idle window * time) / delivered

The host reads a little before `go` and after the client has ended. So its window is some tenths of
a second longer than START to END; the idle rate takes that off, too.
"""

from testbed.analysis.instruments.instrument import Instrument
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.reading.records import Trial
from testbed.analysis.reading.trial_records import HostReading


def vcpu_us(trial: Trial) -> float | None:
    """Host time of the server's virtual CPUs per delivered packet, CPU-µs; None when not recorded,
    and where a cost has no meaning either."""
    cost = cost_of(trial)
    if cost is None or cost.cost_us is None:
        return None
    moments = [trial.host.get(moment) for moment in ("idle", "traffic", "end")]
    idle, traffic, end = moments
    if idle is None or traffic is None or end is None or trial.server is None:
        return None
    at_rest, at_work = _run(idle, traffic), _run(traffic, end)
    if at_rest is None or at_work is None or trial.server.unique <= 0:
        return None
    net_ns = at_work[0] - at_rest[0] / at_rest[1] * at_work[1]
    return net_ns / trial.server.unique / 1e3


def _run(before: HostReading, after: HostReading) -> tuple[int, float] | None:
    """Time that the server's virtual CPUs ran, and time that passed, both in ns."""
    passed = after.monotonic_ns - before.monotonic_ns
    if "server" not in before.vcpu_run_ns or "server" not in after.vcpu_run_ns or passed <= 0:
        return None
    return after.vcpu_run_ns["server"] - before.vcpu_run_ns["server"], passed


INSTRUMENT = Instrument(
    name="host's virtual CPUs", heading="Host’s virtual CPUs, CPU-µs of the host per packet",
    column="host_vcpu_us", digits=3, read=vcpu_us,
)  # fmt: skip
