# SPDX-License-Identifier: Apache-2.0
"""The published tables of the original experiment as a run, for the same checks as any other.

Facts that the tables do not hold stay unknown: offered packets, counters, hits, the kernel's log.
Two things follow from what they do hold:

- mpstat printed percentages of whole ticks (1/USER_HZ s over four CPUs). A row whose ten columns
  all become whole numbers for one number of ticks had that many, or one of a few; the largest
  that fits and is possible is taken, which loses least. So /proc/stat can be made again.
- The NIC was an e1000, whose Linux driver has no XDP. A program "in the driver" ran as generic XDP.

The last second of each table comes after the fifth trial: it serves as the idle window.
"""

import csv
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path

from testbed.analysis.formats.mpstat import COLUMNS, CpuUsage, MpstatLog, parse_mpstat_text
from testbed.analysis.formats.proc_files import STAT_COLUMNS, ProcStat
from testbed.analysis.reading.records import Arm, Run, Trial
from testbed.analysis.reading.trial_records import HookState, ServerTrial, Snap
from testbed.model.host_cpus import USER_HZ
from testbed.model.nic import INTERFACE

FOLDER = Path(__file__).parent
RUN_ID = "published"
STEMS = ("netfilter", "xdp")
"""How the names of the arms' files begin."""
_OF_STAT = dict(zip(COLUMNS, ("user", "nice", "system", "iowait", "irq", "softirq", "steal",
                              "guest", "guest_nice", "idle"), strict=True))  # fmt: skip
NS = 1_000_000_000


def published_run() -> Run:
    """The two sessions of five trials, nine days apart; no number here was measured by testbed."""
    arms = (
        Arm(
            name="netfilter-logging", title="Netfilter module, as published",
            summary="The published module: two kernel log lines a packet, UDP checksum 0.",
            semantic_class="rewrite-and-continue", hook="netfilter", exhibit=True,
            original_name="Netfilter", expected_mode="module",
        ),
        Arm(
            name="xdp-bounded-csum", title="XDP program, as published",
            summary="The published program: said to run in the driver; one packet a trial arrived.",
            semantic_class="rewrite-and-continue", hook="xdp", exhibit=True,
            original_name="eBPF", expected_mode="native",
        ),
    )  # fmt: skip
    modes = {"netfilter-logging": "module", "xdp-bounded-csum": "generic"}
    trials = [
        _session(arm, number, stem, modes[arm.name])
        for number, (arm, stem) in enumerate(zip(arms, STEMS, strict=True), start=1)
    ]
    nic = {"nics": {INTERFACE: {"driver": {"driver": "e1000"}}}}
    system = {"uname": {"release": trials[0].mpstat.release if trials[0].mpstat else ""}}
    return Run(
        run_id=RUN_ID,
        complete=True,
        reasons=(),
        command=(),
        profile="original",
        seed=None,
        blocks=tuple((arm.name,) for arm in arms),
        arms=arms,
        trials=tuple(trials),
        config={},
        manifest={"versions": {}, "started_utc": "2025-06-10T06:06:09Z"},
        facts={"server-before": {**nic, **system}},
    )


def tables() -> dict[str, str]:
    """The tables as published, file name within the run directory → text."""
    files = [file for stem in STEMS for file in _files(stem)]
    return {file: (FOLDER / Path(file).name).read_text(encoding="utf-8") for file in files}


def _files(stem: str) -> tuple[str, ...]:
    return f"raw/{stem}/{stem}-mpstat.txt", f"raw/{stem}/trials.csv"


def _session(arm: Arm, block: int, stem: str, mode: str) -> Trial:
    name = f"{stem}-mpstat.txt"
    recording = parse_mpstat_text((FOLDER / name).read_text(encoding="utf-8"), name)
    with (FOLDER / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["arm"] == stem]
    start_ns = _started_ns(recording)
    return Trial(
        block=block, position=1, arm=arm.name, number=1, folder=f"raw/{stem}", destination="",
        client=None, server=_server(recording, rows), mpstat=recording,
        mpstat_started_utc_ns=None, before=None, after=None,
        hook_before=HookState(mode=mode, facts={}, hits=None, problem=""), hook_after=None,
        kernel_log=None, windows_s={}, problems=(), started_ns=start_ns,
        files=_files(stem),
        ended_ns=start_ns + len(recording.samples) * NS,
    )  # fmt: skip


def _server(recording: MpstatLog, rows: Sequence[dict[str, str]]) -> ServerTrial:
    ticks = [ticks_of(row, recording.cpu_count) for row in _seconds(recording)]
    edges = [
        _snap({key: sum(second[key] for second in ticks[:n]) for key in _OF_STAT.values()}, n,
              recording.cpu_count)
        for n in range(len(ticks) + 1)
    ]  # fmt: skip
    uniques = tuple(int(row["server_packets"]) for row in rows)
    traffic_ms = sum(float(row["server_ms"]) for row in rows)
    return ServerTrial(
        unique=sum(uniques), duplicates=0, reordered=0, foreign=0, duration_ms=traffic_ms,
        socket_drops=None, rcvbuf_bytes=None, before=edges[0], after=edges[-1],
        idle_window=(edges[-2], edges[-1]), uniques=uniques, traffic_s=traffic_ms / 1e3,
    )  # fmt: skip


def _seconds(recording: MpstatLog) -> list[CpuUsage]:
    return [row for sample in recording.samples if (row := sample.row("all")) is not None]


def ticks_of(row: CpuUsage, cpu_count: int) -> dict[str, int]:
    """The ticks behind a printed row, by column of /proc/stat.

    A percentage is printed to two decimals, so column * n / 100 must lie within n * 0.005 % of a
    whole number, and the columns must add up to n. Raises ValueError when no n does.
    """
    for total in range(cpu_count * USER_HZ, 0, -1):
        whole = [round(percent * total / 100) for percent in row.percent]
        fits = all(
            abs(percent - 100 * ticks / total) <= 0.00501
            for percent, ticks in zip(row.percent, whole, strict=True)
        )
        if fits and sum(whole) == total:
            return {_OF_STAT[c]: ticks for c, ticks in zip(COLUMNS, whole, strict=True)}
    raise ValueError(f"no whole number of ticks gives {row.percent}")


def _snap(ticks: dict[str, int], second: int, cpu_count: int) -> Snap:
    """A reading of /proc/stat that took no time; the CPUs are known only together."""
    total = {column: ticks.get(column, 0) for column in STAT_COLUMNS}
    cpus = {cpu: total if cpu == 0 else dict.fromkeys(STAT_COLUMNS, 0) for cpu in range(cpu_count)}
    return Snap(
        before_read_ns=second * NS,
        after_read_ns=second * NS,
        utc_ns=second * NS,
        stat=ProcStat(total=total, cpus=cpus),
    )


def _started_ns(recording: MpstatLog) -> int:
    """The table's date and first time of day; it has no zone, and only differences are used."""
    stamp = f"{recording.date} {recording.samples[0].timestamp}"
    when = datetime.strptime(stamp, "%m/%d/%Y %I:%M:%S %p").replace(tzinfo=timezone.utc)
    return int(when.timestamp()) * NS
