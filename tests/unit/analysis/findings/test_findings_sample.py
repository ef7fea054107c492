# SPDX-License-Identifier: Apache-2.0
"""The check of a trial's own packets: byte for byte, and whether enough of them were drawn."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.analysis.findings import Verdict
from testbed.analysis.findings.own_packets import missed_share
from testbed.analysis.reading.records import Run, Trial
from testbed.analysis.reading.run import load_run
from testbed.packets import sampled
from testbed.packets.reference import with_ip_checksum
from testbed.packets.traffic import reference
from tests.unit.factories.run_changes import found_by, trials
from tests.unit.factories.run_factory import RunRecipe, make_run, seal
from tests.unit.factories.run_factory_sample import WAY

INVALID, SUSPECT = Verdict.INVALID, Verdict.SUSPECT


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("run"), RunRecipe(trials=2)))


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Trial], Trial]:
    """Has a hook change the second packet of the sample, which is then kept whole."""

    def changed(trial: Trial) -> Trial:
        assert trial.sample is not None and trial.client is not None
        first, second, *rest = trial.sample
        right = reference(second.kept, trial.client.sent, WAY)
        assert right is not None
        wrong = change(right)
        as_kept = sampled.Sampled(wrong, len(wrong), sampled.digest(wrong))
        return replace(trial, sample=(first, as_kept, *rest))

    return changed


def patched(place: int, value: bytes, *, ip: bool = True) -> Callable[[bytes], bytes]:
    """Puts bytes into a packet; the IP checksum then is right again."""

    def change(packet: bytes) -> bytes:
        new = packet[:place] + value + packet[place + len(value) :]
        return with_ip_checksum(new) if ip else new

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (patched(26, b"\0\0"), "UDP checksum switched off (1)"),
        (patched(26, b"\x12\x34"), "wrong UDP checksum (1)"),
        (patched(500, b"\xaa\x55\xaa"), "wrong payload (1)"),
        (patched(12, b"\x0a\0\0\x07"), "wrong address (1)"),
        (patched(16, b"\x0a\0\x01\x03"), "wrong address (1)"),
        (patched(20, b"\x4e\x20"), "wrong port (1)"),
        (patched(22, b"\x1f\x90"), "wrong port (1)"),
        (patched(8, b"\x40"), "wrong TTL (1)"),
        (patched(6, b"\0\0"), "wrong IP header (1)"),
        (patched(1, b"\x20"), "wrong IP header (1)"),
        (patched(10, b"\0\0", ip=False), "wrong IP checksum (1)"),
        (patched(28, b"??"), "nothing that the client sent (1)"),
        (lambda packet: with_ip_checksum(packet[:2] + b"\3\xe8" + packet[4:1000]),
         "wrong length (1)"),
    ],
)  # fmt: skip
def test_one_packet_that_is_not_right_is_found(
    run: Run, change: Callable[[bytes], bytes], said: str
) -> None:
    (first, second) = found_by(trials(rewritten(change))(run), "sample")
    assert {first.verdict, second.verdict} == {INVALID}
    assert (first.scope.arm, first.scope.block, second.scope.block) == ("xdp", 1, 2)
    assert first.statement == (
        "1 of 10 packets drawn at random from the trial are not what the reference says: " + said
    )


def test_of_many_that_differ_the_headers_and_the_digest_are_enough(run: Run) -> None:
    def change(trial: Trial) -> Trial:
        assert trial.sample is not None
        headers = [replace(one, digest="00" * 32) for one in trial.sample]
        return replace(trial, sample=tuple(headers))

    (found, _) = found_by(trials(change)(run), "sample")
    assert found.statement.endswith("wrong payload (10)")


def test_what_others_send_to_everybody_is_not_the_arms(run: Run) -> None:
    def change(trial: Trial) -> Trial:
        multicast = b"\x45" + bytes(15) + b"\xe0\0\0\xfb" + bytes(20)
        one = sampled.Sampled(multicast, len(multicast), sampled.digest(multicast))
        return replace(trial, sample=(*(trial.sample or ()), one))

    assert not found_by(trials(change)(run), "sample")


@pytest.mark.parametrize(("kept", "said"), [(0, "0 packets"), (3, "3 packets")])
def test_fewer_than_chance_gives_came_another_way(run: Run, kept: int, said: str) -> None:
    def change(trial: Trial) -> Trial:
        assert trial.server is not None and trial.server.drawing is not None
        drawing = replace(trial.server.drawing, one_in=140, drawn=kept)
        server = replace(trial.server, drawing=drawing)
        return replace(trial, sample=(trial.sample or ())[:kept], server=server)

    (found, _) = found_by(trials(change)(run), "sample")
    assert found.verdict is SUSPECT
    assert found.statement == f"{said} were drawn where chance gives about 100"


def test_what_found_no_room_is_no_verdict(run: Run) -> None:
    def change(trial: Trial) -> Trial:
        assert trial.server is not None and trial.server.drawing is not None
        drawing = replace(trial.server.drawing, one_in=140, drawn=95, dropped=85)
        return replace(trial, server=replace(trial.server, drawing=drawing))

    assert not found_by(trials(change)(run), "sample")


def test_a_trial_too_short_for_a_sample(run: Run) -> None:
    def change(trial: Trial) -> Trial:
        assert trial.server is not None and trial.server.drawing is not None
        drawing = replace(trial.server.drawing, one_in=20_000, drawn=0)
        return replace(trial, sample=(), server=replace(trial.server, drawing=drawing))

    (found, _) = found_by(trials(change)(run), "sample")
    assert (found.verdict, found.statement) == (SUSPECT, "none of 14,000 packets was drawn")


def test_a_run_from_before_is_not_recorded(tmp_path: Path) -> None:
    root = make_run(tmp_path, RunRecipe(trials=2))
    for path in [*root.glob("raw/*/sample.*")]:
        path.unlink()
    seal(root)
    (found,) = found_by(load_run(root), "sample")
    assert (found.verdict, found.scope.kind) == (SUSPECT, "run")
    assert found.statement == "not recorded: a sample of the trials' own packets"


def test_one_trial_without_a_sample(run: Run) -> None:
    found = found_by(trials(lambda trial: replace(trial, sample=None))(run), "sample")
    assert [(f.verdict, f.scope.block) for f in found] == [(SUSPECT, 1), (SUSPECT, 2)]


@pytest.mark.parametrize("content", [b"\x1f\x8b", b""])
def test_a_sample_that_is_cut_off_is_a_problem_of_the_trial(tmp_path: Path, content: bytes) -> None:
    root = make_run(tmp_path, RunRecipe(trials=2))
    (root / "raw/01-xdp/sample.pcap.gz").write_bytes(content)
    seal(root)
    run = load_run(root)
    (problem,) = next(t for t in run.trials if t.folder == "raw/01-xdp").problems
    assert problem.startswith("raw/01-xdp/sample.pcap.gz: cut off or damaged")
    assert [f.verdict for f in found_by(run, "complete")] == [INVALID]
    assert not found_by(run, "sample")


def test_the_share_that_a_sample_may_miss() -> None:
    """By hand: (1 - 0.0267) ** 110 is 0.05."""
    assert missed_share(110) == pytest.approx(0.0269, abs=1e-4)
    assert (1 - missed_share(560)) ** 560 == pytest.approx(0.05)
    assert missed_share(0) == 1.0
