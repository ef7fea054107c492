# SPDX-License-Identifier: Apache-2.0
"""Parsers of the kernel's counter files, taken as raw text, and differences between two of them.

Every parser returns plain integers by name. A counter that one side does not have gives None in
a difference: a missing counter is not a counter that stood still.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from testbed.model.errors import ParseError
from testbed.model.numbers import looks_like_a_number, whole

USER_HZ = 100
"""Ticks a second in /proc/stat on every Linux architecture we run on (sysconf(_SC_CLK_TCK))."""

STAT_COLUMNS = (
    "user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcStat:
    """/proc/stat: ticks of 1/USER_HZ s by column, over all CPUs and for each one."""

    total: Mapping[str, int]
    cpus: Mapping[int, Mapping[str, int]]

    @property
    def not_busy_ticks(self) -> int:
        """idle + iowait of all CPUs: the two columns the kernel keeps in nanoseconds."""
        return self.total["idle"] + self.total["iowait"]


def parse_stat(text: str, name: str = "/proc/stat") -> ProcStat:
    total: dict[str, int] | None = None
    cpus: dict[int, Mapping[str, int]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.startswith("cpu"):
            continue
        label, *fields = line.split()
        if len(fields) < 5:
            raise ParseError(f"{name}: line {number}: a cpu line with {len(fields)} columns")
        ticks = _integers(fields, name, number)
        row = dict(zip(STAT_COLUMNS, ticks, strict=False))
        if label == "cpu":
            total = row
        elif re.fullmatch("cpu[0-9]{1,5}", label):
            cpus[int(label[3:])] = row
    if total is None or not cpus:
        raise ParseError(f"{name}: no cpu lines")
    return ProcStat(total=total, cpus=cpus)


def parse_per_cpu(text: str, name: str) -> dict[str, tuple[int, ...]]:
    """/proc/softirqs and /proc/interrupts: counts by row name, one for each CPU of the header.

    Rows that carry a single count for the machine (ERR, MIS) keep that one.
    """
    lines = text.splitlines()
    if not lines or not lines[0].split() or not lines[0].split()[0].startswith("CPU"):
        raise ParseError(f"{name}: line 1: no CPU header")
    cpu_count = len(lines[0].split())
    rows: dict[str, tuple[int, ...]] = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line.strip():
            continue
        label, colon, rest = line.partition(":")
        if not colon:
            raise ParseError(f"{name}: line {number}: no row name")
        counts: list[int] = []
        for field in rest.split()[:cpu_count]:
            if not looks_like_a_number(field):
                break
            counts += _integers([field], name, number)
        rows[label.strip()] = tuple(counts)
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Interrupt:
    """A row of /proc/interrupts: its count over all CPUs, and the words behind (chip, device)."""

    count: int
    words: str


def parse_interrupts(text: str, name: str) -> dict[str, Interrupt]:
    """/proc/interrupts by row name."""
    counts = parse_per_cpu(text, name)
    rows: dict[str, Interrupt] = {}
    for line in text.splitlines()[1:]:
        label, _, rest = line.partition(":")
        numbers = counts.get(label.strip())
        if numbers is not None:
            words = " ".join(rest.split()[len(numbers) :])
            rows[label.strip()] = Interrupt(count=sum(numbers), words=words)
    return rows


def parse_net_dev(text: str, name: str) -> dict[str, dict[str, int]]:
    """/proc/net/dev: counters by interface, as "rx_packets", "tx_dropped" …"""
    lines = text.splitlines()
    heads = lines[1].split("|") if len(lines) > 1 else []
    if len(heads) != 3:
        raise ParseError(f"{name}: line 2: no heading of receive and transmit columns")
    keys = [f"rx_{word}" for word in heads[1].split()] + [f"tx_{word}" for word in heads[2].split()]
    interfaces = {}
    for number, line in enumerate(lines[2:], start=3):
        label, colon, rest = line.partition(":")
        fields = rest.split()
        if not colon or len(fields) != len(keys):
            raise ParseError(f"{name}: line {number}: {len(fields)} columns, not {len(keys)}")
        numbers = _integers(fields, name, number)
        interfaces[label.strip()] = dict(zip(keys, numbers, strict=True))
    return interfaces


def parse_softnet_drops(text: str, name: str) -> int:
    """/proc/net/softnet_stat: packets that found the backlog of their CPU full, all CPUs.

    The second column, hexadecimal (net/core/net-procfs.c, softnet_seq_show).
    """
    drops = 0
    for number, line in enumerate(text.splitlines(), start=1):
        columns = line.split()
        if len(columns) < 2 or re.fullmatch("[0-9a-f]{1,16}", columns[1]) is None:
            raise ParseError(f"{name}: line {number}: not the kernel's softnet_stat")
        drops += int(columns[1], 16)
    return drops


NO_LIMIT = "MaxConn"
"""The one member of /proc/net/snmp that is no counter: TCP's most connections, -1 for "any"."""


def parse_snmp(text: str, name: str) -> dict[str, int]:
    """/proc/net/snmp or /proc/net/netstat: pairs of lines, names then values, as "UdpInErrors"."""
    counters: dict[str, int] = {}
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) % 2:
        raise ParseError(f"{name}: line {len(lines)}: names without values")
    for index in range(0, len(lines), 2):
        prefix, _, names = lines[index].partition(":")
        value_prefix, _, values = lines[index + 1].partition(":")
        keys, fields = names.split(), values.split()
        if prefix != value_prefix or len(keys) != len(fields):
            raise ParseError(f"{name}: line {index + 2}: values do not match their names")
        pairs = [(f"{prefix}{k}", f) for k, f in zip(keys, fields, strict=True) if k != NO_LIMIT]
        numbers = _integers([field for _, field in pairs], name, index + 2)
        counters.update({key: n for (key, _), n in zip(pairs, numbers, strict=True)})
    return counters


def parse_meminfo(text: str, name: str) -> dict[str, int]:
    """/proc/meminfo: bytes by name; the few rows without a unit (counts of pages) are left out."""
    found = {}
    for number, line in enumerate(text.splitlines(), start=1):
        key, colon, rest = line.partition(":")
        words = rest.split()
        if not colon or not words:
            raise ParseError(f"{name}: line {number}: no name and number")
        if words[1:] == ["kB"]:
            found[key] = 1024 * _integers(words[:1], name, number)[0]
    return found


def difference(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int | None]:
    """after - before for every name of either side; None where a side lacks it."""
    names = sorted(set(before) | set(after))
    return {n: after[n] - before[n] if n in before and n in after else None for n in names}


def _integers(fields: list[str], name: str, line: int) -> list[int]:
    try:
        return [whole(field) for field in fields]
    except ValueError as error:
        raise ParseError(f"{name}: line {line}: {error}") from None
