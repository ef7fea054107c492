# SPDX-License-Identifier: Apache-2.0
"""Reads the files of one trial (raw/<block>-<arm>/).

A file that is missing, cut off or malformed becomes a problem of the trial with the file's name
and the place; the record keeps None there. So does a counter that ran backwards. Nothing is ever
filled in with zero.
"""

from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import TypeVar

from testbed.analysis.formats.document import read_json, read_text
from testbed.analysis.formats.kernel_log import LogLine, parse_kernel_log
from testbed.analysis.formats.mpstat import MpstatLog, mpstat_of
from testbed.analysis.formats.proc_files import parse_meminfo
from testbed.analysis.reading import backwards
from testbed.analysis.reading.backwards import ran_backwards
from testbed.analysis.reading.client_server import client_of, server_of
from testbed.analysis.reading.records import Arm, Trial
from testbed.analysis.reading.snapshots import hook_of, host_of, network_of
from testbed.model.errors import ParseError
from testbed.model.json_node import Node
from testbed.model.plan import folder_of
from testbed.packets.sampled import Sampled, from_files

T = TypeVar("T")


def load_trial(root: Path, *, block: int, position: int, arm: Arm, number: int) -> Trial:
    """One trial as planned; `position` in its block and `number` within its arm, from 1."""
    folder = f"raw/{folder_of(block, arm.name)}"
    problems: list[str] = []

    def tried(read: Callable[[], T]) -> T | None:
        try:
            return read()
        except ParseError as error:
            problems.append(error.message)
            return None

    def attempt(name: str, read: Callable[[Node], T]) -> T | None:
        return tried(lambda: read(read_json(root, f"{folder}/{name}.json")))

    about = attempt("trial", _About)
    client = attempt("client", client_of)
    server = attempt("server", lambda node: server_of(node, client.token if client else None))
    host = attempt("host", host_of)
    mpstat = attempt("mpstat", _mpstat)
    if about is not None and about.error:
        problems.append(f"{folder}/trial.json: error: {about.error}")
    log = tried(lambda: _log(root, f"{folder}/kernel-log.jsonl"))
    sample = tried(lambda: _sample(root, folder))
    before, after = attempt("before", network_of), attempt("after", network_of)
    hook_before, hook_after = attempt("hook-before", hook_of), attempt("hook-after", hook_of)
    read = (
        backwards.of_client(f"{folder}/client.json", client),
        backwards.of_server(f"{folder}/server.json", server),
        backwards.of_networks(f"{folder}/after.json", before, after),
        backwards.of_hook(f"{folder}/hook-after.json", hook_before, hook_after),
        backwards.of_host(f"{folder}/host.json", *(host or ({}, {}))),
    )
    problems += [said for pair in chain.from_iterable(read) for said in ran_backwards(pair)]
    directory = root / folder
    names = sorted(f.name for f in directory.iterdir()) if directory.is_dir() else []
    return Trial(
        block=block,
        position=position,
        arm=arm.name,
        number=number,
        folder=folder,
        destination=about.destination if about else "",
        client=client,
        server=server,
        mpstat=mpstat,
        mpstat_started_utc_ns=about.mpstat_started_utc_ns if about else None,
        before=before,
        after=after,
        hook_before=hook_before,
        hook_after=hook_after,
        kernel_log=log,
        windows_s=about.windows_s if about else {},
        files=tuple(f"{folder}/{name}" for name in names),
        problems=tuple(problems) if names else (f"{folder}: no files",),
        host=host[0] if host else {},
        clocks=host[1] if host else {},
        started_ns=about.times_ns[0] if about and about.times_ns else None,
        ended_ns=about.times_ns[-1] if about and about.times_ns else None,
        sample=sample,
        memory=about.memory if about else {},
    )


class _About:
    """The members of trial.json that the analysis reads."""

    def __init__(self, node: Node) -> None:
        self.destination = node.optional_text("destination")
        self.mpstat_started_utc_ns = node.optional_integer("mpstat_started_utc_ns")
        windows = node.find("windows_s")
        self.windows_s = (
            {key: windows.number(key) for key in windows.mapping()} if windows is not None else {}
        )
        timeline = node.find("timeline")
        steps = timeline.items() if timeline is not None else ()
        self.times_ns = [step.integer("host_monotonic_ns") for step in steps]
        memory = node.find("meminfo")
        self.memory = (
            {}
            if memory is None
            else {
                moment: parse_meminfo(memory.text(moment), f"{node.file}: meminfo.{moment}")
                for moment in memory.mapping()
            }
        )
        error = node.find("error")
        self.error = "" if error is None else _error_text(error)


def _error_text(node: Node) -> str:
    if isinstance(node.value, dict):
        return str(node.value.get("message", node.value))
    return str(node.value)


def _mpstat(node: Node) -> MpstatLog:
    recording = mpstat_of(node)
    if not recording.samples:
        raise ParseError(f"{node.file}: sysstat.hosts[0].statistics: no sample")
    return recording


def _sample(root: Path, folder: str) -> tuple[Sampled, ...] | None:
    """The packets that the server drew; None when a version that drew none wrote the trial."""
    name = f"{folder}/sample.pcap.gz"
    if not (root / name).is_file():
        return None
    digests = read_json(root, f"{folder}/sample.json").get("sha256").items()
    try:
        return from_files((root / name).read_bytes(), [one.as_text() for one in digests])
    except OSError as error:
        raise ParseError(f"{name}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ParseError(f"{name}: {error}") from None


def _log(root: Path, name: str) -> tuple[LogLine, ...]:
    return parse_kernel_log(read_text(root, name), name)
