# SPDX-License-Identifier: Apache-2.0
"""How the trials were run, as rows of name and value: traffic, pacing, windows, order."""

from testbed.analysis.conclusions.sentences import share, significant
from testbed.analysis.findings.own_packets import missed_share
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import LoadTry, Run
from testbed.analysis.reading.trial_records import ClientTrial


def method(run: Run) -> list[tuple[str, str]]:
    """Of the traffic what the client was asked for; of pacing and windows what became of it."""
    clients = [trial.client for trial in run.trials if trial.client]
    rows = [*_traffic(run, clients), *_pacing(clients), *_windows(run), *_sample(run)]
    seed = "" if run.seed is None else f"drawn with seed {run.seed}, "
    rows.append(("Order", f"{seed}{len(run.blocks)} blocks, in pairs of an order and its mirror"))
    rows += [("Cut off", f"and resumed with block {at.block}, {at.utc}") for at in run.resumed]
    return rows + _length(run)


def _length(run: Run) -> list[tuple[str, str]]:
    """How long the run took; of one that was resumed each stretch and their sum."""
    if not run.complete or not run.parts:
        return []
    lengths = [part.length_s for part in run.parts]
    known = [length for length in lengths if length is not None]
    said = _minutes(sum(known)) if len(known) == len(lengths) else environment.UNKNOWN
    if len(lengths) > 1:
        each = "; ".join(
            f"from {part.started_utc or environment.UNKNOWN} "
            + (environment.UNKNOWN if part.length_s is None else _minutes(part.length_s))
            for part in run.parts
        )
        said += f", in {len(lengths)} parts: {each}"
    return [("Length", said)]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"


def _traffic(run: Run, clients: list[ClientTrial]) -> list[tuple[str, str]]:
    if not clients:
        return []
    client = clients[0]
    seconds = client.planned / client.rate_pps if client.rate_pps else 0
    hops: dict[str, list[str]] = {}
    for trial in run.trials:
        if trial.destination and trial.arm not in hops.setdefault(trial.destination, []):
            hops[trial.destination].append(trial.arm)
    sent_to = "; ".join(f"{hop} ({', '.join(sorted(arms))})" for hop, arms in sorted(hops.items()))
    return [
        (
            "Rate",
            f"{client.rate_pps:,.0f} packets/s, gaps vary by ±{client.jitter * 100:.0f}\u00a0%",
        ),
        ("Trial", f"{client.planned:,} packets, {seconds:.3g} s"),
        ("Payload", f"{client.payload_bytes:,} bytes of UDP payload, random"),
        ("Sent to", sent_to or environment.UNKNOWN),
    ]


def _pacing(clients: list[ClientTrial]) -> list[tuple[str, str]]:
    """The rate reached, and how far sends kept step with a clock's tick (guest/pacing.py)."""
    rows = []
    rates = [client.achieved_pps for client in clients if client.achieved_pps is not None]
    if rates:
        rows.append(("Rate reached", f"{_range(rates, '{:,.0f}')} packets/s, by trial"))
    locks = [
        f"{hz} Hz {max(client.tick_lock[hz] for client in clients):.2f}"
        for hz in sorted(set().union(*(client.tick_lock for client in clients)))
        if all(hz in client.tick_lock for client in clients)
    ]
    if locks:
        said = ", ".join(locks)
        rows.append(
            ("Tick lock", f"{said} (the worst trial; 0 never in step with a tick, 1 always)")
        )
    return rows


def _windows(run: Run) -> list[tuple[str, str]]:
    bench = run.config.get("bench", {})
    warm_up = bench.get("warm_up")
    rows = []
    if run.load:
        rows.append(("Warm-up", f"discarded; found the load. {'; '.join(map(_tried, run.load))}"))
    elif isinstance(warm_up, int):
        rows.append(("Warm-up", "none" if not warm_up else "not recorded"))
    says = {
        "settle": "after the hook was loaded; counters are read in its first half",
        "idle": "mpstat runs, the server waits; gives the idle rate",
        "drain": "after the traffic, before counters are read again",
    }
    known = {name: [t.windows_s[name] for t in run.trials if name in t.windows_s] for name in says}
    walls = [
        (trial.server.after.monotonic_ns - trial.server.before.monotonic_ns) / 1e9
        for trial in run.trials
        if trial.server
    ]
    for name in ("settle", "idle", "traffic", "drain"):
        if name == "traffic" and walls:
            rows.append(("Traffic", f"{_range(walls)} s, START answered to END received"))
        elif known.get(name):
            rows.append((name.capitalize(), f"{_range(known[name])} s, {says[name]}"))
    return rows


def _tried(one: LoadTry) -> str:
    """What one warm-up trial asked for, and what became of it."""
    said = (
        f"{one.rate_pps:,.0f} packets/s: {one.achieved_pps:,.0f} sent, "
        f"{share(one.delivered_share)}\u00a0% of them delivered"
    )
    if one.idle_share is not None:
        said += f", {one.idle_share * 100:.0f}\u00a0% of the host idle"
    if one.waiting_share is not None:
        said += f", the server waiting for a host CPU {one.waiting_share * 100:.0f}\u00a0%"
        said += " of the time"
    return said


def _sample(run: Run) -> list[tuple[str, str]]:
    """How many of the trials' own packets were looked at, and what such a sample can miss."""
    by_arm: dict[str, int] = {}
    for trial in run.trials:
        if trial.sample is not None and not trial.problems:
            by_arm[trial.arm] = by_arm.get(trial.arm, 0) + len(trial.sample)
    if not by_arm:
        return []
    fewest = min(by_arm.values())
    drawings = [t.server.drawing.one_in for t in run.trials if t.server and t.server.drawing]
    chance = f"one packet in {max(drawings):,}" if drawings else "a part"
    return [
        (
            "Sample",
            f"{chance} of each trial was drawn at random where it came out, and compared with what "
            f"was sent: {sum(by_arm.values()):,} packets, {fewest:,} or more of each arm. Their "
            "socket is there in every trial of every arm and sees every packet. An arm that "
            f"treats less than {significant(100 * missed_share(fewest))}\u00a0% of its packets "
            "otherwise can have been missed (95\u00a0% confidence)",
        )
    ]


def _range(values: list[float], form: str = "") -> str:
    said = [form.format(v) if form else significant(v) for v in (min(values), max(values))]
    return said[0] if said[0] == said[1] else f"{said[0]} to {said[1]}"
