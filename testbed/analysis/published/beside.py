# SPDX-License-Identifier: Apache-2.0
"""A run beside the published tables: which arms belong together, and all that differs.

Two numbers beside each other say nothing while a dozen other things differ too, so those are
listed with them, read out of both in the same way. What the tables do not hold is "not recorded".
"""

from collections.abc import Callable
from dataclasses import dataclass

from testbed.analysis.conclusions.sentences import count, mode_text, significant
from testbed.analysis.measures.mpstat_timeline import bars_of
from testbed.analysis.published.claim import Reading, readings
from testbed.analysis.published.original import RUN_ID, published_run
from testbed.analysis.reading import environment
from testbed.analysis.reading.records import Arm, Run

NOT_RECORDED = "not recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One quantity in the published tables and in this run, as text."""

    name: str
    theirs: str
    ours: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """`pairs`: the original's name of an arm, and the lines about it; `differs`: the settings."""

    pairs: tuple[tuple[str, tuple[Line, ...]], ...]
    differs: tuple[Line, ...]


def pairs_of(run: Run, theirs: Run) -> tuple[tuple[Arm, Arm], ...]:
    """(published, of this run): the exhibit itself where the run has it, else the arm that says
    it stands for the original's, else the first one with the same hook."""
    measured = [arm for arm in run.arms if not arm.control_kind]
    likeness: tuple[Callable[[Arm], str], ...] = (
        lambda arm: arm.name,
        lambda arm: arm.original_name,
        lambda arm: arm.hook,
    )
    found = []
    for arm in theirs.arms:
        alike = [mine for key in likeness for mine in measured if key(mine) == key(arm)]
        found += [(arm, mine) for mine in alike[:1]]
    return tuple(found)


def beside(run: Run) -> Beside | None:
    """None of the published tables themselves, or when no arm of the run belongs to theirs."""
    theirs = published_run()
    pairs = pairs_of(run, theirs)
    if run.run_id == RUN_ID or not pairs:
        return None
    return Beside(
        pairs=tuple((arm.original_name, _of_a_pair(theirs, arm, run, ours)) for arm, ours in pairs),
        differs=tuple(
            line
            for name, read in SETTINGS
            if (line := Line(name=name, theirs=read(theirs), ours=read(run))).theirs != line.ours
        ),
    )


def _of_a_pair(theirs: Run, published: Arm, run: Run, ours: Arm) -> tuple[Line, ...]:
    looks: tuple[tuple[str, Callable[[Run, Arm], str]], ...] = (
        ("Arm", lambda _, arm: arm.title),
        ("Attached as", _attached),
        ("mpstat busy, mean", _busy),
        ("Packets that arrived", _arrived),
        ("Kernel log lines a trial", _log_lines),
        ("Traffic in the seconds that mpstat averaged", _traffic_share),
    )
    return tuple(
        Line(name=name, theirs=look(theirs, published), ours=look(run, ours))
        for name, look in looks
    )


def _attached(run: Run, arm: Arm) -> str:
    mode = mode_text(run, arm)
    return mode if mode == arm.expected_mode else f"said to be {arm.expected_mode}, was {mode}"


def _reading(run: Run, arm: Arm) -> Reading | None:
    return next((reading for reading in readings(run) if reading.arm == arm.name), None)


def _busy(run: Run, arm: Arm) -> str:
    reading = _reading(run, arm)
    if reading is None:
        return NOT_RECORDED
    return f"{significant(reading.busy_pct, 2)}\u00a0% of {reading.top_pct:.0f}\u00a0%"


def _arrived(run: Run, arm: Arm) -> str:
    reading = _reading(run, arm)
    if reading is None or reading.delivered is None:
        return NOT_RECORDED
    of = "" if reading.offered is None else f" of {count(reading.offered)}"
    return count(reading.delivered) + of


def _log_lines(run: Run, arm: Arm) -> str:
    """The mean of a trial; in a session of several trials, of the session's."""
    lines = [trial.kernel_log_lines for trial in run.trials_of(arm.name)]
    known = [number for number in lines if number is not None]
    if not known:
        return NOT_RECORDED
    sessions = sum(
        max(len(t.server.uniques), 1) if t.server else 1 for t in run.trials_of(arm.name)
    )
    return significant(sum(known) / sessions)


def _traffic_share(run: Run, arm: Arm) -> str:
    """What of the averaged seconds was traffic: the rest, idle, pulls the average down."""
    traffic = averaged = 0.0
    for trial in run.trials_of(arm.name):
        seconds = len(bars_of(trial))
        if trial.server is None or trial.server.duration_ms is None or not seconds:
            continue
        traffic += trial.server.duration_ms / 1e3
        averaged += seconds
    return NOT_RECORDED if not averaged else f"{min(traffic / averaged, 1) * 100:.0f}\u00a0%"


def _known(text: str) -> str:
    return NOT_RECORDED if text == environment.UNKNOWN else text


def _machine(run: Run) -> str:
    return next((t.mpstat.machine for t in run.trials if t.mpstat), NOT_RECORDED)


def _client(run: Run, read: Callable[[float, float, int], str]) -> str:
    """Of the first trial: rate asked for in packets/s, packets planned, payload in bytes."""
    client = next((trial.client for trial in run.trials if trial.client), None)
    if client is None:
        return NOT_RECORDED
    return read(client.rate_pps, client.planned, client.payload_bytes)


def _trials(run: Run) -> str:
    """ "5 of each arm": a session of several trials counts as those."""
    numbers = sorted(
        {
            sum(max(len(t.server.uniques), 1) if t.server else 1 for t in run.trials_of(arm.name))
            for arm in run.arms
        }
    )
    return f"{' or '.join(map(str, numbers))} of each arm"


def _length(run: Run) -> str:
    """Seconds of one trial's traffic, the mean over the run, as the server saw it."""
    servers = [trial.server for trial in run.trials if trial.server]
    known = [server.duration_ms for server in servers if server.duration_ms is not None]
    if not known or len(known) < len(servers):
        return NOT_RECORDED
    trials = sum(max(len(server.uniques), 1) for server in servers)
    return f"{significant(sum(known) / 1e3 / trials)} s"


def _order(run: Run) -> str:
    if len(run.arms) < 2:
        return "one arm alone"
    if all(len(block) == 1 for block in run.blocks):
        return "one arm after the other"
    return f"arms in turn, {len(run.blocks)} blocks"


def _baseline(run: Run) -> str:
    return "measured too" if any(arm.is_baseline for arm in run.arms) else "not measured"


SETTINGS: tuple[tuple[str, Callable[[Run], str]], ...] = (
    ("Machine", _machine),
    ("Server CPUs", lambda run: _known(environment.server_cpus(run))),
    ("Acceleration", lambda run: _known(environment.accelerator(run))),
    ("NIC driver", lambda run: _known(environment.nic_driver(run))),
    ("Server kernel", lambda run: _known(environment.kernel(run))),
    ("Order", _order),
    ("Trials", _trials),
    ("Traffic of a trial", _length),
    (
        "Packets sent in a trial",
        lambda run: _client(run, lambda _, planned, __: count(int(planned))),
    ),
    ("Rate asked for, packets/s", lambda run: _client(run, lambda rate, _, __: f"{rate:,.0f}")),
    ("UDP payload, bytes", lambda run: _client(run, lambda _, __, payload: count(payload))),
    ("Without a hook", _baseline),
)
"""What decides a cost besides the hook, by the name that the page gives it."""
