# SPDX-License-Identifier: Apache-2.0
"""Reads what the same-work gate left in oracle/<arm>/ of a run directory, and judges it.

`oracle.json` is written last: an arm without one was not put through the gate. What else is missing
or cut off is an error that names the file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from testbed.analysis.document import read_json
from testbed.analysis.oracle_judge import Arrivals, judge
from testbed.analysis.oracle_records import HitsOutcome, OracleOutcome
from testbed.model.config import NetworkConfig
from testbed.model.errors import ParseError, RunError
from testbed.model.json_node import Node
from testbed.packets import capture
from testbed.packets.case import FATES, Case
from testbed.packets.reference import identification, packet_of

SCHEMA = 1
ROUNDS_FOR_MISSING = 4
"""What stays away in so many rounds, while their end markers came through, was not lost."""


@dataclass(frozen=True, slots=True)
class Round:
    """One time of sending: how many frames to rewrite, and of those that no stack delivers."""

    rewritten: int
    nowhere: int
    ended: bool
    """Whether an end marker came through to both places."""


@dataclass(frozen=True, slots=True)
class Record:
    """The files of one arm."""

    arm: str
    direct: bool
    network: NetworkConfig
    cases: tuple[Case, ...]
    rounds: tuple[Round, ...]
    namespace: tuple[bytes, ...]
    root: tuple[bytes, ...]
    hits: int | None
    took_s: float


def outcomes_of(path: Path, arms: Sequence[str]) -> dict[str, OracleOutcome]:
    """Return the outcome of every arm that was put through the gate.

    Raises ParseError, with the file and the place, when files are missing or damaged.
    """
    there = [arm for arm in arms if (path / f"oracle/{arm}/oracle.json").is_file()]
    return {arm: outcome_of(load(path, arm)) for arm in there}


def load(path: Path, arm: str) -> Record:
    """Read the files of one arm; raises ParseError."""
    folder = f"oracle/{arm}"
    node = read_json(path, f"{folder}/oracle.json")
    if node.integer("schema") != SCHEMA:
        raise RunError(
            f"{node.file}: schema {node.integer('schema')}, and this version reads {SCHEMA}",
            hint="use the version of testbed that wrote the run (its manifest names it)",
        )
    frames: dict[int, list[bytes]] = {}
    for frame in _packets(path, f"{folder}/sent.pcap.gz", capture.ETHERNET):
        frames.setdefault(identification(packet_of(frame)), []).append(frame)
    before, after = node.integers("hits_before"), node.integers("hits_after")
    direct = node.get("direct").value is True
    return Record(
        arm=arm,
        direct=direct,
        network=_network(node.get("network")),
        cases=tuple(_case(item, frames) for item in node.get("cases").items()),
        rounds=tuple(_round(item) for item in node.get("rounds").items()),
        namespace=_packets(path, f"{folder}/namespace.pcap.gz", capture.RAW_IP),
        root=_packets(path, f"{folder}/root.pcap.gz", capture.RAW_IP),
        hits=None if before is None or after is None else sum(after) - sum(before),
        took_s=node.number("took_s"),
    )


def outcome_of(record: Record) -> OracleOutcome:
    """Judge every case of one arm, and its hits."""
    inside, outside = _by_id(record.namespace), _by_id(record.root)
    rounds = record.rounds
    lost = len(rounds) < ROUNDS_FOR_MISSING or not all(one.ended for one in rounds)
    cases = tuple(
        judge(
            case,
            Arrivals(inside.get(case.id, ()), outside.get(case.id, ())),
            record.network,
            lost=lost,
        )
        for case in record.cases
    )
    to_rewrite = {case.id for case in record.cases if case.fate == "rewritten"}
    came = sum(identification(packet) in to_rewrite for packet in record.namespace)
    nowhere = sum(one.nowhere for one in rounds)
    sent = sum(one.rewritten for one in rounds)
    return OracleOutcome(
        arm=record.arm,
        direct=record.direct,
        rounds=len(rounds),
        took_s=record.took_s,
        cases=cases,
        hits=HitsOutcome(
            counted=record.hits,
            at_least=0 if record.direct else came,
            at_most=nowhere if record.direct else sent + nowhere,
        ),
    )


def _by_id(packets: Sequence[bytes]) -> dict[int, list[bytes]]:
    found: dict[int, list[bytes]] = {}
    for packet in packets:
        found.setdefault(identification(packet), []).append(packet)
    return found


def _case(node: Node, frames: dict[int, list[bytes]]) -> Case:
    number, fate = node.integer("id"), node.text("fate")
    if number not in frames:
        raise node.fault(f"no frame with identification {number} in sent.pcap.gz", "id")
    known = next((name for name in FATES if name == fate), None)
    if known is None:
        raise node.fault(f"unknown fate {fate!r}; known: {', '.join(FATES)}", "fate")
    return Case(
        id=number,
        group=node.text("group"),
        title=node.text("title"),
        fate=known,
        payload_bytes=node.optional_integer("payload_bytes"),
        frames=tuple(frames[number]),
    )


def _round(node: Node) -> Round:
    ended = node.get("ended").value is True
    return Round(node.integer("rewritten"), node.integer("nowhere"), ended)


def _network(node: Node) -> NetworkConfig:
    try:
        return NetworkConfig.model_validate(node.mapping())
    except ValidationError as error:
        raise node.fault(f"no network: {error.errors()[0]['msg']}") from None


def _packets(path: Path, name: str, link_type: int) -> tuple[bytes, ...]:
    try:
        return capture.read((path / name).read_bytes(), link_type)
    except FileNotFoundError:
        raise ParseError(f"{name}: missing") from None
    except (OSError, ValueError) as error:
        raise ParseError(f"{name}: {error}") from None
