# SPDX-License-Identifier: Apache-2.0
"""Any number of a recorded run, made into one that nothing can have counted: told, never used.

The run is the sample in the repository, which real machines left. The property: no traceback, and
either the file is refused with its name, or nothing was concluded from the number that was changed.
"""

import re
import shutil
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.analysis.gate.files import outcomes_of
from testbed.analysis.measures.cost import cost_of
from testbed.analysis.page.judged import Judged, judge
from testbed.analysis.page.report import render_report
from testbed.analysis.reading.run import load_run
from testbed.model.errors import ParseError, RunError
from testbed.model.json_node import DEEPEST, parse_json
from testbed.model.numbers import LARGEST, decimal, whole
from testbed.model.run_files import gate_record
from tests import PROJECT

pytestmark = pytest.mark.usefixtures("sketched")

SAMPLE = PROJECT / "results/sample"
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.])")
NEVER = (
    "1e999",
    "-1e999",
    "NaN",
    "Infinity",
    "9" * 400,
    str(LARGEST + 1),
    '"\\ud800"',
    "[" * 100_000,
)
"""Numbers that no JSON of a run may hold, wherever they stand."""
NOT_THERE = ("-5", "true", "false", "null", "-0.25", '"5"', "[[]]")
"""Values that are no count and no size."""
GATE = Path(gate_record(SAMPLE, "xdp") or "")
EVERY = NEVER + NOT_THERE
TEXT = re.compile(r'"(?:[^"\\]|\\.)*"')
quick = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("numbers") / "run"
    shutil.copytree(SAMPLE, path)
    # Judging the gate takes most of the time; it has a test of its own.
    shutil.rmtree(path / GATE.parts[0])
    return path


FILES = sorted(
    str(path.relative_to(SAMPLE))
    for path in SAMPLE.rglob("*.json*")
    if path.suffix in (".json", ".jsonl")
    and path.parts[len(SAMPLE.parts)] not in ("derived", GATE.parts[0])
)


def numbers_of(text: str, *, in_texts: bool) -> list[re.Match[str]]:
    """Where the numbers are; with `in_texts` also those of the kernel's texts and of names."""
    found = list(NUMBER.finditer(text))
    texts = [match.span() for match in TEXT.finditer(text)]
    starts = [start for start, _ in texts]

    def in_a_text(place: int) -> bool:
        index = bisect_right(starts, place) - 1
        return index >= 0 and place < texts[index][1]

    return [match for match in found if in_texts or not in_a_text(match.start())]


@contextmanager
def one_number(
    root: Path, name: str, share: float, value: str, *, in_texts: bool = False
) -> Iterator[bool]:
    """One of the numbers in a file is another value; yields whether there was any."""
    path = root / name
    before = path.read_text(encoding="utf-8")
    places = numbers_of(before, in_texts=in_texts)
    if places:
        place = places[int(share * len(places))]
        changed = before[: place.start()] + value + before[place.end() :]
        path.write_text(changed, encoding="utf-8")
    try:
        yield bool(places)
    finally:
        path.write_text(before, encoding="utf-8")


def costs(judged: Judged) -> dict[str, float | None]:
    found = {trial.folder: cost_of(trial) for trial in judged.run.trials}
    return {folder: cost.cost_us if cost else None for folder, cost in found.items()}


@pytest.fixture(scope="module")
def untouched(copy: Path) -> dict[str, float | None]:
    """The costs of the whole run."""
    return costs(judge(load_run(copy)))


@settings(quick, max_examples=50)
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.sampled_from(NEVER))
def test_a_value_that_json_may_not_hold(copy: Path, name: str, share: float, value: str) -> None:
    with one_number(copy, name, share, value) as is_there:
        try:
            judged = judge(load_run(copy))
        except RunError as error:
            assert name in error.message or not name.startswith("raw/")
            return
    if is_there:
        assert not any(comparison.ratio for comparison in judged.comparisons)


@settings(quick, max_examples=50)
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.sampled_from(EVERY))
def test_a_value_that_is_no_count(
    copy: Path, untouched: dict[str, float | None], name: str, share: float, value: str
) -> None:
    with one_number(copy, name, share, value, in_texts=True):
        try:
            judged = judge(load_run(copy))
        except RunError:
            return
        changed = costs(judged)
    of_trial = "/".join(name.split("/")[:2])
    for folder, cost in changed.items():
        assert cost == untouched[folder] or (folder == of_trial and cost is None)
    if changed != untouched:
        assert not any(comparison.ratio for comparison in judged.comparisons)


@settings(quick, max_examples=4)
@given(st.sampled_from(FILES), st.floats(0, 1, exclude_max=True), st.sampled_from(EVERY))
def test_the_page_can_be_rendered(copy: Path, name: str, share: float, value: str) -> None:
    with one_number(copy, name, share, value, in_texts=True):
        try:
            run = load_run(copy)
        except RunError:
            return
        page = render_report(run)["report.html"]
    assert isinstance(page, str)
    assert "INVALID" in page


@settings(quick, max_examples=15)
@given(st.floats(0, 1, exclude_max=True), st.sampled_from(EVERY))
def test_a_number_of_the_gate(tmp_path: Path, share: float, value: str) -> None:
    if not (tmp_path / GATE).exists():
        shutil.copytree(SAMPLE / GATE.parent, tmp_path / GATE.parent)
    with one_number(tmp_path, str(GATE), share, value):
        try:
            outcomes_of(tmp_path, ["xdp"])
        except RunError as error:
            assert error.message.startswith(str(GATE))
            return
    assert value in NOT_THERE  # and nobody reads what stood there


# --- one value at a time --------------------------------------------------------------------------


@pytest.mark.parametrize("text", [*NEVER, "[1e999]", '{"a": [{"b": -1e400}]}'])
def test_refused_with_its_place(text: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_json(text, "f.json")
    assert caught.value.message.startswith("f.json: ")
    assert len(caught.value.message) < 200


def test_the_place_is_named() -> None:
    for text, said in {
        '{"a": [{"b": 1e999}]}': "a[0].b: 1e999 is larger than anything that is counted here",
        '{"a": [0, NaN]}': "a[1]: NaN is not a number in JSON",
        '{"a": {"b": "\\ud800x"}}': "a.b: '\\ud800x' holds half a character (a lone surrogate)",
    }.items():
        with pytest.raises(ParseError, match=re.escape(f"f: {said}")):
            parse_json(text, "f")
    assert parse_json('{"a": "\\ud83d\\ude00"}', "f").text("a") == "\U0001f600"


def test_nesting_is_bounded() -> None:
    assert parse_json("[" * DEEPEST + "]" * DEEPEST, "f").items()
    with pytest.raises(ParseError, match="more than 64 deep"):
        parse_json("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "f")


@pytest.mark.parametrize("value", [-5, -0.5, True, "5", [], 2.5, LARGEST * 10, float("nan")])
def test_no_count(value: Any) -> None:
    node = parse_json('{"n": 0}', "f")
    node.value["n"] = value
    with pytest.raises(ParseError, match=r"^f: n: "):
        node.integer("n")
    with pytest.raises(ParseError, match=r"^f: n: "):
        node.optional_integer("n")


@pytest.mark.parametrize(
    "text", ["-5", "+5", "5.0", "1e3", "1_000", "\u0665", "nan", "", "9" * 400]
)
def test_no_count_in_a_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a count|larger than"):
        whole(text)


@pytest.mark.parametrize("text", ["-5", "nan", "inf", "1e3", "1_0", "", "9" * 400])
def test_no_size_in_a_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"not a number|larger than"):
        decimal(text)


@given(st.integers(0, LARGEST))
def test_every_count_is_read(count: int) -> None:
    assert whole(str(count)) == count
    assert parse_json(f'{{"n": {count}}}', "f").integer("n") == count
