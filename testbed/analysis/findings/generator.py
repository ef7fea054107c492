# SPDX-License-Identifier: Apache-2.0
"""The check on the sender: did it send as asked, and the same to every arm?"""

from testbed.analysis.findings.finding import (
    WHOLE_RUN,
    Check,
    Evidence,
    Finding,
    Verdict,
    graded,
    gravest,
    of,
    of_arm,
)
from testbed.analysis.measures.rates import (
    BIAS_WITHHELD,
    EXPLAINED,
    SHOWS,
    bias,
    cost_follows_rate,
    lower_rate,
    mean_rate,
)
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.trial_records import ClientTrial

RATE_OFF = (0.01, 0.25)
"""SUSPECT and INVALID: how far a trial's rate may be from the one asked for. On emulated machines
the cost fell by half a per cent for each per cent of rate (from 1,190 to 4,300 packets/s)."""
MEAN_RATE_OFF_INVALID = 0.10
"""The same for the mean of an arm's trials: 5 % of cost, the smallest effect of interest."""
RATES_APART_SUSPECT = 0.01
GAP_SUSPECT = 10.0
"""99th percentile of the gaps over their mean. An emulated client that cannot keep up had 3.4 to
6.1 in twelve real trials; one that follows its deadlines has 1.2."""


def generator(run: Run) -> list[Finding]:
    found = []
    advice = _advice(run)
    for trial in run.trials:
        if trial.client is None:
            continue
        verdicts, said, unknown = _sending(trial.client)
        if not verdicts:
            continue
        client = trial.client
        off = _rate_off(client) or 0.0
        found.append(
            of(trial).finding(
                "generator",
                gravest(verdicts),
                "; ".join(said + [f"not recorded: {what}" for what in unknown]),
                Evidence(
                    quantity="achieved rate",
                    observed=client.achieved_pps,
                    unit="packets/s",
                    bound=f"{client.rate_pps:g} ± {RATE_OFF[0]:.0%}, INVALID ± {RATE_OFF[1]:.0%}",
                ),
                Evidence(quantity="sends that failed", observed=client.send_errors, bound="0"),
                Evidence(
                    quantity="99th percentile of the gaps",
                    observed=client.gap_us.get("p99"),
                    unit="µs",
                    bound=f"<= {GAP_SUSPECT:g} × the mean",
                ),
                advice=advice,
                degree=off + client.send_errors / max(client.planned, 1) + 0.001,
            )
        )
    return found + _rates_apart(run, advice) + _follows(run, advice)


def _advice(run: Run) -> str:
    """What to do: the warm-up's rate or a lower one, since a rate is not kept by being repeated."""
    rate = lower_rate(run)
    lower = "a lower rate" if rate is None else f"a lower rate (--rate {rate})"
    asked = "--rate" in run.command or any(word.startswith("--rate=") for word in run.command)
    if asked:
        return (
            "Arms that are sent different loads are different measurements: leave --rate out, and "
            f"the warm-up finds one that this computer carries; or give {lower}."
        )
    return f"Arms that are sent different loads are different measurements: ask for {lower}."


def _rate_off(client: ClientTrial) -> float | None:
    if client.achieved_pps is None or client.rate_pps <= 0:
        return None
    return abs(client.achieved_pps / client.rate_pps - 1)


def _sending(client: ClientTrial) -> tuple[list[Verdict], list[str], list[str]]:
    """Verdicts on what is wrong, the words for it, and what was not recorded."""
    verdicts: list[Verdict] = []
    said, unknown = [], []
    off = _rate_off(client)
    if off is None:
        unknown.append("the achieved rate")
    elif (verdict := graded(off, *RATE_OFF)) is not Verdict.VALID:
        verdicts.append(verdict)
        said.append(f"{client.achieved_pps:,.0f} packets/s instead of {client.rate_pps:,.0f}")
    if client.send_errors:
        verdicts.append(Verdict.SUSPECT)
        said.append(f"{client.send_errors:,} sends failed")
    mean, late = client.gap_us.get("mean"), client.gap_us.get("p99")
    if mean is None or late is None:
        unknown.append("the gaps between sends")
    elif late > GAP_SUSPECT * mean:
        verdicts.append(Verdict.SUSPECT)
        said.append(f"one gap in 100 was longer than {late:,.0f} µs, {late / mean:.0f} × the mean")
    return verdicts + [Verdict.SUSPECT] * bool(unknown), said, unknown


def _rates_apart(run: Run, advice: str) -> list[Finding]:
    """The arms' mean rates, against what was asked for and against one another."""
    rates = {arm.name: rate for arm in run.arms if (rate := mean_rate(run, arm.name)) is not None}
    if not rates or min(rates.values()) <= 0:
        return []
    off = [_arm_off(run, name, rate) for name, rate in rates.items()]
    slow, fast = min(rates, key=lambda a: rates[a]), max(rates, key=lambda a: rates[a])
    apart = rates[fast] / rates[slow] - 1
    wrong = [finding for finding in off if finding is not None]
    if apart <= RATES_APART_SUSPECT:
        return wrong
    dearer = bias(rates[slow], rates[fast], cost_follows_rate(run)) * 100
    return [
        *wrong,
        WHOLE_RUN.finding(
            "generator",
            Verdict.SUSPECT,
            f"the arms were not sent the same load: {rates[slow]:,.0f} packets/s to "
            f"“{run.arm(slow).title}”, {rates[fast]:,.0f} to “{run.arm(fast).title}”; by that "
            f"alone “{run.arm(slow).title}” looks dearer, by about {dearer:.0f}\u00a0%",
            Evidence(
                quantity="fastest arm's mean rate over the slowest's, less 1",
                observed=round(apart, 4),
                bound=f"<= {RATES_APART_SUSPECT:g}",
            ),
            advice=advice,
        ),
    ]


def _follows(run: Run, advice: str) -> list[Finding]:
    """The costs of an arm's trials go with their rates: then the load was measured, too."""
    found = cost_follows_rate(run)
    if found is None:
        return []
    way = "fewer" if found.slope < 0 else "more"
    return [
        WHOLE_RUN.finding(
            "generator",
            Verdict.SUSPECT,
            "the cost follows the rate that was reached (correlation "
            f"{_minus(found.correlation)} over {found.trials} trials, within the arms): "
            f"1\u00a0% {way} packets a second went with "
            f"{abs(found.slope):.1f}\u00a0% more cost",
            Evidence(
                quantity="correlation of the logarithms of cost and rate, within the arms",
                observed=round(found.correlation, 3),
                bound=f"r² <= {EXPLAINED:g}, or p > {SHOWS:g}",
            ),
            advice=advice,
        )
    ]


def _minus(value: float) -> str:
    return f"{value:.2f}".replace("-", "\u2212")


def _arm_off(run: Run, name: str, achieved_pps: float) -> Finding | None:
    """INVALID when the mean rate of an arm's trials is far from the one asked for."""
    asked_pps = next(t.client.rate_pps for t in run.trials_of(name) if t.client)
    off = abs(achieved_pps / asked_pps - 1) if asked_pps > 0 else 0.0
    if off <= MEAN_RATE_OFF_INVALID:
        return None
    return of_arm(name).finding(
        "generator",
        Verdict.INVALID,
        f"{achieved_pps:,.0f} packets/s on average instead of {asked_pps:,.0f}",
        Evidence(
            quantity="mean achieved rate",
            observed=round(achieved_pps, 1),
            unit="packets/s",
            bound=f"{asked_pps:g} ± {MEAN_RATE_OFF_INVALID:.0%}",
        ),
        advice="Leave --rate out: the warm-up then finds a load that this computer carries.",
        degree=off,
    )


GENERATOR_CHECKS = (
    Check(
        code="generator",
        what="The client sent at the rate asked for, without failures or long gaps, and the same "
        "to every arm.",
        why="A packet's cost depends on the load: at a higher rate more packets share an "
        "interrupt.",
        threshold=f"SUSPECT: rate off by > {RATE_OFF[0]:.0%} (INVALID > {RATE_OFF[1]:.0%}, or > "
        f"{MEAN_RATE_OFF_INVALID:.0%} in the mean of an arm), any "
        f"failed send, 99th percentile of the gaps > {GAP_SUSPECT:g} × their mean, the arms' rates "
        f"apart by > {RATES_APART_SUSPECT:.0%}, the costs following the rates (p < {SHOWS:g}, more "
        f"than {EXPLAINED:.0%} of their variance), or not recorded. No ratio where the rates alone "
        f"make {BIAS_WITHHELD:.1%} of cost",
        source="times of the sends (client.json)",
        look=generator,
    ),
)
