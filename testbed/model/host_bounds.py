# SPDX-License-Identifier: Apache-2.0
"""How much of the host the machines may want, before a packet's cost shows the host instead.

The warm-up stays below these bounds, and the check `contention` judges every trial by them.
"""

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


def waiting_bound(*, kvm: bool, cpu_count: int) -> float:
    """The SUSPECT bound of the server's waiting, over wall × virtual CPUs."""
    return WAIT_SHARES_KVM[0] if kvm else WAITING_CPUS_EMULATION / cpu_count
