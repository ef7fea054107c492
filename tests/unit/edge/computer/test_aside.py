# SPDX-License-Identifier: Apache-2.0
"""Work in a copy of the process: the same answers and errors as here, and nothing left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import pytest

from testbed.edge.computer import aside
from testbed.edge.computer.aside import Aside, can_fork, shared
from testbed.model.errors import UsageError

HERE = os.getpid()


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies are made, whatever this computer and the threads of the tests' own runner."""
    monkeypatch.setattr(aside, "can_fork", lambda: True)


def where(question: Any) -> tuple[int, Any]:
    return os.getpid(), question


OTHERS: set[str] = set()
"""Children that an earlier test, in this process, has left."""


def children() -> set[str]:
    tasks = Path("/proc/self/task").iterdir()
    return {pid for task in tasks for pid in (task / "children").read_text().split()}


@pytest.fixture(autouse=True)
def _children_of_others() -> None:
    OTHERS.clear()
    OTHERS.update(children())


def no_children() -> bool:
    return children() <= OTHERS


@pytest.mark.usefixtures("two_cores")
def test_the_answer_comes_from_a_copy_that_is_gone_afterwards() -> None:
    with Aside(where) as other:
        other.ask({"size": b"x" * 5_000_000})
        process, question = other.answer()
    assert process != os.getpid()
    assert question == {"size": b"x" * 5_000_000}
    with pytest.raises(ChildProcessError):
        os.waitpid(process, 0)


@pytest.mark.usefixtures("two_cores")
def test_preparing_goes_on_beside_whoever_asks(tmp_path: Path) -> None:
    with Aside(where, prepare=(tmp_path / "ready").touch) as other:
        while not (tmp_path / "ready").exists():
            time.sleep(0.01)
        other.ask(1)
        assert other.answer()[1] == 1


def test_one_core_or_another_thread_and_all_is_done_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    assert can_fork()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1})
    assert not can_fork()
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not can_fork()
    with Aside(where) as other:
        other.ask(2)
        assert other.answer() == (os.getpid(), 2)


@pytest.mark.usefixtures("two_cores")
def test_an_error_is_the_one_that_there_would_be_without_a_copy() -> None:
    def refuse(_: object) -> NoReturn:
        raise UsageError("the template is broken", hint="correct it")

    with Aside(refuse) as other:
        other.ask(None)
        with pytest.raises(UsageError, match="the template is broken") as caught:
            other.answer()
    assert caught.value.hint == "correct it"
    assert caught.traceback[-1].name == "refuse"


def die(_: object) -> int:
    if os.getpid() != HERE:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def deep(levels: int) -> list[Any]:
    found: list[Any] = []
    for _ in range(levels):
        found = [found]
    return found


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    ("work", "question"),
    [
        (die, None),
        (lambda _: lambda: None, None),
        (len, deep(100_000)),
    ],
    ids=["copy killed", "answer that cannot be sent", "question that cannot be sent"],
)
def test_what_a_copy_cannot_do_is_done_here(work: Callable[[Any], Any], question: Any) -> None:
    with Aside(work) as other:
        other.ask(question)
        assert other.answer()
    assert no_children()


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("asked", [True, False])
def test_a_copy_ends_with_its_context_whatever_it_is_at(asked: bool) -> None:
    start = time.monotonic()
    with (
        pytest.raises(ZeroDivisionError),
        Aside(time.sleep, prepare=tuple if asked else partial(time.sleep, 60)) as other,
    ):
        if asked:
            other.ask(60)
        raise ZeroDivisionError
    assert time.monotonic() - start < 20
    assert no_children()


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("count", range(4))
def test_shared_work_comes_back_in_order(count: int) -> None:
    found = shared([partial(where, number) for number in range(count)])
    assert [number for _, number in found] == list(range(count))
    assert all((process == os.getpid()) == (number % 2 == 0) for process, number in found)


INTERRUPTED = """
import os, pathlib, signal, sys, time
from testbed.edge.computer import aside
from testbed.model.errors import Interrupted

def interrupt(*_):
    raise Interrupted

def work(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    with aside.Aside(deeper) as other:
        other.ask(folder)
        other.answer()

def deeper(folder):
    pathlib.Path(folder, str(os.getpid())).touch()
    time.sleep(60)

aside.can_fork = lambda: True
signal.signal(signal.SIGTERM, interrupt)
try:
    with aside.Aside(work) as other:
        other.ask(sys.argv[1])
        other.answer()
except Interrupted:
    print("interrupted", flush=True)
"""


def test_an_interrupted_command_says_so_once_and_leaves_no_copy(tmp_path: Path) -> None:
    """The copy has a copy of its own, as that of a report."""
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, tmp_path], stdout=subprocess.PIPE, text=True
    ) as process:
        while len(list(tmp_path.iterdir())) < 2:
            time.sleep(0.01)
        process.terminate()
        out, _ = process.communicate(timeout=20)
    assert out == "interrupted\n"
    for copy in tmp_path.iterdir():
        with pytest.raises(ProcessLookupError):
            os.kill(int(copy.name), 0)
