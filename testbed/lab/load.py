# SPDX-License-Identifier: Apache-2.0
"""The warm-up, and the load: a rate that this computer carries, found before anything counts.

Arms can only be compared below the rate at which sender, link or receiver give way (RFC 2544,
section 26.1, looks for that rate in the same manner: lower it until nothing is lost). A trial that
asks for more than the client can send measures how busy the host is. So the warm-up asks for the
configured rate, without a hook; where it was not kept, or packets were lost, the rate is lowered
to a part of what was carried and tried again. All arms then get the same.
"""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from testbed.lab.trials import Experiment
from testbed.model.config import BenchConfig
from testbed.model.plan import Trial

TRIES = 5
KEPT = 0.99
"""Of the rate asked for: less makes the check `generator` suspicious."""
DELIVERED = 0.999
"""Of the packets: less makes the check `delivery` suspicious."""
HEADROOM = 0.6
"""Of what was carried; a shared host is a third slower from one second to the next."""
LONGEST_S = 5.0
TICK_HZ = 250


@dataclass(frozen=True)
class Try:
    """One warm-up trial: packets/s asked for and kept, and the share that was delivered."""

    rate_pps: float
    achieved_pps: float
    delivered_share: float

    @property
    def carried(self) -> bool:
        """Whether the load went through as it was asked for."""
        return self.achieved_pps >= KEPT * self.rate_pps and self.delivered_share >= DELIVERED


def warm_up(experiment: Experiment) -> tuple[Experiment, list[dict[str, Any]]]:
    """Run the warm-up; return the experiment with the load it is to have, and what was tried.

    Without a warm-up nothing is tried. A rate that was asked for exactly is kept.
    """
    tries: list[Try] = []
    bench = experiment.config.bench
    trials = experiment.plan.warming(after=_earlier(experiment.run_dir.path / "raw"))
    while len(tries) < max(bench.warm_up, TRIES) and bench.warm_up:
        brief = bench.model_copy(update={"settle_s": 0.0, "idle_s": 0.2, "drain_s": 0.0})
        config = experiment.config.model_copy(update={"bench": brief})
        trial = next(trials)
        title = f"warm-up at {bench.rate_pps:,.0f} packets/s"
        with experiment.terminal.step(title, kind="warm-up"):
            replace(experiment, config=config).trial(trial)
        tries.append(_outcome(experiment, trial, bench))
        enough = len(tries) >= bench.warm_up
        if not bench.adapt_load or tries[-1].carried:
            if enough:
                break
            continue
        bench = lowered(bench, tries[-1])
    if tries and bench.rate_pps != experiment.config.bench.rate_pps:
        experiment.terminal.warn(
            f"this computer did not carry {experiment.config.bench.rate_pps:,.0f} packets/s: "
            f"every arm gets {bench.rate_pps:,.0f}, for {bench.duration_s:.1f} s a trial"
        )
    config = experiment.config.model_copy(update={"bench": bench})
    return replace(experiment, config=config), [_as_json(one) for one in tries]


def _earlier(raw: Path) -> int:
    """Return the number of the last warm-up trial that is there: a run may have been resumed."""
    names = (path.name.removeprefix("warm-up-") for path in raw.glob("warm-up-*"))
    return max((int(n) for name in names if (n := name.partition("-")[0]).isdecimal()), default=0)


def lowered(bench: BenchConfig, last: Try) -> BenchConfig:
    """Return the settings with a rate below what was carried, and about as many packets.

    Two digits, and no multiple of the tick: 3,500 is 14 packets a tick, 3,450 keeps no step.
    """
    carried = min(last.achieved_pps, last.rate_pps) * last.delivered_share
    rate = max(100.0, _two_digits(HEADROOM * carried))
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
    folder = experiment.run_dir.path / "raw" / trial.folder
    sent = json.loads((folder / "client.json").read_text())["trials"][0]
    came = json.loads((folder / "server.json").read_text())["trials"][0]
    offered = sent["offered"] or 0
    return Try(
        bench.rate_pps, sent["achieved_pps"] or 0.0, came["unique"] / offered if offered else 0.0
    )


def _as_json(one: Try) -> dict[str, Any]:
    return {
        "rate_pps": one.rate_pps,
        "achieved_pps": round(one.achieved_pps, 1),
        "delivered_share": round(one.delivered_share, 6),
    }
