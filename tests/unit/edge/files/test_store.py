# SPDX-License-Identifier: Apache-2.0
"""The run directory: files whole or not at all, the manifest last, names that stay inside."""

import errno
import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.edge.files import store
from testbed.edge.files.store import RunDir, all_runs, find_run
from testbed.model.errors import ExitCode, HostError, RunError


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    """A run that has its plan and one trial's file."""
    made = RunDir.create(tmp_path / "results")
    made.write_json("plan.json", {"schema": 1})
    made.write("raw/01-xdp/client.txt", "Trial 1: Succeed with 1406.42 ms\n")
    return made


def files(run: RunDir) -> dict[str, bytes]:
    found = (p for p in run.path.rglob("*") if p.is_file())
    return {str(p.relative_to(run.path)): p.read_bytes() for p in found}


def test_the_folder_is_named_by_time_and_chance(tmp_path: Path) -> None:
    names = {RunDir.create(tmp_path / "results").path.name for _ in range(5)}
    assert len(names) == 5
    assert all(re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", name) for name in names)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file")
    with pytest.raises(HostError, match="cannot be made: Not a directory"):
        RunDir.create(tmp_path / "results")


def test_text_bytes_and_json(run: RunDir) -> None:
    run.write("a", "ä\n")
    run.write("b", b"\xff\0")
    run.write_json("c/d.json", {"name": "€", "n": [1]})
    assert (run.path / "a").read_bytes() == b"\xc3\xa4\n"
    assert (run.path / "b").read_bytes() == b"\xff\0"
    text = (run.path / "c/d.json").read_text(encoding="utf-8")
    assert text == '{\n "name": "€",\n "n": [\n  1\n ]\n}\n'


@pytest.mark.parametrize(
    "name", ["../x", "/etc/x", "raw/../../x", "..", ".", "", "link/x", "raw/../../../results/x"]
)
def test_a_name_cannot_leave_the_run(run: RunDir, tmp_path: Path, name: str) -> None:
    (run.path / "link").symlink_to(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunError) as caught:
        run.write(name, "text")
    assert caught.value.message == f"{name!r} is not a file of the run {run.path}"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_whole(
    run: RunDir, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = files(run)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(*((os, "fsync", full) if call == "fsync" else (Path, "replace", full)))
    with pytest.raises(HostError) as caught:
        run.write("plan.json", "x" * 100)
    path = run.path / "plan.json"
    assert caught.value.message == f"{path} cannot be written: No space left on device"
    assert caught.value.hint == (
        "the trials before this one are kept; free some room and run again"
    )
    assert caught.value.exit_code is ExitCode.HOST
    assert before.items() <= files(run).items()
    assert set(files(run)) - set(before) <= {"plan.json.new"}


def test_a_disk_that_fills_up_at_the_end_leaves_no_manifest(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError):
        run.close({"schema": 1})
    assert not (run.path / "manifest.json").exists()


def test_data_is_on_the_disk_before_it_gets_its_name(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), sync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda a, b: (order.append("name"), replace(a, b))[1])
    run.write("x", "y")
    assert order == ["fsync", "name"]


def test_the_manifest_is_last_and_names_every_file(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    (run.path / "half.json.new").write_text("left by a write that was cut off")
    written: list[str] = []
    write = RunDir.write
    monkeypatch.setattr(
        RunDir, "write", lambda self, name, data: (written.append(name), write(self, name, data))[1]
    )
    expected = {
        name: hashlib.sha256(data).hexdigest()
        for name, data in files(run).items()
        if not name.endswith(".new")
    }
    run.close({"schema": 1, "status": "complete"})
    assert written == ["manifest.json"]
    manifest = json.loads((run.path / "manifest.json").read_text())
    assert manifest == {"schema": 1, "status": "complete", "files": expected}
    assert sorted(expected) == ["plan.json", "raw/01-xdp/client.txt"]


def test_pages_made_before_the_end_are_not_vouched_for(run: RunDir) -> None:
    """`report` during `bench`: what it wrote is written again afterwards."""
    for name in (
        "report.html", "report.md", "report.pdf", "derived/findings.json", "derived/mpstat/a.txt",
        "plots/ledger.svg", "testbed.log", "manifest.json",
    ):  # fmt: skip
        run.write(name, "derived")
    run.write("facts/host.json", "{}")
    run.write("notes.txt", "measured, for all that anybody knows")
    run.write("counts/x.json", "{}")
    assert sorted(run.checksums()) == [
        "counts/x.json", "facts/host.json", "notes.txt", "plan.json", "raw/01-xdp/client.txt",
    ]  # fmt: skip


def test_latest_moves_in_one_step(run: RunDir) -> None:
    results = run.path.parent
    run.point_latest()
    second = RunDir.create(results)
    second.write_json("plan.json", {})
    second.point_latest()
    assert (results / "latest").readlink() == Path(second.path.name)
    assert not [p for p in results.iterdir() if p.name.startswith(".latest")]


def test_runs_are_found_by_name_by_path_and_as_the_latest(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = run.path.parent
    run.point_latest()
    monkeypatch.chdir(results.parent)
    for name in (None, run.path.name, str(run.path), f"results/{run.path.name}", "latest"):
        assert find_run(results, name) == run.path
    assert all_runs(results) == [run.path]


def test_all_runs_is_oldest_first_and_leaves_the_rest_out(tmp_path: Path) -> None:
    names = ["20250101T000000Z-ffffff", "20240101T000000Z-000000", "20250101T000000Z-000000"]
    for name in names:
        RunDir(tmp_path / name).write_json("plan.json", {})
    (tmp_path / "sample").mkdir()
    (tmp_path / "README.md").write_text("")
    (tmp_path / "latest").symlink_to(names[0])
    assert [path.name for path in all_runs(tmp_path)] == sorted(names)
    assert all_runs(tmp_path / "none") == []


def test_no_run_yet(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        find_run(tmp_path / "results", None)
    assert caught.value.message == f"no run in {tmp_path / 'results'} yet"
    assert caught.value.hint == "`testbed bench --both` makes one"
    with pytest.raises(RunError) as caught:
        find_run(tmp_path / "results", "x")
    assert caught.value.hint == "`testbed bench --both` makes one"


def test_an_unknown_run_names_the_last_ones(tmp_path: Path) -> None:
    for number in range(1, 6):
        RunDir(tmp_path / f"2025010{number}T000000Z-000000").write_json("plan.json", {})
    with pytest.raises(RunError) as caught:
        find_run(tmp_path, "2025")
    assert caught.value.message == "there is no run '2025'"
    assert caught.value.hint == (
        "the last ones: 20250103T000000Z-000000, 20250104T000000Z-000000, 20250105T000000Z-000000"
    )
    assert caught.value.exit_code is ExitCode.USAGE


def test_latest_that_points_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("removed")
    with pytest.raises(RunError, match=r"no run in .* yet"):
        find_run(tmp_path, None)


@given(st.text(max_size=40))
def test_any_name_is_found_or_refused(name: str) -> None:
    with pytest.raises(RunError):
        find_run(Path("/no/such/results"), f"no-such-{name}")


def test_a_write_never_shows_half_a_file(run: RunDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the moment when the data reaches the disk, the name still has the old content."""
    seen: list[bytes] = []
    sync = os.fsync
    path = run.path / "plan.json"
    monkeypatch.setattr(store.os, "fsync", lambda fd: (seen.append(path.read_bytes()), sync(fd))[1])
    old = path.read_bytes()
    run.write("plan.json", "new")
    assert seen == [old]
    assert path.read_bytes() == b"new"
