# SPDX-License-Identifier: Apache-2.0
"""`compare` of counts of two kernels: the terminal, the page, JSON, and what stays refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.analysis.kernels import page, words
from testbed.analysis.kernels.compared import two_kernels
from tests.conftest import Said
from tests.unit.factories.count_runs import put_beside, put_count, with_facts
from tests.unit.factories.other_kernel import FIRST as ONE
from tests.unit.factories.other_kernel import SECOND as TWO
from tests.unit.factories.other_kernel import SOURCES, instead, judged
from tests.unit.factories.run_factory import RunRecipe, make_run

Testbed = Callable[..., Said]
FIRST, SECOND = "20261128T051600Z-aaaaaa", "20261128T061600Z-bbbbbb"


def put(checkout: Path, **changes: object) -> Path:
    put_count(checkout / "results", FIRST, identity=ONE, sources=SOURCES)
    identity = {**TWO, **changes}
    return put_count(checkout / "results", SECOND, identity=identity, sources=SOURCES)


def test_two_kernels_are_set_beside_each_other(testbed: Testbed, checkout: Path) -> None:
    path = put(checkout)
    said = testbed("compare", FIRST, SECOND)
    assert said.status == 0
    lines = said.out.splitlines()
    assert lines[0] == f"Kernel 6.12.9-amd64 ({SECOND}) beside kernel 6.1.0-41-amd64 ({FIRST})"
    assert lines[3].split()[-3:] == ["9,358", "9,358", "0"]
    (hooks,) = (line for line in lines if line.startswith("What a hook adds"))
    assert hooks.split()[-3:] == ["6.1.0-41-amd64", "6.12.9-amd64", "difference"]
    assert "No hook, 1,000 bytes: no function differs" in lines
    assert words.INLINED in lines
    written = path / "derived" / f"kernels-{FIRST}.html"
    assert lines[-1] == str(written)
    text = written.read_text()
    assert "Two kernels beside each other" in text
    assert "Every function executes as many instructions on both kernels." in text
    assert testbed("report", SECOND).status == 0, "the page is no file that was measured"


def test_json(testbed: Testbed, checkout: Path) -> None:
    put(checkout)
    found = json.loads(testbed("compare", FIRST, SECOND, "--json").out)
    assert [one["label"] for one in found["kernels"]] == ["6.1.0-41-amd64", "6.12.9-amd64"]
    assert found["kernels"][1]["facts"]["Its package"].endswith(f"SHA-256 {'77' * 32}")
    assert [one["difference"] for one in found["arms"]] == [0, 0, 0]
    assert len(found["added"]) == 3


def test_more_than_the_kernel_is_refused_with_every_reason(
    testbed: Testbed, checkout: Path
) -> None:
    path = put(checkout, qemu="10.0.2", command_line="quiet x")
    said = testbed("compare", FIRST, SECOND)
    assert (said.status, said.out) == (2, "")
    for words_of in (
        "qemu: 7.2.22 in the first",
        "command line: quiet in",
        "kernel: Linux",
        "box:",
    ):
        assert words_of in said.err
    assert "only the kernel may differ" in said.err
    assert not list(path.glob("derived/kernels-*"))


def test_runs_of_trials_on_two_kernels_have_their_counts_compared(
    testbed: Testbed, checkout: Path
) -> None:
    one, two = (
        make_run(checkout / "results", RunRecipe(trials=1)).rename(checkout / "results" / name)
        for name in (FIRST, SECOND)
    )
    server = json.loads((two / "facts/server-before.json").read_text())
    server["uname"]["release"] = "6.12.9-amd64"
    (two / "facts/server-before.json").write_text(json.dumps(server))
    put_beside(one, identity=ONE, sources=SOURCES)
    put_beside(two, identity=TWO, sources=SOURCES)
    said = testbed("compare", FIRST, SECOND)
    assert said.status == 0, said.err
    assert "CPU times are not compared, only the counts are: server kernel" in said.err
    assert said.out.startswith("Kernel 6.12.9-amd64")
    index = two / "count/count.json"
    facts = json.loads(index.read_text())
    index.write_text(json.dumps({**facts, "identity": {**TWO, "qemu": "10"}}))
    said = testbed("compare", FIRST, SECOND)
    assert said.status == 2
    assert "these two runs are not alike" in said.err


# The words, of functions that differ


@pytest.fixture(scope="module")
def text() -> str:
    found = two_kernels(judged(), judged(instead("netfilter", "none"), identity=TWO))
    assert found is not None
    return words.text(found) + page.render_kernels(found)


def test_the_functions_that_differ_are_bounded_and_the_rest_is_summed(text: str) -> None:
    terminal, document = text.split("<!DOCTYPE html>")
    row = next(line for line in terminal.splitlines() if "redirect_udp [redirect_nf]" in line)
    assert row.split()[-3:] == [words.NOT_THERE, "125", "+125"]
    assert "more, together +3" in terminal
    cells = ("+125", words.NOT_THERE, "125")
    assert "".join(f'<td class="num">{cell}</td>' for cell in cells) in document
    assert "<b>+347</b>" in document


def test_the_sentence_says_which_executes_more_and_that_it_is_no_time(text: str) -> None:
    assert (
        "Without a hook, kernel 6.12.9-amd64 executes 347 instructions more (3.7%) for the typical "
        "packet than kernel 6.1.0-41-amd64."
    ) in text
    assert "A count is not a time." in text


def test_payloads_are_told_apart_where_there_are_several() -> None:
    small = with_facts("none", payload_bytes=211)
    found = two_kernels(judged(small), judged(small, identity=TWO))
    assert found is not None
    several = page.render_kernels(found)
    assert "Payload: 1,000, 211 bytes." in several
    assert "<h3>No hook, 211 bytes</h3>" in several
    assert "for the typical packet of 211 bytes" in words.text(found)


def test_a_terminal_without_unicode() -> None:
    found = two_kernels(judged(instead("netfilter", "none")), judged(identity=TWO))
    assert found is not None
    said = words.text(found, unicode=False)
    assert said.isascii()
    assert "-347" in said
    assert "executes 347 instructions fewer" in said


def test_what_a_kernel_says_of_itself_is_no_markup() -> None:
    evil = {**TWO, "kernel": "Linux version <script>x</script> y", "box": "<b>"}
    found = two_kernels(judged(), judged(identity=evil))
    assert found is not None
    assert "<script>" not in page.render_kernels(found)
