# SPDX-License-Identifier: Apache-2.0
"""The starter builds and redirects nothing; its solution does the reference's work, to the byte."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.handout.exercises import HOLE, Exercise, read_exercises, split
from testbed.model import arm
from testbed.model.config import NetworkConfig
from testbed.model.errors import ConfigError
from testbed.packets.case import Case
from testbed.packets.reference import packet_of, redirected
from tests.unit.arms.test_arm_sources import need, need_kernel_headers
from tests.unit.factories.starter_stubs import PROJECT, compiled, run
from tests.unit.packets.test_cases import NETWORK, NETWORKS, crafted

STARTER = PROJECT / "guest/starter"
EXERCISES = {exercise.name: exercise for exercise in read_exercises(STARTER)}
MODULE, PROGRAM = "my-netfilter", "my-xdp"
SEEN_BEFORE_IP = {"wrong IP checksum"}
"""What IP drops; whether a hook sees it before depends on where it sits."""
BOTH = pytest.mark.parametrize("name", [MODULE, PROGRAM])
Compile = Callable[[str, str], ctypes.CDLL]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """A function that compiles a source of an exercise for user space."""
    parent = tmp_path_factory.mktemp("starter")
    numbers = iter(range(1000))
    return lambda name, source: compiled(name, source, parent / str(next(numbers)))


def seen(name: str, frame: bytes) -> bytes | None:
    """Return what the hook is given of a frame: XDP the frame, the module the packet in it."""
    if name == PROGRAM:
        return frame.ljust(60, b"\0")
    return packet_of(frame) if frame[12:14] == b"\x08\0" else None


def is_to_rewrite(case: Case) -> bool:
    return case.fate == "rewritten" or case.title in SEEN_BEFORE_IP


def outcomes(library: ctypes.CDLL, name: str, network: NetworkConfig) -> dict[str, tuple[int, int]]:
    """Return by group how many frames came out right, of how many."""
    found: dict[str, tuple[int, int]] = {}
    for case in crafted(network):
        for frame in case.frames:
            given = seen(name, frame)
            if given is None:
                continue
            skip = 2 if name == PROGRAM else 0
            got, hits = run(library, given, network, skip=skip)
            wanted = given
            if is_to_rewrite(case):
                start = 14 if name == PROGRAM else 0
                packet = packet_of(frame)
                check = packet[10:12]
                packet = redirected(packet, network)
                if case.title in SEEN_BEFORE_IP:  # an update keeps a wrong checksum wrong
                    updated = got[start + 10 : start + 12] not in (check, packet[10:12])
                    same = got[start + 16 : start + 20] == packet[16:20]
                    wanted = got if updated and same else b""
                else:
                    wanted = given[:start] + packet + given[start + len(packet) :]
            right = got == wanted and hits == is_to_rewrite(case)
            before, total = found.get(case.group, (0, 0))
            found[case.group] = before + right, total + 1
    return found


@BOTH
@NETWORKS
def test_the_solution_does_the_references_work(
    build: Compile, name: str, network: NetworkConfig
) -> None:
    exercise = EXERCISES[name]
    found = outcomes(build(name, exercise.solved[exercise.source]), name, network)
    assert {group: right for group, (right, total) in found.items() if right != total} == {}


@BOTH
def test_the_starter_changes_nothing_and_counts_nothing(build: Compile, name: str) -> None:
    exercise = EXERCISES[name]
    library = build(name, exercise.files[exercise.source])
    for case in crafted():
        for frame in case.frames:
            given = seen(name, frame)
            if given is not None:
                skip = 2 if name == PROGRAM else 0
                assert run(library, given, NETWORK, skip=skip) == (given, 0)


@pytest.mark.parametrize(("name", "hole"), [(n, h) for n in (MODULE, PROGRAM) for h in (1, 2, 3)])
def test_no_hole_can_be_left_open(build: Compile, name: str, hole: int) -> None:
    """Each by itself makes the frames to rewrite come out wrong: no hole is there for show."""
    exercise = EXERCISES[name]
    library = build(name, with_only_one_hole(exercise, hole))
    found = outcomes(library, name, NETWORK)
    right, total = found["length-random"]
    assert right < total / 2
    assert found["tcp"][0] == found["tcp"][1]


def with_only_one_hole(exercise: Exercise, number: int) -> str:
    """Return the solution with one hole left open."""
    lines, within = [], False
    for line in (STARTER / exercise.name / exercise.source).read_text().splitlines(keepends=True):
        if line.strip() == f"/* SOLUTION {number} */":
            within = True
        if not within and line.strip()[:11] not in ("/* SOLUTION", "/* END 1 */", "/* END 2 */",
                                                   "/* END 3 */"):  # fmt: skip
            lines.append(line)
        if line.strip() == f"/* END {number} */":
            within = False
    return "".join(lines)


@BOTH
def test_starter_and_solution_are_one_source(name: str) -> None:
    exercise = EXERCISES[name]
    assert [hole.number for hole in exercise.holes] == [1, 2, 3]
    handed_out, solved = exercise.files[exercise.source], exercise.solved[exercise.source]
    assert handed_out.count(HOLE) == 3
    assert HOLE not in solved
    assert not any("SOLUTION" in text or "/* END" in text for text in (handed_out, solved))
    for hole in exercise.holes:
        assert hole.solution.strip()
        for line in filter(None, map(str.strip, hole.solution.splitlines())):
            assert line in solved
        assert hole.solution.splitlines()[0].strip() not in handed_out
    assert set(exercise.files) == {"Makefile", "arm.toml", exercise.source}


@BOTH
def test_the_exercise_is_an_arm_of_its_own_that_is_compared_with_the_fair_ones(name: str) -> None:
    mine = arm.load(STARTER / name)
    fair = arm.load(PROJECT / "guest/arms" / {MODULE: "netfilter", PROGRAM: "xdp"}[name])
    assert mine.name not in arm.known(PROJECT / "guest/arms")
    for part in ("semantic_class", "hook", "traffic", "expect", "exhibit"):
        assert getattr(mine, part) == getattr(fair, part)
    # The arm without a hook knows a module that was left by the beginning of its name.
    assert "redirect_nf" in str(mine.commands.load) or mine.hook == "xdp"


@BOTH
@pytest.mark.parametrize("solved", [False, True])
def test_it_builds_without_a_warning(name: str, solved: bool, tmp_path: Path) -> None:
    need("make", "make")
    need("gcc", "gcc libc6-dev")
    need("clang", "clang")
    need("bpftool", "bpftool")
    exercise = EXERCISES[name]
    shutil.copytree(PROJECT / "guest/arms/include", tmp_path / "include")
    folder = tmp_path / name
    folder.mkdir()
    for file, text in (exercise.solved if solved else exercise.files).items():
        (folder / file).write_text(text)
    kernel = [f"KERNEL={need_kernel_headers()}"] if name == MODULE else []
    done = subprocess.run(
        ["make", *kernel], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning:" not in done.stdout + done.stderr


def test_both_are_in_the_kernels_style(tmp_path: Path) -> None:
    tool = need("clang-format", "clang-format")
    files = []
    for exercise in EXERCISES.values():
        for kind, texts in (("starter", exercise.files), ("solved", exercise.solved)):
            path = tmp_path / kind / exercise.name / exercise.source
            path.parent.mkdir(parents=True)
            path.write_text(texts[exercise.source])
            files.append(str(path))
    style = f"--style=file:{PROJECT / 'guest/arms/.clang-format'}"
    done = subprocess.run(
        [tool, style, "--dry-run", "-Werror", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a\n/* SOLUTION 1 */\nb\n", "SOLUTION 1 has no END"),
        ("a\n/* END 1 */\n", "line 2: a marker without its other half"),
        ("/* SOLUTION 1 */\n/* END 2 */\n", "line 2: a marker without its other half"),
        ("/* SOLUTION 1 */\n/* SOLUTION 2 */\n", "line 2: a marker without its other half"),
        ("/* SOLUTION 2 */\n/* END 2 */\n", "the holes are not numbered 1, 2, 3 …"),
    ],
)
def test_a_broken_marker_is_named_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        split(text, Path("x.c"))
    assert caught.value.message.removeprefix("x.c").lstrip(":, ") == said
