# SPDX-License-Identifier: Apache-2.0
"""The check on the receiving program: could it keep up?"""

from testbed.analysis.findings.finding import Check, Evidence, Finding, Verdict, of
from testbed.analysis.findings.loss import counted, socket_drops
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.trial_records import ServerTrial

DROPS_INVALID = 0.001
"""Of the packets offered."""
CPU_SUSPECT = {"kvm": 0.70, "emulation": 0.95}
"""The receiver's share of one CPU. Emulated, the Python program took 0.51 to 0.63 at 3,200 to
5,500 packets/s; close to 1 it is what sets the pace."""


def receiver(run: Run) -> list[Finding]:
    limit = CPU_SUSPECT.get(environment.accelerator(run), CPU_SUSPECT["kvm"])
    found = []
    for trial in run.trials:
        if trial.server is None:
            continue
        counts = {
            "UdpRcvbufErrors": counted(trial, "UdpRcvbufErrors"),
            "socket drops": socket_drops(trial),
        }
        share = _cpu_share(trial.server)
        lost = {name: count for name, count in counts.items() if count}
        unknown = [name for name, count in counts.items() if count is None]
        unknown += ["its CPU time"] if share is None else []
        said = []
        if lost:
            listed = ", ".join(f"{name} {count:,}" for name, count in lost.items())
            said.append(f"the receiving program lost packets it was handed: {listed}")
        if share is not None and share >= limit:
            said.append(f"the receiving program took {share:.0%} of one CPU")
        said += [f"not recorded of the receiver: {', '.join(unknown)}"] if unknown else []
        if not said:
            continue
        worst = max(lost.values(), default=0)
        found.append(
            of(trial).finding(
                "receiver",
                Verdict.INVALID if _drops_share(trial, worst) > DROPS_INVALID else Verdict.SUSPECT,
                "; ".join(said),
                *(
                    Evidence(
                        quantity=name,
                        observed=count,
                        unit="packets",
                        bound=f"0, INVALID > {DROPS_INVALID:.1%} of those offered",
                    )
                    for name, count in counts.items()
                ),
                Evidence(
                    quantity="the receiver's share of one CPU",
                    observed=None if share is None else round(share, 3),
                    bound=f"< {limit:g}",
                ),
                advice="The receiver was the bottleneck, not the hook: raise its buffer "
                "(receive_buffer_bytes), or lower --rate.",
                degree=worst + (share or 0.0),
            )
        )
    return found


def _cpu_share(server: ServerTrial) -> float | None:
    wall_s = (server.after.monotonic_ns - server.before.monotonic_ns) / 1e9
    return None if server.cpu_s is None or wall_s <= 0 else server.cpu_s / wall_s


def _drops_share(trial: Trial, drops: int) -> float:
    return drops / trial.client.offered if trial.client and trial.client.offered else 0.0


PROGRAM_CHECKS = (
    Check(
        code="receiver",
        what="Packets lost at the receiving socket, and the receiving program's share of a CPU.",
        why="Then the program, not the hook, set the pace.",
        threshold=f"SUSPECT: any drop (INVALID > {DROPS_INVALID:.1%} of those offered), its CPU "
        f"share >= {CPU_SUSPECT['kvm']:.0%} under KVM, {CPU_SUSPECT['emulation']:.0%} under "
        "emulation, or not recorded",
        source="UdpRcvbufErrors (/proc/net/snmp), drops (/proc/net/udp) less checksum errors, "
        "the program's CPU time between the edges (server.json)",
        look=receiver,
    ),
)
