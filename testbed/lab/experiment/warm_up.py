# SPDX-License-Identifier: Apache-2.0
"""The warm-up, and the load: a rate that this computer carries, found before anything counts.

Arms can only be compared below the rate at which sender, link or receiver give way (RFC 2544,
section 26.1, looks for that rate in the same manner: lower it until nothing is lost). A trial that
asks for more than the client can send measures how busy the host is. So the warm-up asks for the
configured rate, without a hook. If it was not kept, or packets were lost, a part of what was
carried is tried next. A rate that is delivered may still fill the host, and the next trial, with a
hook, then gets less. So such a rate is lowered, too, until the machines leave some of the host idle
and wait for it no longer than the check `contention` allows. All arms then get the same.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from testbed.lab.experiment.host_load import HostLoad
from testbed.lab.experiment.trials import Experiment
from testbed.model.config import BenchConfig
from testbed.model.json_node import Node, parse_json
from testbed.model.plan import Trial

TRIES = 5
KEPT = 0.99
"""A share of the rate asked for: less makes the check `generator` suspicious."""
DELIVERED = 0.999
"""A share of the packets: less makes the check `delivery` suspicious."""
HEADROOM = 0.6
"""A share of the carried rate; a shared host is a third slower from one second to the next."""
LESS = 0.7
"""A share of a carried rate that filled the host: 3,600 packets/s left 17 % of two cores idle,
2,450 left 29 %."""
LOWEST_PPS = 1_000
"""The lowest rate that is chosen for the host's sake.

A trial of 5 s then has 5,000 packets, which take a sixth of a CPU when emulated. With fewer the
cost comes close to the noise of an idle machine (`floor`).
"""
LONGEST_S = 5.0
LONGEST_TRY_S = 2.0
"""The limit of a warm-up trial after the first: it finds a rate and gives no other number."""
AROUND_S = 4.0
"""About the time that a warm-up trial takes beside its traffic, until times are known."""
TICK_HZ = 250


@dataclass(frozen=True)
class Try:
    """One warm-up trial: packets/s asked for and kept, the share delivered, and the host's load."""

    rate_pps: float
    achieved_pps: float
    delivered_share: float
    host: HostLoad = field(default_factory=HostLoad)

    @property
    def carried(self) -> bool:
        """Whether the load went through as it was asked for."""
        return self.achieved_pps >= KEPT * self.rate_pps and self.delivered_share >= DELIVERED

    @property
    def is_settled(self) -> bool:
        """Whether it was carried, and no lower rate would make the host any emptier."""
        is_lowest = self.rate_pps * LESS < LOWEST_PPS
        return self.carried and (self.host.leaves_room or self.host.is_others or is_lowest)


def warm_up(experiment: Experiment) -> tuple[Experiment, list[dict[str, Any]]]:
    """Run the warm-up; return the experiment with the load it is to have, and what was tried.

    Without a warm-up nothing is tried. A rate that was asked for exactly is kept.
    """
    tries: list[Try] = []
    bench = experiment.config.bench
    earlier = _earlier(experiment.run_dir.path / "raw")
    while len(tries) < max(bench.warm_up, TRIES) and bench.warm_up:
        longest_s = min(bench.duration_s, LONGEST_TRY_S) if tries else bench.duration_s
        once = {"settle_s": 0.0, "idle_s": 0.2, "drain_s": 0.0, "duration_s": longest_s}
        tried = experiment.under(bench.model_copy(update=once))
        trial = tried.plan.warming(len(tries) + 1, after=earlier)
        title = f"warm-up at {bench.rate_pps:,.0f} packets/s"
        with experiment.terminal.step(title, expect_s=longest_s + AROUND_S, kind="warm-up"):
            tried.trial(trial)
        tries.append(_outcome(experiment, trial, bench))
        enough = len(tries) >= bench.warm_up
        if not bench.adapt_load or tries[-1].is_settled:
            if enough:
                break
            continue
        bench = lowered(bench, tries[-1])
    for line in _warnings(experiment.config.bench, bench, tries):
        experiment.terminal.warn(line)
    return experiment.under(bench), [_as_json(one) for one in tries]


def _warnings(asked: BenchConfig, bench: BenchConfig, tries: list[Try]) -> Iterator[str]:
    """Return the warning on the load: that it was lowered and why, or that it is too much."""
    if not tries:
        return
    if bench.rate_pps != asked.rate_pps:
        lost = next((one for one in tries if not one.carried), None)
        why = (
            f"this computer did not carry {lost.rate_pps:,.0f} packets/s"
            if lost
            else f"{tries[0].rate_pps:,.0f} packets/s left too little of this computer idle"
        )
        full = [one for one in tries if one.carried and not one.is_settled]
        if lost and full:
            why += f", and {full[-1].rate_pps:,.0f} left too little of it idle"
        yield f"{why}: every arm gets {bench.rate_pps:,.0f}, for {bench.duration_s:.1f} s a trial"
    last = tries[-1]
    if last.rate_pps != bench.rate_pps or last.host.leaves_room:
        return
    said = f"at {last.rate_pps:,.0f} packets/s {_host_words(last.host)}"
    if last.host.is_others:
        other = last.host.other_cpus or 0.0
        yield (
            f"{said}: other programs on this computer took {other:.1f} CPUs, so stop them first, "
            "or the run will be doubtful"
        )
    elif bench.adapt_load:
        yield (
            f"{said}, and no lower rate is tried: the two machines fill this computer, so it needs "
            "more cores, or KVM"
        )
    else:
        yield f"{said}: the two machines fill this computer; a lower rate would leave some of it"


def _host_words(host: HostLoad) -> str:
    parts = []
    if host.idle_share is not None:
        parts.append(f"{host.idle_share * 100:.0f} % of this computer's CPU time was idle")
    if host.waiting_share is not None:
        parts.append(f"the server waited for a CPU {host.waiting_share * 100:.0f} % of the time")
    return " and ".join(parts)


def _earlier(raw: Path) -> int:
    """Return the number of the last warm-up trial that is there: a run may have been resumed."""
    names = (path.name.removeprefix("warm-up-") for path in raw.glob("warm-up-*"))
    return max((int(n) for name in names if (n := name.partition("-")[0]).isdecimal()), default=0)


def lowered(bench: BenchConfig, last: Try) -> BenchConfig:
    """Return the settings with a rate below what was carried, and about as many packets.

    A rate that was carried, and filled the host, is lowered by less. Two digits, and no multiple
    of the tick: 3,500 is 14 packets a tick, 3,450 keeps no step.
    """
    carried = min(last.achieved_pps, last.rate_pps) * last.delivered_share
    part = LESS * last.rate_pps if last.carried else HEADROOM * carried
    rate = max(100.0, _two_digits(part))
    if rate % TICK_HZ == 0:
        rate -= TICK_HZ / 5
    packets = bench.rate_pps * bench.duration_s
    duration_s = max(bench.duration_s, min(LONGEST_S, packets / rate))
    return bench.model_copy(update={"rate_pps": rate, "duration_s": round(duration_s, 1)})


def _two_digits(value: float) -> float:
    step = 10.0 ** (len(str(int(value))) - 2)
    return value // step * step if step >= 1 else value


def _outcome(experiment: Experiment, trial: Trial, bench: BenchConfig) -> Try:
    """Read from the trial's own files what it carried."""
    folder = f"raw/{trial.folder}"
    sent, came = (
        _first_trial(experiment, f"{folder}/{name}") for name in ("client.json", "server.json")
    )
    offered, unique = sent.integer("offered"), came.integer("unique")
    return Try(
        bench.rate_pps, sent.optional_number("achieved_pps") or 0.0,
        unique / offered if offered else 0.0,
        HostLoad.of(experiment.run_dir.path / folder),
    )  # fmt: skip


def _first_trial(experiment: Experiment, name: str) -> Node:
    """Raises ParseError with file and place where a guest's record is not what it should be."""
    trials = parse_json((experiment.run_dir.path / name).read_text(), name).get("trials")
    if not trials.items():
        raise trials.fault("no trial recorded")
    return trials.items()[0]


def _as_json(one: Try) -> dict[str, Any]:
    return {
        "rate_pps": one.rate_pps,
        "achieved_pps": round(one.achieved_pps, 1),
        "delivered_share": round(one.delivered_share, 6),
        "host": {k: None if v is None else round(v, 4) for k, v in asdict(one.host).items()},
    }
