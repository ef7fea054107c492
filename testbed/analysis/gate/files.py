# SPDX-License-Identifier: Apache-2.0
"""Reads what the gate left in gate/<arm>/ of a run directory, and judges it.

`gate.json` is written last: an arm without one was not put through the gate. Any other file that
is missing or cut off is an error that names the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from pydantic import ValidationError

from testbed.analysis.formats.document import read_json
from testbed.analysis.gate.arrivals import Arrived, arrived
from testbed.analysis.gate.first_schema import read_first_schema
from testbed.analysis.gate.judge import judge
from testbed.analysis.gate.order import displaced, too_many
from testbed.analysis.gate.outcomes import GateOutcome, HitsOutcome
from testbed.analysis.gate.rounds import Round, loss_of, read_rounds, surely_arrived
from testbed.model.config import NetworkConfig
from testbed.model.errors import ParseError, RunError
from testbed.model.json_node import Node
from testbed.model.run_files import GATE, GATE_RECORD, gate_record
from testbed.packets import capture
from testbed.packets.case import FATES, Case
from testbed.packets.recognition import Recognition
from testbed.packets.reference import packed

SCHEMA = 2
"""In schema 1, before November 2026, rounds have no counters (`first_schema.py`)."""


@dataclass(frozen=True, slots=True)
class Record:
    """The files of one arm. `at_most`: so many hits a correct hook may have counted.

    `by_round`: what came out is known for each round, with counters.
    """

    arm: str
    direct: bool
    seed: int | None
    network: NetworkConfig
    cases: tuple[Case, ...]
    rounds: tuple[Round, ...]
    marker: bytes
    hits: int | None
    at_most: int
    took_s: float
    places: Mapping[int, int]
    """By a case's number: where its first frame stands in the order of sending."""
    by_round: bool = True


def outcomes_of(path: Path, arms: Sequence[str]) -> dict[str, GateOutcome]:
    """Return the outcome of every arm that was put through the gate.

    Raises ParseError, with the file and the place, when files are missing or damaged.
    """
    there = [arm for arm in arms if gate_record(path, arm)]
    return {arm: outcome_of(load(path, arm)) for arm in there}


def load(path: Path, arm: str) -> Record:
    """Read the files of one arm that was put through the gate; raises ParseError."""
    record = gate_record(path, arm) or f"{GATE}/{arm}/{GATE_RECORD}"
    folder = str(PurePath(record).parent)
    node = read_json(path, record)
    first, schema = node.integer("schema") == 1, node.integer("schema")
    if schema not in (1, SCHEMA):
        raise RunError(
            f"{node.file}: schema {schema}, and this version reads {SCHEMA}",
            hint="use the version of testbed that wrote the run (its manifest names it)",
        )
    sent = _packets(path, f"{folder}/sent.pcap.gz", capture.ETHERNET)
    captured = {
        place: _packets(path, f"{folder}/{place}.pcap.gz", capture.RAW_IP)
        for place in ("namespace", "root")
    }
    direct = node.get("direct").value is True
    if first:
        cases, rounds, marker, at_most = read_first_schema(node, sent, captured, direct=direct)
        places = {}
    else:
        items = node.get("cases").items()
        cases = tuple(_case(item, sent) for item in items)
        rounds = read_rounds(node.get("rounds").items(), captured)
        marker = _marker(node)
        at_most = _countable(cases, rounds, direct=direct)
        places = {item.integer("number"): (item.integers("frames") or (0,))[0] for item in items}
    before, after = node.integers("hits_before"), node.integers("hits_after")
    return Record(
        arm=arm,
        direct=direct,
        seed=node.optional_integer("seed"),
        network=_network(node.get("network")),
        cases=cases,
        rounds=rounds,
        marker=marker,
        hits=None if before is None or after is None else sum(after) - sum(before),
        at_most=at_most,
        took_s=node.number("took_s"),
        places=places,
        by_round=not first,
    )


def _countable(cases: Sequence[Case], rounds: Sequence[Round], *, direct: bool) -> int:
    """Return how many frames were sent that a correct hook may have counted.

    If an arm's client sends to the target, the packets to rewrite go past its hook.
    """
    return sum(
        len(case.frames)
        for case in cases
        for one in rounds
        if case.countable and one.sends(case) and (case.fate == "nowhere" or not direct)
    )


def outcome_of(record: Record) -> GateOutcome:
    """Judge every case of one arm, what it lost, and its hits."""
    recognition = Recognition.of(record.cases, record.network)
    source = packed(record.network.client_address)
    came = [arrived(one, recognition, record.marker, source) for one in record.rounds]
    losses = [loss_of(one, record.cases, list(found.cases))
              for one, found in zip(record.rounds, came, strict=True)]  # fmt: skip
    cases = tuple(
        judge(
            case,
            [one.of(case.number) for one in came],
            record.network,
            lost=not surely_arrived(case, record.rounds, losses),
            once=record.by_round,
        )
        for case in record.cases
    )
    to_rewrite = [case.number for case in record.cases if case.fate in ("rewritten", "untagged")]
    inside = sum(len(one.of(number).namespace) for one in came for number in to_rewrite)
    hits = HitsOutcome(
        counted=record.hits, at_least=0 if record.direct else inside, at_most=record.at_most
    )
    whole = len(losses) == 1 and losses[0].elsewhere == 0 and not losses[0].missing
    return GateOutcome(
        arm=record.arm,
        direct=record.direct,
        seed=record.seed,
        rounds=len(record.rounds),
        took_s=record.took_s,
        cases=cases,
        hits=hits,
        losses=tuple(losses) if record.by_round else (),
        lost_on_link=_total([one.lost_on_link for one in record.rounds]),
        unsent=sum(len(one.nobodys) for one in came) if record.by_round else 0,
        displaced=_displaced(record, came) if record.by_round else 0,
        counted_behind=_counted_behind(record, hits) if whole else None,
    )


def _displaced(record: Record, came: Sequence[Arrived]) -> int:
    """Return how many packets came out behind later ones; 0 when chance explains them."""
    found = sum(displaced([record.places[number] for number in one.order]) for one in came)
    return found if too_many(found, sum(len(one.order) for one in came)) else 0


def _total(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(filter(None, counts))


def _counted_behind(record: Record, hits: HitsOutcome) -> tuple[str, ...] | None:
    """Return what the hook counted of the frames that Linux drops behind some hooks.

    Each kind of them is sent another number of times, a power of two: so the number of hits beyond
    what came out tells which kinds they were. None when it fits no choice of kinds.
    """
    if hits.counted is None:
        return None
    more = hits.counted - hits.at_least
    found = []
    for case in sorted(record.cases, key=lambda case: -len(case.frames)):
        if case.countable and case.fate == "nowhere" and len(case.frames) <= more:
            more -= len(case.frames)
            found.append(case.title)
    return None if more else tuple(reversed(found))


def _case(node: Node, sent: Sequence[bytes]) -> Case:
    fate, places = node.text("fate"), node.integers("frames") or ()
    if not places or not all(0 <= place < len(sent) for place in places):
        raise node.fault(f"no such frames in the {len(sent)} of sent.pcap.gz", "frames")
    known = next((name for name in FATES if name == fate), None)
    if known is None:
        raise node.fault(f"unknown fate {fate!r}; known: {', '.join(FATES)}", "fate")
    return Case(
        number=node.integer("number"),
        group=node.text("group"),
        title=node.text("title"),
        fate=known,
        payload_bytes=node.optional_integer("payload_bytes"),
        frames=tuple(sent[place] for place in places),
        countable=node.get("countable").value is True,
    )


def _marker(node: Node) -> bytes:
    try:
        return bytes.fromhex(node.text("marker"))
    except ValueError:
        raise node.fault("no bytes in hexadecimal", "marker") from None


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
