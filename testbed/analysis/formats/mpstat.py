# SPDX-License-Identifier: Apache-2.0
"""mpstat of sysstat 12.6: its JSON and its text form, read and written.

Percentages are of one CPU for a numbered row, and of the mean CPU for the row "all", so
"all" * CPUs is the 0…100 * CPUs scale of the original's charts. mpstat prints local time of day
without a zone: a recording does not know when it started; the run directory tells (`trial.json`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testbed.model.errors import ParseError
from testbed.model.json_node import Node
from testbed.model.numbers import decimal

COLUMNS = ("usr", "nice", "sys", "iowait", "irq", "soft", "steal", "guest", "gnice", "idle")
BUSY_COLUMNS = COLUMNS[:-1]
"""The nine that the original stacks."""
INTERVAL_S = 1.0

_BANNER = re.compile(r"^(\S+) (\S+) \((.*)\)\s+(\S+)\s+_(.*)_\s+\(([0-9]{1,5}) CPU\)\s*$")
_HEADING = "  CPU" + "".join(f"{'%' + column:>8}" for column in COLUMNS)


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuUsage:
    """One CPU ("all", "0", "1", …) in one interval; `percent` in the order of COLUMNS."""

    cpu: str
    percent: tuple[float, ...]

    def __getitem__(self, column: str) -> float:
        return self.percent[COLUMNS.index(column)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One interval of a second; `timestamp` is the time of day at its end, as printed."""

    timestamp: str
    rows: tuple[CpuUsage, ...]

    def row(self, cpu: str) -> CpuUsage | None:
        return next((row for row in self.rows if row.cpu == cpu), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class MpstatLog:
    """The output of one mpstat process. `average` is empty when read from JSON (it has none)."""

    system: str
    release: str
    host: str
    date: str
    machine: str
    cpu_count: int
    samples: tuple[Sample, ...]
    average: tuple[CpuUsage, ...] = ()


def mpstat_of(node: Node) -> MpstatLog:
    """Return what mpstat recorded, from its JSON. Raises ParseError naming what is missing in it.

    The truncated JSON that a SIGTERM leaves behind is no node: `parse_json` refuses it.
    """
    hosts = node.get("sysstat").get("hosts").items()
    if len(hosts) != 1:
        raise ParseError(f"{node.file}: sysstat.hosts: expected one host, found {len(hosts)}")
    host = hosts[0]
    return MpstatLog(
        system=host.text("sysname"),
        release=host.text("release"),
        host=host.text("nodename"),
        date=host.text("date"),
        machine=host.text("machine"),
        cpu_count=host.integer("number-of-cpus"),
        samples=tuple(_sample(node) for node in host.get("statistics").items()),
    )


def _sample(node: Node) -> Sample:
    rows = tuple(
        CpuUsage(cpu=row.text("cpu"), percent=tuple(row.number(column) for column in COLUMNS))
        for row in node.get("cpu-load").items()
    )
    if not any(row.cpu == "all" for row in rows):
        raise node.fault('no row for cpu "all"')
    return Sample(timestamp=node.text("timestamp"), rows=rows)


def parse_mpstat_text(text: str, name: str) -> MpstatLog:
    """The text form, of `mpstat 1` and of `mpstat -P ALL 1`, with or without AM/PM."""
    lines = text.splitlines()
    banner = _BANNER.match(lines[0]) if lines else None
    if banner is None:
        raise ParseError(f"{name}: line 1: not mpstat's first line")
    intervals: dict[str, list[CpuUsage]] = {}
    average: list[CpuUsage] = []
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip() or "%idle" in line:
            continue
        stamp, row = _text_row(line, f"{name}: line {number}")
        if stamp == "Average:":
            average.append(row)
        else:
            intervals.setdefault(stamp, []).append(row)
    system, release, host, date, machine, cpus = banner.groups()
    return MpstatLog(
        system=system,
        release=release,
        host=host,
        date=date,
        machine=machine,
        cpu_count=int(cpus),
        samples=tuple(Sample(timestamp=t, rows=tuple(r)) for t, r in intervals.items()),
        average=tuple(average),
    )


def _text_row(line: str, place: str) -> tuple[str, CpuUsage]:
    fields = line.split()
    cut = 2 if len(fields) > 1 and fields[1] in ("AM", "PM") else 1
    stamp, rest = " ".join(fields[:cut]), fields[cut:]
    if len(rest) != len(COLUMNS) + 1:
        raise ParseError(f"{place}: {len(rest)} columns where {len(COLUMNS) + 1} belong")
    try:
        return stamp, CpuUsage(cpu=rest[0], percent=tuple(decimal(field) for field in rest[1:]))
    except ValueError as error:
        raise ParseError(f"{place}: {error}") from None


def averages(recording: MpstatLog) -> tuple[CpuUsage, ...]:
    """mpstat's own averages, or the mean of the samples when the form has none (JSON)."""
    if recording.average or not recording.samples:
        return recording.average
    means = []
    for cpu in [row.cpu for row in recording.samples[0].rows]:
        rows = [row for sample in recording.samples if (row := sample.row(cpu))]
        columns = zip(*(row.percent for row in rows), strict=True)
        means.append(CpuUsage(cpu=cpu, percent=tuple(sum(c) / len(rows) for c in columns)))
    return tuple(means)


def render_mpstat_text(recording: MpstatLog) -> str:
    """The look of `mpstat 1`: banner, header, the row "all" a second, the average."""
    return "\n".join(_lines(recording)) + "\n"


def _lines(recording: MpstatLog) -> Iterator[str]:
    r = recording
    yield (f"{r.system} {r.release} ({r.host}) \t{r.date} \t_{r.machine}_\t({r.cpu_count} CPU)")
    yield ""
    yield f"{_start(r):<11}{_HEADING}"
    for sample in r.samples:
        for row in sample.rows:
            if row.cpu == "all":
                yield _line(sample.timestamp, row)
    for row in averages(r):
        if row.cpu == "all":
            yield _line("Average:", row)


def _line(stamp: str, row: CpuUsage) -> str:
    return f"{stamp:<11}  {row.cpu:>3}" + "".join(f" {value:7.2f}" for value in row.percent)


def _start(recording: MpstatLog) -> str:
    """The header carries the time of the previous reading: one second before the first row."""
    if not recording.samples:
        return ""
    match = re.match(r"^(\d\d):(\d\d):(\d\d)(| AM| PM)$", recording.samples[0].timestamp)
    if match is None:
        return ""
    hour, minute, second = (int(part) for part in match.groups()[:3])
    half = match.group(4)
    day = 43200 if half else 86400
    if half:
        hour %= 12
    past = (hour * 3600 + minute * 60 + second - 1) % day
    if half and past == day - 1:
        half = " AM" if half == " PM" else " PM"
    hour = past // 3600 or 12 if half else past // 3600
    return f"{hour:02d}:{past // 60 % 60:02d}:{past % 60:02d}{half}"
