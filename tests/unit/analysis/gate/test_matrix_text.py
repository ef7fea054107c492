# SPDX-License-Identifier: Apache-2.0
"""The gate's matrix in a terminal: it fits, loses no word, and says what is wrong."""

import re
from pathlib import Path

import pytest

from testbed.analysis.gate.files import outcomes_of
from testbed.analysis.gate.matrix import matrix
from testbed.analysis.gate.matrix_text import plain_text
from testbed.analysis.gate.outcomes import GateOutcome
from tests.unit.factories import gate_arms as arms
from tests.unit.factories import gate_stack as stack

Outcomes = dict[str, GateOutcome]
KINDS: dict[str, arms.Arm] = {
    "none": arms.nothing,
    "netfilter": arms.correct,
    "xdp-bounded-csum": arms.bounded_checksum,
    "netfilter-logging": arms.any_address,
    "another-one": arms.without_checksum,
}


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Outcomes:
    """Outcomes of five arms, three of which do other work."""
    folder: Path = tmp_path_factory.mktemp("gate")
    for name, arm in KINDS.items():
        stack.gate(folder, name, arm, direct=name == "none")
    return outcomes_of(folder, list(KINDS))


def some(five: Outcomes, number: int) -> Outcomes:
    """So many arms, with names of their own."""
    given = list(five.items())
    return {f"{given[n % 5][0]}-{n}": given[n % 5][1] for n in range(number)}


@pytest.mark.parametrize("columns", [40, 60, 80, 100])
@pytest.mark.parametrize("number", [1, 3, 5, 9, 31])
def test_it_fits(five: Outcomes, number: int, columns: int) -> None:
    text = plain_text(some(five, number), columns)
    assert max(map(len, text.splitlines())) <= columns


def test_few_arms_have_columns_with_their_names(five: Outcomes) -> None:
    text = plain_text(some(five, 3), 80)
    assert "none-0" in text.splitlines()[0] and "netfilter-1" in text.splitlines()[0]
    assert "514 bytes on" in text
    assert len(text.splitlines()) > len(matrix(some(five, 3))) + 2, "words are wrapped"


@pytest.mark.parametrize("number", [4, 7])
def test_more_arms_have_numbers_and_letters(five: Outcomes, number: int) -> None:
    outcomes = some(five, number)
    names, table, meaning = plain_text(outcomes, 80).split("\n\n")
    assert names.splitlines() == [f"{n:>2} {name}" for n, name in enumerate(outcomes, start=1)]
    heading, _, *rows = table.splitlines()
    assert heading.split()[-number:] == [str(n) for n in range(1, number + 1)]
    assert len(rows) == len(matrix(outcomes)), "a line each"
    means = dict(re.findall(r"^([a-z]+) +(.+(?:\n .+)*)", meaning, re.MULTILINE))
    for row, line in zip(matrix(outcomes), rows, strict=True):
        said = re.split("  +", line.removeprefix(row.label).strip())
        for cell, wrong, shown in zip(row.cells, row.wrong, said, strict=True):
            assert shown.startswith("!") == wrong
            whole = " ".join(means.get(shown.lstrip("!"), shown).split())
            assert whole == " ".join(cell.split())


def test_very_many_arms_have_several_tables(five: Outcomes) -> None:
    _, *tables, _ = plain_text(some(five, 20), 80).split("\n\n")
    numbers = [number for table in tables for number in table.splitlines()[0].split()[5:]]
    assert numbers == [str(n) for n in range(1, 21)]


def test_nothing_is_a_table_without_columns() -> None:
    assert plain_text({}).startswith("frames, and what came out")
