# SPDX-License-Identifier: Apache-2.0
"""Faults that `testbed selftest` puts into real trials, each with the check that must find it.

A fault is one thing that goes wrong in one trial. It is another hook under an arm's label, a label
that lies, a setting, commands in the server from a moment on, or load on this computer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Argv = Sequence[str]

_NFT = (
    "add table ip fault; "
    "add chain ip fault dropping { type filter hook forward priority 0; }; "
    "add rule ip fault dropping udp dport {target_port} numgen inc mod %d == 0 drop"
)
_NO_CHECKSUM = (
    "add table ip fault; "
    "add chain ip fault dropping { type filter hook forward priority 0; }; "
    "add rule ip fault dropping udp dport {target_port} numgen inc mod 4 == 0 udp checksum set 0"
)
_NO_NFT: tuple[Argv, ...] = (("nft", "add table ip fault; delete table ip fault"),)

# struct timex of <sys/timex.h>: ADJ_TICK (0x4000) sets the length of a tick in µs, 10,000 by
# default, and with it the speed of every clock that NTP steers, CLOCK_MONOTONIC among them.
_TICK = """
import ctypes, sys
timex = (ctypes.c_long * 26)()
ctypes.c_int.from_buffer(timex).value = 0x4000
timex[11] = int(sys.argv[1])
sys.exit(ctypes.CDLL(None).adjtimex(timex) < 0)
"""


# BPF_ENABLE_STATS (32) of <linux/bpf.h>: statistics are on for as long as the descriptor is held,
# and kernel.bpf_stats_enabled stays 0. 321 is bpf() on x86-64.
_STATISTICS = """
import ctypes, time
assert ctypes.CDLL(None).syscall(321, 32, ctypes.create_string_buffer(128), 128) >= 0
time.sleep(60)
"""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """`caught_by` is the code of the check that is there for it.

    `arm` is the label of the trial; `loads` another arm that is loaded under it, of guest/arms/ or
    of guest/faults/, where those are that nobody else should load. `expect_mode`
    and `machines` change what the run says of itself. `commands` run in the server when `step`
    begins, `after_s` later; `undo` always runs in the end. `host_hogs` processes take a CPU each.
    `gate`: the gate looks at the arm first.
    """

    name: str
    title: str
    caught_by: str
    arm: str = "netfilter"
    loads: str = ""
    expect_mode: str = ""
    machines: Mapping[str, Any] = field(default_factory=dict)
    bench: Mapping[str, Any] = field(default_factory=dict)
    step: str = "load"
    after_s: float = 0.0
    commands: Sequence[Argv] = ()
    undo: Sequence[Argv] = ()
    unload_hook: bool = False
    host_hogs: int = 0
    gate: bool = False

    @property
    def is_put_in(self) -> bool:
        """Whether something has to be done in mid-trial, which can fail; else it is in as such."""
        return bool(self.commands or self.unload_hook or self.host_hogs)


_LIMITS = ("--property=RuntimeMaxSec=60", "--collect", "--quiet")


def _hog(name: str) -> Argv:
    return ("systemd-run", *_LIMITS, f"--unit={name}", "python3", "-c", "while True: pass")


FAULTS: tuple[Fault, ...] = (
    Fault(
        name="broken-checksum",
        title="the rewrite leaves a wrong UDP checksum on long payloads",
        caught_by="same-work",
        arm="xdp",
        loads="xdp-bounded-csum",
        gate=True,
    ),
    Fault(
        name="checksum-behind-gro",
        title="the module breaks the UDP checksum, which GRO has verified before: no counter moves",
        caught_by="same-work",
        loads="netfilter-broken-csum",
        gate=True,
    ),
    Fault(
        name="checksum-off",
        title="one packet in four loses its UDP checksum, in the trial alone",
        caught_by="sample",
        commands=(("nft", _NO_CHECKSUM),),
        undo=_NO_NFT,
    ),
    Fault(
        name="statistics",
        title="a process holds BPF statistics on, which no sysctl shows",
        caught_by="instruments",
        arm="xdp",
        commands=(("systemd-run", *_LIMITS, "--unit=testbed-hold", "python3", "-c", _STATISTICS),),
        undo=(("systemctl", "stop", "testbed-hold"),),
    ),
    Fault(
        name="lost-to-checksum",
        title="the same, in a timed trial: the receiver drops the packets",
        caught_by="checksum",
        arm="xdp",
        loads="xdp-bounded-csum",
    ),
    Fault(
        name="detached",
        title="the hook is detached in mid-trial",
        caught_by="mode",
        step="traffic",
        after_s=0.7,
        unload_hook=True,
    ),
    Fault(
        name="one-in-1000",
        title="one packet in 1,000 is dropped behind the hook",
        caught_by="ledger",
        commands=(("nft", _NFT % 1000),),
        undo=_NO_NFT,
    ),
    Fault(
        name="half",
        title="half of the packets are dropped behind the hook",
        caught_by="delivery",
        commands=(("nft", _NFT % 2),),
        undo=_NO_NFT,
    ),
    Fault(
        name="duplicates",
        title="one packet in twenty is delivered twice",
        caught_by="delivery",
        commands=(("tc", "qdisc", "add", "dev", "sslab-host", "root", "netem", "duplicate", "5%"),),
        undo=(("tc", "qdisc", "delete", "dev", "sslab-host", "root"),),
    ),
    Fault(
        name="swapped",
        title="the arms are swapped: XDP under the module's label",
        caught_by="mode",
        loads="xdp",
    ),
    Fault(
        name="logging",
        title="somebody left the log calls in the module",
        caught_by="logging",
        loads="netfilter-logging",
    ),
    Fault(
        name="wrong-mode",
        title="the label says native XDP, the kernel ran it as generic",
        caught_by="mode",
        arm="xdp",
        expect_mode="native",
    ),
    Fault(
        name="wrong-nic",
        title="the configuration says e1000e, the machines have another NIC",
        caught_by="mode",
        machines={"nic_model": "e1000e"},
    ),
    Fault(
        name="mpstat-killed",
        title="mpstat is killed in mid-trial",
        caught_by="complete",
        step="traffic",
        after_s=0.5,
        commands=(("pkill", "-KILL", "-x", "mpstat"),),
    ),
    Fault(
        name="mpstat-truncated",
        title="mpstat is ended so that its JSON stays open",
        caught_by="complete",
        step="traffic",
        after_s=0.5,
        commands=(("pkill", "-TERM", "-x", "mpstat"),),
    ),
    Fault(
        name="clock",
        title="the server's clock runs 10 % fast",
        caught_by="clock",
        commands=(("python3", "-c", _TICK, "11000"),),
        undo=(("python3", "-c", _TICK, "10000"),),
    ),
    Fault(
        name="guest-hog",
        title="another program takes a CPU of the server",
        caught_by="quiet",
        commands=(_hog("testbed-hog"),),
        undo=(("systemctl", "stop", "testbed-hog"),),
    ),
    Fault(
        name="host-hog",
        title="other programs take the CPUs of this computer",
        caught_by="contention",
        step="settle",
        host_hogs=2,
    ),
    Fault(
        name="small-buffer",
        title="the receive buffer is too small",
        caught_by="receiver",
        bench={"receive_buffer_bytes": 2304},
    ),
)
CLEAN = Fault(name="clean", title="no fault: nothing may be found", caught_by="")
