# SPDX-License-Identifier: Apache-2.0
"""Reads the files of one trial (raw/<block>-<arm>/).

A file that is missing, cut off or malformed becomes a problem of the trial with the file's name
and the place; the record keeps None there. Nothing is ever filled in with zero.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from testbed.analysis.counters import parse_snmp, parse_stat
from testbed.analysis.document import Node, read_json, read_text
from testbed.analysis.kernel_log import LogLine, parse_kernel_log
from testbed.analysis.mpstat import Recording, parse_mpstat_json
from testbed.analysis.records import Arm, ClientTrial, Network, ServerTrial, Snap, Trial
from testbed.model.errors import ParseError

T = TypeVar("T")


def load_trial(root: Path, *, block: int, position: int, arm: Arm, number: int) -> Trial:
    """One trial as planned; `position` in its block and `number` within its arm, from 1."""
    folder = f"raw/{block:02d}-{arm.name}"
    problems: list[str] = []

    def attempt(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ParseError as error:
            problems.append(error.message)
            return None

    about = attempt(lambda: read_json(root, f"{folder}/trial.json"))
    client = attempt(lambda: _client(read_json(root, f"{folder}/client.json")))
    server_file = attempt(lambda: read_json(root, f"{folder}/server.json"))
    server = None
    if server_file is not None:
        server = attempt(lambda: _server(server_file, client.token if client else None))
    fields = attempt(lambda: _about(about)) if about is not None else None
    if fields is not None and fields.error:
        problems.append(f"{folder}/trial.json: error: {fields.error}")
    directory = root / folder
    names = sorted(f.name for f in directory.iterdir()) if directory.is_dir() else []
    return Trial(
        block=block,
        position=position,
        arm=arm.name,
        number=number,
        folder=folder,
        destination=fields.destination if fields else "",
        client=client,
        server=server,
        mpstat=attempt(lambda: _mpstat(root, f"{folder}/mpstat.json")),
        mpstat_started_utc_ns=fields.mpstat_started_utc_ns if fields else None,
        before=attempt(lambda: _network(read_json(root, f"{folder}/before.json"))),
        after=attempt(lambda: _network(read_json(root, f"{folder}/after.json"))),
        mode=attempt(lambda: _mode(root, f"{folder}/verify.json", arm)),
        hits_before=fields.hits_before if fields else None,
        hits_after=fields.hits_after if fields else None,
        kernel_log=attempt(lambda: _log(root, f"{folder}/kernel-log.jsonl")),
        windows_s=fields.windows_s if fields else {},
        files=tuple(f"{folder}/{name}" for name in names),
        problems=tuple(problems) if names else (f"{folder}: no files",),
    )


class _About:
    """The members of trial.json that the analysis reads."""

    def __init__(self, node: Node) -> None:
        self.destination = node.optional_text("destination")
        self.mpstat_started_utc_ns = node.optional_integer("mpstat_started_utc_ns")
        self.hits_before = node.integers("hits_before")
        self.hits_after = node.integers("hits_after")
        windows = node.find("windows_s")
        self.windows_s = (
            {key: windows.number(key) for key in windows.mapping()} if windows is not None else {}
        )
        error = node.find("error")
        self.error = "" if error is None else _error_text(error)


def _about(node: Node) -> _About:
    return _About(node)


def _error_text(node: Node) -> str:
    if isinstance(node.value, dict):
        return str(node.value.get("message", node.value))
    return str(node.value)


def _client(node: Node) -> ClientTrial:
    trials = node.get("trials").items()
    if not trials:
        raise node.fault("no trial recorded", "trials")
    trial = trials[0]
    errors = trial.find("send_errors")
    return ClientTrial(
        token=trial.text("token"),
        source_port=trial.integer("source_port"),
        seed=trial.optional_integer("seed"),
        rate_pps=trial.number("rate_pps"),
        achieved_pps=trial.optional_number("achieved_pps"),
        payload_bytes=trial.integer("payload_bytes"),
        jitter=trial.optional_number("jitter") or 0.0,
        planned=trial.integer("planned"),
        offered=trial.integer("offered"),
        send_errors=sum(errors.integer(k) for k in errors.mapping()) if errors else 0,
        duration_ms=trial.number("duration_ms"),
        late_sends=trial.optional_integer("late_sends"),
        control_sent=_control_sent(trial),
    )


def _control_sent(trial: Node) -> int:
    """Without a count of its own: what was tried for START and for END, and one CLOSE."""
    sent = trial.optional_integer("control_sent")
    if sent is not None:
        return sent
    start = trial.optional_integer("start_attempts")
    end = trial.optional_integer("end_attempts")
    return 0 if start is None or end is None else start + end + 1


def _server(node: Node, token: str | None) -> ServerTrial:
    trials = node.get("trials").items()
    matching = [t for t in trials if token is None or t.optional_text("token") == token]
    if not matching:
        raise node.fault(f"no trial with the client's token ({len(trials)} recorded)", "trials")
    trial = matching[0]
    window = node.find("idle_window")
    return ServerTrial(
        unique=trial.integer("unique"),
        duplicates=trial.integer("duplicates"),
        reordered=trial.integer("reordered"),
        foreign=trial.optional_integer("foreign") or 0,
        duration_ms=trial.optional_number("duration_ms"),
        socket_drops=trial.optional_integer("socket_drops"),
        rcvbuf_bytes=node.optional_integer("rcvbuf_bytes"),
        before=_snap(trial.get("before")),
        after=_snap(trial.get("after")),
        idle_window=None
        if window is None
        else (_snap(window.get("before")), _snap(window.get("after"))),
    )


def _snap(node: Node) -> Snap:
    edges = node.integers("stat_monotonic_ns") or node.integers("monotonic_ns")
    if edges is None or len(edges) != 2:
        raise node.fault("expected two times, before and after the reading", "monotonic_ns")
    return Snap(
        before_read_ns=edges[0],
        after_read_ns=edges[1],
        utc_ns=node.integer("utc_ns"),
        stat=parse_stat(node.text("stat"), f"{node.file}: {node.place}.stat"),
    )


def _network(node: Node) -> Network:
    def by_namespace(key: str) -> dict[str, dict[str, int]]:
        group = node.get(key)
        return {
            space: parse_snmp(text.as_text(), f"{node.file}: {key}.{space}")
            for space in group.mapping()
            if (text := group.find(space)) is not None
        }

    return Network(
        snmp=by_namespace("snmp"),
        netstat=by_namespace("netstat"),
        kmsg_sequence=node.optional_integer("kmsg_sequence"),
    )


def _mode(root: Path, name: str, arm: Arm) -> str | None:
    """What `verify` printed. An arm without a hook may have no such file."""
    if arm.is_baseline and not (root / name).exists():
        return arm.expected_mode
    return read_json(root, name).optional_text("mode")


def _mpstat(root: Path, name: str) -> Recording:
    recording = parse_mpstat_json(read_text(root, name), name)
    if not recording.samples:
        raise ParseError(f"{name}: sysstat.hosts[0].statistics: no sample")
    return recording


def _log(root: Path, name: str) -> tuple[LogLine, ...]:
    return parse_kernel_log(read_text(root, name), name)
