# SPDX-License-Identifier: Apache-2.0
"""Reads client.json and server.json: what the two programs of a trial recorded.

A session of several trials (profile original) is one record: counts are sums, edges are the
first trial's START and the last one's END.
"""

from testbed.analysis.formats.proc_files import (
    Interrupt,
    parse_interrupts,
    parse_net_dev,
    parse_per_cpu,
    parse_snmp,
    parse_softnet_drops,
    parse_stat,
)
from testbed.analysis.reading.trial_records import (
    ClientTrial,
    Drawing,
    ServerTrial,
    Snap,
    Stack,
    Stacks,
)
from testbed.model.json_node import Node
from testbed.model.numbers import whole
from testbed.packets.traffic import sent_by

GAPS = ("mean", "sd", "p50", "p99", "max")


def client_of(node: Node) -> ClientTrial:
    """Raises ParseError that names the file and the place of what is missing."""
    trials = node.get("trials").items()
    if not trials:
        raise node.fault("no trial recorded", "trials")
    first = trials[0]
    achieved = [trial.optional_number("achieved_pps") for trial in trials]
    known = [rate for rate in achieved if rate is not None]
    late = [trial.optional_integer("late_sends") for trial in trials]
    gaps = first.find("gap_us")
    lock = first.find("tick_lock")
    return ClientTrial(
        token=first.text("token"),
        source_port=first.integer("source_port"),
        seed=first.optional_integer("seed"),
        rate_pps=first.number("rate_pps"),
        achieved_pps=sum(known) / len(known) if len(known) == len(trials) else None,
        payload_bytes=first.integer("payload_bytes"),
        jitter=first.optional_number("jitter") or 0.0,
        planned=sum(trial.integer("planned") for trial in trials),
        offered=sum(trial.integer("offered") for trial in trials),
        send_errors=sum(_errors(trial) for trial in trials),
        duration_ms=sum(trial.number("duration_ms") for trial in trials),
        late_sends=None if None in late else sum(value for value in late if value is not None),
        control_sent=sum(_control_sent(trial) for trial in trials),
        start_attempts=_attempts(trials, "start_attempts"),
        end_attempts=_attempts(trials, "end_attempts"),
        gap_us={} if gaps is None else {key: gaps.number(key) for key in GAPS},
        tick_lock={} if lock is None else _tick_lock(lock),
        before=_own_stack(first, "before"),
        after=_own_stack(trials[-1], "after"),
        durations_ms=tuple(trial.number("duration_ms") for trial in trials),
        sent=sent_by(trials),
    )  # fmt: skip


def _tick_lock(lock: Node) -> dict[int, float]:
    try:
        return {whole(hz): lock.number(hz) for hz in lock.mapping() if lock.find(hz) is not None}
    except ValueError as error:
        raise lock.fault(f"a tick rate that is none: {error}") from None


def _errors(trial: Node) -> int:
    errors = trial.find("send_errors")
    return sum(errors.integer(key) for key in errors.mapping()) if errors else 0


def _attempts(trials: tuple[Node, ...], key: str) -> int | None:
    counts = [trial.optional_integer(key) for trial in trials]
    return None if None in counts else sum(count for count in counts if count is not None)


def _control_sent(trial: Node) -> int:
    """Without a count of its own: what was tried for START and for END, and one CLOSE."""
    sent = trial.optional_integer("control_sent")
    if sent is not None:
        return sent
    start = trial.optional_integer("start_attempts")
    end = trial.optional_integer("end_attempts")
    return 0 if start is None or end is None else start + end + 1


def _own_stack(trial: Node, edge: str) -> Stack | None:
    """The client's own counters; None from a version that did not record them."""
    counters = trial.find("counters")
    return None if counters is None else _stack(counters.get(edge), netstat=False)


def server_of(node: Node, token: str | None) -> ServerTrial:
    """`token`: of the client's first trial. Raises ParseError naming file and place."""
    trials = node.get("trials").items()
    start = next(
        (i for i, t in enumerate(trials) if token is None or t.optional_text("token") == token),
        None,
    )
    if start is None:
        raise node.fault(f"no trial with the client's token ({len(trials)} recorded)", "trials")
    trials = trials[start:]
    first, last = trials[0], trials[-1]
    window = node.find("idle_window")
    durations = [trial.optional_number("duration_ms") for trial in trials]
    known = [duration for duration in durations if duration is not None]
    cpu = [trial.optional_integer("cpu_ns") for trial in trials]
    drops = [trial.optional_integer("socket_drops") for trial in trials]
    return ServerTrial(
        unique=sum(trial.integer("unique") for trial in trials),
        duplicates=sum(trial.integer("duplicates") for trial in trials),
        reordered=sum(trial.integer("reordered") for trial in trials),
        foreign=sum(trial.optional_integer("foreign") or 0 for trial in trials),
        duration_ms=sum(known) if len(known) == len(durations) else None,
        socket_drops=None if None in drops else sum(drop for drop in drops if drop is not None),
        rcvbuf_bytes=node.optional_integer("rcvbuf_bytes"),
        before=_snap(first.get("before")),
        after=_snap(last.get("after")),
        idle_window=None
        if window is None
        else (_snap(window.get("before")), _snap(window.get("after"))),
        first_data_ns=first.optional_integer("first_data_monotonic_ns"),
        last_data_ns=last.optional_integer("last_data_monotonic_ns"),
        cpu_s=None if None in cpu else sum(ns for ns in cpu if ns is not None) / 1e9,
        answers_sent=_attempts(trials, "answers_sent"),
        stacks=_stacks(first, last),
        uniques=tuple(trial.integer("unique") for trial in trials),
        traffic_s=sum(known) / 1e3 if len(known) == len(durations) else None,
        drawing=_drawing(node.find("sample")),
    )


def _drawing(node: Node | None) -> Drawing | None:
    if node is None:
        return None
    if (one_in := node.integer("one_in")) < 1:
        raise node.fault("expected 1 or more", "one_in")
    return Drawing(
        one_in=one_in,
        inode=node.integer("inode"),
        drawn=node.integer("drawn"),
        dropped=node.integer("dropped"),
        kept=node.integer("kept"),
    )


def _stacks(first: Node, last: Node) -> tuple[Stacks, Stacks] | None:
    before, after = first.find("network"), last.find("network")
    if before is None or after is None or after.find("after") is None:
        return None
    return _stacks_at(before.get("before")), _stacks_at(after.get("after"))


def _stacks_at(node: Node) -> Stacks:
    softnet = node.find("softnet_stat")
    place = f"{node.file}: {node.place}.softnet_stat"
    return Stacks(
        root=_stack(node.get("root")),
        namespace=_stack(node.get("namespace")),
        backlog_drops=None if softnet is None else parse_softnet_drops(softnet.as_text(), place),
    )


def _stack(node: Node, *, netstat: bool = True) -> Stack:
    place = f"{node.file}: {node.place}"
    return Stack(
        snmp=parse_snmp(node.text("snmp"), f"{place}.snmp"),
        netstat=parse_snmp(node.text("netstat"), f"{place}.netstat") if netstat else {},
        interfaces=parse_net_dev(node.text("dev"), f"{place}.dev"),
    )


def _snap(node: Node) -> Snap:
    edges = node.integers("stat_monotonic_ns") or node.integers("monotonic_ns")
    if edges is None or len(edges) != 2:
        raise node.fault("expected two times, before and after the reading", "monotonic_ns")
    place = f"{node.file}: {node.place}"
    softirqs, interrupts = node.find("softirqs"), node.find("interrupts")
    rows = {} if softirqs is None else parse_per_cpu(softirqs.as_text(), f"{place}.softirqs")
    lines: dict[str, Interrupt] = {}
    if interrupts is not None:
        lines = parse_interrupts(interrupts.as_text(), f"{place}.interrupts")
    return Snap(
        before_read_ns=edges[0],
        after_read_ns=edges[1],
        utc_ns=node.integer("utc_ns"),
        stat=parse_stat(node.text("stat"), f"{place}.stat"),
        softirqs={kind: sum(counts) for kind, counts in rows.items()},
        interrupts=lines,
        place=place,
    )
