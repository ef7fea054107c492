# SPDX-License-Identifier: Apache-2.0
"""How the host shares its CPU time, and the bounds before a cost shows the host instead.

The warm-up computes the shares from a trial's host.json while it looks for a load, and stays below
the bounds. The analysis computes them from the same file afterwards: the check `contention`.
"""

USER_HZ = 100
"""Ticks a second in /proc/stat on every Linux architecture we run on (sysconf(_SC_CLK_TCK))."""
BUSY = ("user", "nice", "system", "irq", "softirq")
"""Columns of the host's /proc/stat; user and nice hold what guests use."""
WAIT_SHARES_KVM = (0.02, 0.10)
"""SUSPECT and INVALID: time for which the server's virtual CPUs were ready and waited for a CPU of
the host, over wall × virtual CPUs. The guest takes that time for work, so it is in the cost."""
WAITING_CPUS_EMULATION = 0.30
"""SUSPECT: the same under emulation, of all virtual CPUs together. QEMU's own threads make them
wait. In quiet trials on two cores one virtual CPU waited for 0.14 to 0.26 of the time, and the cost
spread by 2 to 4 %. Two waited for 0.35 to 0.9 in all, and it spread by 5 to 21 %
(docs/calibration.md). Beside another program they waited for less, since it slowed the client down:
a hog is found by the other load.
"""
WAIT_SHARE_EMULATION_INVALID = 0.80
OTHER_CPUS = (0.25, 0.50)
"""SUSPECT and INVALID: CPUs of the host busy with neither the machines nor the testbed. Quiet real
trials had -0.01 to 0.07. One more busy program on two cores got 0.69 and 0.77 of a CPU, since the
machines took their share. So the bound of a hog is well below 1.
"""
STEAL_SUSPECT = 0.01
"""A share of CPU time, the guest's or the host's. A guest under emulation has no steal clock and
reads 0; a host on hardware does too. Emulated quiet trials on a rented host had 0.000."""


def waiting_share(waited_ns: int, wall_s: float, cpu_count: int) -> float:
    """How long virtual CPUs waited for the host's, over wall × virtual CPUs: 0 … 1."""
    return waited_ns / 1e9 / (wall_s * cpu_count)


def other_cpus(busy_ticks: int, ours_ns: int, wall_s: float) -> float:
    """CPUs of the host busy with neither the machines nor the testbed.

    `busy_ticks` is the sum of the `BUSY` columns, `ours_ns` the CPU time of the machines' processes
    and of the testbed itself. The clocks differ, so a small negative number is possible.
    """
    return (busy_ticks / USER_HZ - ours_ns / 1e9) / wall_s


def waiting_bound(*, kvm: bool, cpu_count: int) -> float:
    """The SUSPECT bound of the server's waiting, over wall × virtual CPUs."""
    return WAIT_SHARES_KVM[0] if kvm else WAITING_CPUS_EMULATION / cpu_count
