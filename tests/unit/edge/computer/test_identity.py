# SPDX-License-Identifier: Apache-2.0
"""Machines stay with their checkout when it is moved, and never go to a copy of it."""

import shutil
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.computer.identity import CARRIED, CLAIM, carried, project_id
from testbed.lab.machines.project import Project


@pytest.fixture
def first(tmp_path: Path) -> Path:
    """A checkout that has no machines yet."""
    folder = tmp_path / "first"
    folder.mkdir()
    return folder


def up(account: Account, checkout: Path) -> str:
    """Claim machines as `up` does; return their name."""
    project = Project(account, checkout)
    project.claim()
    return project.path.name


def copied(source: Path, target: Path) -> Path:
    return Path(shutil.copytree(source, target))


def test_its_name_stays(account: Account, first: Path) -> None:
    before = account.project_id(first)
    assert up(account, first) == before == account.project_id(first) == carried(first)
    assert account.project_id(first / "../first") == before


def test_a_moved_checkout_keeps_its_machines_and_says_so_once(
    account: Account, first: Path
) -> None:
    name = up(account, first)
    moved = first.rename(first.with_name("elsewhere"))
    assert account.project_id(moved) == name
    project = Project(account, moved)
    assert project.claim() == first
    assert project.claim() is None
    assert (account.projects_dir / name / CLAIM).read_text() == f"{moved}\n"


def test_a_copy_has_machines_of_its_own(account: Account, first: Path) -> None:
    name = up(account, first)
    copy = copied(first, first.with_name("copy"))
    other = account.project_id(copy)
    assert other != name
    assert up(account, copy) == other == account.project_id(copy)
    assert account.project_id(first) == name
    shutil.rmtree(first)  # what it had is an orphan now, and the copy's stay the copy's
    assert account.project_id(copy) == other


def test_a_copy_in_the_place_of_what_was_moved(account: Account, first: Path) -> None:
    name = up(account, first)
    moved = first.rename(first.with_name("elsewhere"))
    back = copied(moved, first)
    assert account.project_id(back) != name == account.project_id(moved)
    up(account, back)
    assert account.project_id(moved) == name


def test_a_new_one_in_the_place_of_what_was_moved(account: Account, first: Path) -> None:
    name = up(account, first)
    moved = first.rename(first.with_name("elsewhere"))
    up(account, moved)
    first.mkdir()
    other = up(account, first)
    assert other != name
    assert (account.project_id(first), account.project_id(moved)) == (other, name)


def test_a_new_one_in_the_place_of_a_deleted_one_goes_on_with_its_machines(
    account: Account, first: Path
) -> None:
    name = up(account, first)
    shutil.rmtree(first)
    first.mkdir()
    assert account.project_id(first) == name


@pytest.mark.parametrize(
    "text", ["", "../../etc 1\n", "ABCDEF {}\n", "abcdef\n", "abcdef x\n", "abcdef {}\nmore\n", "é"]
)
def test_a_name_that_is_none(first: Path, text: str) -> None:
    (first / CARRIED).parent.mkdir()
    (first / CARRIED).write_bytes(text.format(first.stat().st_ino).encode("latin-1"))
    assert carried(first) is None
    assert project_id(first, Path("/nowhere")) not in ("abcdef", "ABCDEF")
