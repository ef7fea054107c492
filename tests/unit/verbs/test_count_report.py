# SPDX-License-Identifier: Apache-2.0
"""`report`, `compare` and `runs` with counts, on the command line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Said
from tests.unit.factories.count_runs import ARMS, IDENTITY, close, put_count
from tests.unit.factories.run_factory import RunRecipe, make_run

pytestmark = pytest.mark.usefixtures("sketched")
Testbed = Callable[..., Said]
FIRST, SECOND = "20261128T051600Z-aaaaaa", "20261128T061600Z-bbbbbb"


def test_report_makes_the_page_of_a_count(testbed: Testbed, checkout: Path) -> None:
    path = put_count(checkout / "results", FIRST)
    said = testbed("report", FIRST)
    assert (said.status, said.out) == (0, f"{path / 'report.html'}\n")
    assert "VALID: Every check holds" in said.err
    assert "generic XDP executes 888 instructions more" in said.err
    assert {file.name for file in (path / "plots").iterdir()} == {
        "count-1000.svg", "count-1000.png", "count-1000-narrow.svg", "count-1000-narrow.png",
    }  # fmt: skip
    document = json.loads(testbed("report", FIRST, "--json").out)
    assert document == json.loads((path / "derived/count.json").read_text())
    assert document["status"] == "VALID"
    assert [one["typical_instructions"] for one in document["arms"]] == [9358, 9705, 10593]
    assert document["stages"][0]["stages"]["NIC driver"]["instructions"] == 649
    assert len(document["answers"]) == 2


def test_a_count_that_was_rendered_is_no_edited_one(testbed: Testbed, checkout: Path) -> None:
    put_count(checkout / "results", FIRST)
    assert [testbed("report", FIRST).status for _ in range(2)] == [0, 0]


def test_an_invalid_count_ends_with_7_and_says_nothing_more_than_why(
    testbed: Testbed, checkout: Path
) -> None:
    put_count(checkout / "results", FIRST, gate={"none": True, "netfilter": True, "xdp": False})
    said = testbed("report", FIRST)
    assert said.status == 7
    assert "XDP program, generic mode: it does other work than the reference" in said.err
    assert "888" not in said.err
    document = json.loads((checkout / f"results/{FIRST}/derived/count.json").read_text())
    assert document["verdict"] == "INVALID"
    assert "generic XDP" not in json.dumps(document["answers"])


def test_a_count_without_a_manifest_did_not_finish(testbed: Testbed, checkout: Path) -> None:
    put_count(checkout / "results", FIRST, complete=False)
    said = testbed("report", FIRST)
    assert said.status == 7
    assert "INCOMPLETE: This count did not finish" in said.err
    assert "INCOMPLETE" in testbed("runs").out


def test_an_edited_count_is_not_compared(testbed: Testbed, checkout: Path) -> None:
    path = put_count(checkout / "results", FIRST) / "count/none-1000/facts.json"
    path.write_text(path.read_text() + "\n")
    said = testbed("report", FIRST)
    assert said.status == 7
    assert "count/none-1000/facts.json is not the file that was recorded" in said.err


@pytest.mark.parametrize("name", ["count/count.json", "count/xdp-1000/paths.bin.xz"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\0" * 99])
def test_a_damaged_count_is_named(
    testbed: Testbed, checkout: Path, name: str, content: bytes
) -> None:
    path = put_count(checkout / "results", FIRST)
    (path / name).write_bytes(content)
    said = testbed("report", FIRST)
    assert said.status == 2
    assert Path(name).parent.name in said.err or Path(name).name in said.err
    assert not (checkout / "testbed-bug.txt").exists()
    assert not (path / "report.html").exists()
    assert testbed("runs").status == 0


def test_runs_lists_counts_among_the_others(testbed: Testbed, checkout: Path) -> None:
    put_count(checkout / "results", FIRST)
    assert "complete" in testbed("runs").out
    testbed("report", FIRST)
    said = testbed("runs")
    assert " ".join(said.out.split()) == (
        f"{FIRST} VALID count, 4 x none, netfilter, xdp none 9,358 instructions; "
        "netfilter 9,705 instructions; xdp 10,593 instructions"
    )
    (row,) = json.loads(testbed("runs", "--json").out)["runs"]
    assert (row["kind"], row["trials"], row["packets"]) == ("count", None, 4)
    assert f'href="{FIRST}/report.html"' in (checkout / "results/index.html").read_text()


# Two counts


def test_counts_of_equal_machines_are_set_beside_each_other(
    testbed: Testbed, checkout: Path
) -> None:
    put_count(checkout / "results", FIRST)
    put_count(checkout / "results", SECOND, identity={**IDENTITY, "boot_id": "another"})
    said = testbed("compare", FIRST, SECOND)
    assert said.status == 0
    head, *rows, caveat = said.out.splitlines()
    assert head.startswith(f"{SECOND} beside {FIRST}")
    assert [row.split()[-3:] for row in rows] == [
        ["9,358", "9,358", "0"], ["9,705", "9,705", "0"], ["10,593", "10,593", "0"],
    ]  # fmt: skip
    assert "CPU times may not" in caveat


def test_the_functions_that_differ_are_named(testbed: Testbed, checkout: Path) -> None:
    """The second run's "no hook" is the packets of the first one's Netfilter module."""
    put_count(checkout / "results", FIRST, arms=["none"], gate={"none": True})
    path = put_count(checkout / "results", SECOND, arms=["none"], gate={"none": True})
    other = checkout / "other"
    put_count(checkout, "other", arms=["netfilter"])
    (path / "manifest.json").unlink()
    for file in ("paths.bin.xz", "blocks.bin.xz", "lines.bin.xz", "symbols.txt.xz"):
        (path / "count/none-1000" / file).write_bytes(
            (other / "count/netfilter-1000" / file).read_bytes()
        )
    facts = json.loads((other / "count/netfilter-1000/facts.json").read_text())
    facts |= {"arm": "none", "hits": {"before": None, "after": None},
              "verify": {"before": {"mode": "none"}, "after": {"mode": "none"}}}  # fmt: skip
    (path / "count/none-1000/facts.json").write_text(json.dumps(facts))
    close(path)
    said = testbed("compare", FIRST, SECOND)
    assert "9,358     9,705     +347" in said.out
    assert "redirect_udp [redirect_nf]: 0, 125 (+125)" in said.out
    assert "more, with --json" in said.out
    (arm,) = json.loads(testbed("compare", FIRST, SECOND, "--json").out)["arms"]
    assert arm["difference"] == sum(two - one for one, two in arm["functions"].values()) == 347


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"qemu": "10.0.2"}, "qemu: 7.2.22 in the first, 10.0.2 in the second"),
        ({"cpu_flags": ["fpu", "fsrm"]}, "cpu flags: sse2 only in the first, fsrm only in the"),
        ({"kernel": None}, "kernel: Linux version 6.1.0-41-amd64"),
        ({"mitigations": {}}, "mitigations: "),
        ({"box": "testbed-0000"}, "box: testbed-3f2a in the first"),
    ],
)
def test_counts_of_unlike_machines_are_refused_with_every_reason(
    testbed: Testbed, checkout: Path, change: dict[str, object], words: str
) -> None:
    put_count(checkout / "results", FIRST, arms=["none"])
    put_count(checkout / "results", SECOND, arms=["none"], identity={**IDENTITY, **change})
    said = testbed("compare", FIRST, SECOND)
    assert (said.status, said.out) == (2, "")
    assert words in said.err
    assert "unlike machines" in said.err


def test_what_was_not_recorded_in_either_is_no_equality(testbed: Testbed, checkout: Path) -> None:
    for name in (FIRST, SECOND):
        put_count(checkout / "results", name, arms=["none"], identity={})
    said = testbed("compare", FIRST, SECOND)
    assert said.status == 2
    assert "cpu flags: not recorded" in said.err


def test_an_arm_that_is_invalid_in_one_of_them_is_left_out(
    testbed: Testbed, checkout: Path
) -> None:
    put_count(checkout / "results", FIRST)
    gate = {**dict.fromkeys(ARMS, True), "xdp": False}
    put_count(checkout / "results", SECOND, gate=gate)
    said = testbed("compare", FIRST, SECOND)
    assert "left out: xdp, 1,000 bytes: INVALID" in said.out
    assert "10,593" not in said.out


def test_counts_without_a_common_arm_are_refused(testbed: Testbed, checkout: Path) -> None:
    put_count(checkout / "results", FIRST, arms=["none"])
    put_count(checkout / "results", SECOND, arms=["xdp"])
    said = testbed("compare", FIRST, SECOND)
    assert said.status == 2
    assert "no arm with the same payload in common" in said.err


def test_a_count_is_not_compared_with_trials(testbed: Testbed, checkout: Path) -> None:
    put_count(checkout / "results", FIRST)
    run = make_run(checkout / "results", RunRecipe(trials=1))
    said = testbed("compare", FIRST, run.name)
    assert said.status == 2
    assert "one of these runs is a count" in said.err


def test_gro_is_part_of_what_counts_are_compared_by(testbed: Testbed, checkout: Path) -> None:
    put_count(checkout / "results", FIRST, arms=["none"])
    put_count(checkout / "results", SECOND, arms=["none"], identity={**IDENTITY, "gro": False})
    said = testbed("compare", FIRST, SECOND)
    assert said.status == 2
    assert "gro: True in the first, False in the second" in said.err
