# SPDX-License-Identifier: Apache-2.0
"""Packets too short to be told by their length: the expected control datagrams have to do."""

from dataclasses import replace

import pytest

from testbed.analysis.measures.data_packets import Tally, data_among
from testbed.analysis.measures.ledger import ledger_of
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from tests.unit.factories.ledger_faults import moved, moved_on
from tests.unit.factories.run_factory import RunRecipe, make_run

SENT = 14_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    recipe = RunRecipe(arms=("none", "netfilter", "xdp"), trials=1)
    return load_run(make_run(tmp_path_factory.mktemp("short"), recipe))


def test_short_packets_and_cut_ones_are_counted_without_their_length() -> None:
    short = Tally(packets=1003, octets=1000 * 72 + 3 * 66, headers=42)
    assert data_among(short, 30, 3) == 1000
    cut = Tally(packets=1003, octets=1000 * 542 + 3 * 66, headers=42)
    assert data_among(cut, 1000, 3) == 1000
    assert data_among(Tally(packets=1003, octets=None, headers=42), 1000, 3) == 1000


@pytest.mark.parametrize("answers", [1, 3])
def test_short_packets_are_told_from_repeated_starts_by_the_answers(run: Run, answers: int) -> None:
    """Lengths do not tell there: of the STARTs that were answered, the first is before the edge."""
    trial = run.trials_of("none")[0]
    assert trial.client and trial.server
    trial = replace(
        trial,
        client=replace(trial.client, payload_bytes=100),
        server=replace(trial.server, answers_sent=answers),
    )
    again = answers - 1
    for space, device, way in (
        ("root", "lab0", "rx"),
        ("root", "sslab-host", "tx"),
        ("namespace", "sslab-app", "rx"),
    ):
        trial = moved_on(trial, space, device, **{f"{way}_packets": again})
    # Each answer is forwarded, too.
    trial = moved(trial, "root", "IpForwDatagrams", 2 * again)
    for name in ("IpInReceives", "UdpInDatagrams", "IpOutRequests"):
        trial = moved(trial, "namespace", name, again)
    found = ledger_of(trial, run.arm("none"))
    assert found is not None
    assert {hop.name: hop.packets for hop in found.hops} == dict.fromkeys(
        [hop.name for hop in found.hops], SENT
    )
    assert len(found.hops) >= 6
