# SPDX-License-Identifier: Apache-2.0
"""Checks on the windows that the cost is taken from: the traffic's and the idle one."""

from math import sqrt

from testbed.analysis.findings.finding import (
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Verdict,
    graded,
    of,
)
from testbed.analysis.findings.idle import EFFECT, STANDARD_ERRORS, idle_unlike
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Run, Trial
from testbed.model.numbers import fault_of

OVERLAP_INVALID = 0.95
EDGE_SUSPECT_MS = {"kvm": 20.0, "emulation": 60.0}
"""From the first counter reading to the first packet, and from the last packet to the last
reading. An emulated client needs 13 to 42 ms to begin after START_ACK (twelve real trials);
at the end it was 1.4 to 7.3 ms."""
FLOOR_SD_INVALID = 5.0
UPTIME_SUSPECT_S = 60.0
"""A machine still does work of its booting then; systemd's last timers start within a minute."""
QUIET_CPUS = {"kvm": (0.10, 0.30), "emulation": (0.30, 0.60)}
"""SUSPECT and INVALID: busy CPUs of the idle window. mpstat, the server and the kernel took 0.07 to
0.17 of an emulated CPU in ten real trials, and 0.24 beside a program that had half of the host's
CPUs. One that never waits in the guest (`testbed selftest --faults guest-hog`) made it 1.21."""


def window(run: Run) -> list[Finding]:
    limit_ms = EDGE_SUSPECT_MS.get(environment.accelerator(run), EDGE_SUSPECT_MS["kvm"])
    found = []
    for trial in run.trials:
        server, client = trial.server, trial.client
        if server is None or client is None or server.unique == 0:
            continue
        wall_ns = server.after.monotonic_ns - server.before.monotonic_ns
        overlap, edges_ms = _covered(trial, wall_ns)
        if overlap is None:
            found.append(of(trial).unknown("window", "when the first and the last packet came"))
            continue
        # The first packet is due one gap after the client began.
        bound_ms = limit_ms + (1e3 / client.rate_pps if client.rate_pps > 0 else 0)
        wide = {name: ms for name, ms in edges_ms.items() if ms > bound_ms}
        if overlap >= OVERLAP_INVALID and not wide:
            continue
        parts = [f"the traffic fills {overlap * 100:.1f}\u00a0% of the CPU window"]
        parts += [f"{ms:.0f}\u00a0ms {name}" for name, ms in wide.items()]
        found.append(
            of(trial).finding(
                "window",
                Verdict.INVALID if overlap < OVERLAP_INVALID else Verdict.SUSPECT,
                ", ".join(parts),
                Evidence(
                    quantity="traffic in the window",
                    observed=round(overlap, 4),
                    bound=f">= {OVERLAP_INVALID}",
                ),
                *(
                    Evidence(
                        quantity=name,
                        observed=round(ms, 1),
                        unit="ms",
                        bound=f"<= {bound_ms:.0f}",
                    )
                    for name, ms in edges_ms.items()
                ),
                advice="Idle time at the edges dilutes the cost: measure longer "
                "(--duration), so that they weigh less.",
                degree=1 - overlap + sum(wide.values()) / 1e3,
            )
        )
    return found


def _covered(trial: Trial, wall_ns: float) -> tuple[float | None, dict[str, float]]:
    """The traffic's share of the window, and the edges in ms; a session has pauses, no edges."""
    server, client = trial.server, trial.client
    if server is None or client is None or wall_ns <= 0:
        return None, {}
    if len(server.uniques) > 1 or len(client.durations_ms) > 1:
        return (None if server.traffic_s is None else server.traffic_s * 1e9 / wall_ns), {}
    if server.first_data_ns is None or server.last_data_ns is None:
        return None, {}
    return (server.last_data_ns - server.first_data_ns) / wall_ns, {
        "before the first packet": (server.first_data_ns - server.before.monotonic_ns) / 1e6,
        "after the last packet": (server.after.monotonic_ns - server.last_data_ns) / 1e6,
    }


def floor(run: Run) -> list[Finding]:
    costs = [(trial, cost) for trial in run.trials if (cost := cost_of(trial)) and cost.idle]
    rates = [cost.idle.rate for _, cost in costs if cost.idle]
    found = _uptime(run)
    if len(rates) < 2:
        return [*found, WHOLE_RUN.unknown("floor", "a second idle window, to tell its noise")]
    mean = sum(rates) / len(rates)
    sd_rate = sqrt(sum((rate - mean) ** 2 for rate in rates) / (len(rates) - 1))
    for trial, cost in costs:
        if cost.idle is None:
            continue
        wall_s = cost.traffic.wall_s
        # Never below what the clock's steps alone would make of it.
        noise_s = max(sd_rate, cost.idle.sd_s / cost.idle.wall_s) * wall_s
        net_s = cost.traffic.busy_s - cost.idle.rate * wall_s
        if net_s >= FLOOR_SD_INVALID * noise_s:
            continue
        found.append(
            of(trial).finding(
                "floor",
                Verdict.INVALID,
                f"the traffic took {net_s:.2f} CPU-s more than idling, whose noise is "
                f"{noise_s:.2f} CPU-s",
                Evidence(
                    quantity="net busy time over the SD of idle windows",
                    observed=round(net_s / noise_s, 2),
                    bound=f">= {FLOOR_SD_INVALID:g}",
                ),
                advice="The cost does not stand out of the noise: send more (--rate, --duration), "
                "or find what else runs in the server.",
                degree=max(FLOOR_SD_INVALID - net_s / noise_s, 0.01),
            )
        )
    return found


def _uptime(run: Run) -> list[Finding]:
    known = run.facts.get("server-before", {}).get("uptime_s")
    if isinstance(known, bool) or not isinstance(known, int | float) or fault_of(known):
        return [WHOLE_RUN.unknown("floor", "the server's uptime")]
    if known >= UPTIME_SUSPECT_S:
        return []
    return [
        WHOLE_RUN.finding(
            "floor",
            Verdict.SUSPECT,
            f"the server had booted {known:.0f}\u00a0s before the first trial",
            Evidence(quantity="uptime", observed=known, unit="s", bound=f">= {UPTIME_SUSPECT_S:g}"),
            advice="It was still busy with itself: measure again.",
        )
    ]


def quiet(run: Run) -> list[Finding]:
    bounds = QUIET_CPUS.get(environment.accelerator(run), QUIET_CPUS["kvm"])
    found = []
    for trial in run.trials:
        cost = cost_of(trial)
        if cost is None or cost.idle is None:
            if trial.server is not None and trial.server.idle_window is None:
                found.append(of(trial).unknown("quiet", "an idle window"))
            continue
        verdict = graded(cost.idle.rate, *bounds)
        if verdict is Verdict.VALID:
            continue
        found.append(
            of(trial).finding(
                "quiet",
                verdict,
                f"{cost.idle.rate:.2f} CPUs of the server were busy before the traffic began",
                Evidence(
                    quantity="busy CPUs in the idle window",
                    observed=round(cost.idle.rate, 4),
                    unit="CPUs",
                    bound=f"<= {bounds[0]:g}, INVALID > {bounds[1]:g}",
                ),
                advice="Something else runs there, and may stop or start at any time: testbed ssh "
                "server, then top.",
                degree=cost.idle.rate,
            )
        )
    named = {finding.scope.arm for finding in found}
    return found + [one for one in idle_unlike(run) if one.scope.arm not in named]


WINDOW_CHECKS = (
    Check(
        code="window",
        what="The traffic fills the window over which CPU time was counted.",
        why="Idle seconds inside the window pull the average down.",
        threshold=f"INVALID when the traffic fills < {OVERLAP_INVALID:.0%}; SUSPECT when an edge "
        f"is longer than {EDGE_SUSPECT_MS['kvm']:g} ms under KVM, "
        f"{EDGE_SUSPECT_MS['emulation']:g} ms under emulation, and one gap",
        source="first and last arrival, counter readings, one clock (server.json)",
        look=window,
    ),
    Check(
        code="floor",
        what="The traffic's CPU time stands out of the idle windows' noise, on a settled machine.",
        why="A difference of two numbers that are nearly the same is noise.",
        threshold=f"INVALID < {FLOOR_SD_INVALID:g} SD of the run's idle windows; SUSPECT when the "
        f"server was up for < {UPTIME_SUSPECT_S:g} s, or not recorded",
        source="/proc/stat in the idle windows and the traffic (server.json), uptime (facts)",
        look=floor,
    ),
    Check(
        code="quiet",
        what="The server did next to nothing before the traffic began.",
        why="Another program's CPU time is charged to the packets, or taken off them.",
        threshold="; ".join(
            f"{name}: SUSPECT > {low:g} CPUs, INVALID > {high:g}"
            for name, (low, high) in QUIET_CPUS.items()
        )
        + f"; SUSPECT when an arm's idle windows differ from those without a hook by what makes "
        f"{EFFECT:.0%} of its cost, and by {STANDARD_ERRORS:g} standard errors",
        source="/proc/stat at the edges of the idle window (server.json)",
        look=quiet,
    ),
)
