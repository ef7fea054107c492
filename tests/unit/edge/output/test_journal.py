# SPDX-License-Identifier: Apache-2.0
"""The log: every word and every command, in order, with times and without secrets."""

import json
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed import verbs
from testbed.analysis.reading.run import load_run
from testbed.edge.computer import host
from testbed.edge.output import journal
from testbed.model.errors import GuestError, HostError
from tests.unit.factories.fakes import LocalShell, World, guest
from tests.unit.factories.run_factory import make_run

pytestmark = pytest.mark.usefixtures("sketched")

Testbed = Callable[..., Any]
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z  ")
XDP = ("--xdp", "--trials", "2", "--seed", "7")


def lines(path: Path) -> list[str]:
    """Return what a log says, without the times, which every line must have."""
    written = path.read_text(encoding="utf-8").splitlines()
    assert all(STAMP.match(line) for line in written)
    return [STAMP.sub("", line, count=1) for line in written]


def test_a_run_has_its_log_from_the_first_word_to_the_last(
    bench_line: Testbed, checkout: Path
) -> None:
    said = bench_line(World(), *XDP)
    assert (said.status, said.err) == (0, ""), "-q is about stderr alone"
    log = lines(checkout / "results/latest/testbed.log")
    assert log[0] == "$ testbed -q bench --xdp --trials 2 --seed 7"
    assert "… sources, addresses, arms" in log
    done = next(n for n, line in enumerate(log) if line.startswith("✓ sources, addresses, arms ("))
    assert any(line.startswith("trial 4/4  block 2 ") for line in log[done:])
    commands = [line for line in log if line.startswith("+ ")]
    assert any(re.match(r"\+ testbed ssh server .*xdp", line) for line in commands)
    assert any(line.startswith("+ testbed ssh client python3 /opt/") for line in commands)


def test_the_log_is_no_data(bench_line: Testbed, checkout: Path) -> None:
    bench_line(World(), *XDP)
    run = (checkout / "results/latest").resolve()
    assert "testbed.log" not in json.loads((run / "manifest.json").read_text())["files"]
    (run / "testbed.log").write_text("changed by hand\n")
    assert load_run(run).edited == ()
    (run / "testbed.log").unlink()
    assert load_run(run).edited == ()


def test_a_log_makes_no_difference_to_a_report(testbed: Testbed, checkout: Path) -> None:
    run = make_run(checkout / "results")

    def rendered() -> dict[str, bytes]:
        assert testbed("-q", "report", run.name).status == 0
        files = (path for path in run.rglob("*") if path.is_file() and path.name != "testbed.log")
        return {str(path): path.read_bytes() for path in files}

    before = rendered()
    (run / "testbed.log").write_text("said\n")
    assert rendered() == before
    assert (run / "testbed.log").read_text() == "said\n"


def test_a_log_ends_with_what_ended_the_command(bench_line: Testbed, checkout: Path) -> None:
    rehearsal = World()
    bench_line(rehearsal, *XDP)
    last = [step for step in rehearsal.steps if step.line.startswith("<testbed-mpstat>")][-1]
    said = bench_line(World(rehearsal.fault_at(last, "lost")), *XDP)
    assert said.status == 5
    log, err = lines(checkout / "results/latest/testbed.log"), said.err.splitlines()
    assert log[-len(err) :] == err


def test_a_run_that_goes_on_goes_on_in_its_log(bench_line: Testbed, checkout: Path) -> None:
    rehearsal = World()
    bench_line(rehearsal, *XDP)
    last = [step for step in rehearsal.steps if step.line.startswith("<testbed-mpstat>")][-1]
    bench_line(World(rehearsal.fault_at(last, "lost")), *XDP)
    assert bench_line(World(), "--resume", "latest").status == 0
    log = lines(checkout / "results/latest/testbed.log")
    begun = [line for line in log if line.startswith("$ ")]
    assert begun == [
        "$ testbed -q bench --xdp --trials 2 --seed 7", "$ testbed -q bench --resume latest",
    ]  # fmt: skip


def test_any_command_has_a_log_where_it_is_asked_for(testbed: Testbed, tmp_path: Path) -> None:
    log = tmp_path / "my log"
    said = testbed("--log", str(log), "ssh", "gateway")
    assert lines(log) == [f"$ testbed --log '{log}' ssh gateway", *said.err.splitlines()]
    testbed("--log", str(log), "status")
    assert lines(log)[-1] == f"$ testbed --log '{log}' status"
    said = testbed("--log", str(tmp_path), "status")
    assert (said.status, said.err) == (
        3, f"testbed: {tmp_path}, the log, cannot be written: Is a directory\n"
        "  → give another file: `testbed --log FILE …`\n",
    )  # fmt: skip


def test_a_log_goes_with_resuming(bench_line: Testbed, testbed: Testbed, tmp_path: Path) -> None:
    said = testbed("--log", str(tmp_path / "log"), "--verbose", "bench", "--resume", "latest")
    assert "no run in" in said.err


def test_a_bug_is_in_the_log_with_its_place(
    testbed: Testbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "status", lambda *_, **__: {}["nothing"])
    testbed("--log", str(tmp_path / "log"), "status")
    log = "\n".join(lines(tmp_path / "log"))
    assert "Traceback" in log
    assert "a bug of testbed's own: KeyError('nothing')" in log


def test_a_full_disk_ends_nothing(testbed: Testbed) -> None:
    said = testbed("--log", "/dev/full", "status")
    assert (said.status, said.err) == (0, "")


def test_no_login_of_a_proxy_and_no_control_character(tmp_path: Path) -> None:
    journal.begin(["testbed"], verbose=False, log=tmp_path / "log")
    journal.on_host(["env", "http_proxy=http://me:s3cret@proxy:3128", "apt-get", "update"])
    journal.note("a\x1b[2Jb\n\u202ec")
    assert lines(tmp_path / "log") == [
        "$ testbed", "+ env http_proxy=http://***@proxy:3128 apt-get update", "a�[2Jb", "�c",
    ]  # fmt: skip


def test_an_error_has_neither_of_them(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise GuestError("no answer", detail="\x1b]0;title\x07 http://me:s3cret@proxy")

    monkeypatch.setattr(verbs, "status", fail)
    said = testbed("status").err
    assert said.startswith("�]0;title� http://***@proxy\ntestbed: no answer\n")
    monkeypatch.setattr(verbs, "status", lambda *_, **__: {}["http://me:s3cret@proxy"])
    assert "s3cret" not in testbed("status").err + (checkout / "testbed-bug.txt").read_text()


def test_the_logs_verb_shows_the_latest_run_too(
    bench_line: Testbed, testbed: Testbed, checkout: Path
) -> None:
    assert "testbed.log" not in testbed("logs").out
    bench_line(World(), *XDP)
    run = (checkout / "results/latest").resolve()
    said = testbed("logs").out
    assert f"==> {run / 'testbed.log'}\n" in said
    assert said.splitlines()[-1] == (run / "testbed.log").read_text().splitlines()[-1]


# Commands as they can be typed


def test_verbose_shows_commands_on_both_sides(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def work(*_: object, **__: object) -> None:
        host.run(["true", "a b"])
        host.run(["true"], cwd=tmp_path)
        guest(LocalShell(tmp_path)).run(["echo", "a b"], cwd="/")

    monkeypatch.setattr(verbs, "status", work)
    assert testbed("status").err == ""
    assert testbed("-v", "status").err == (
        f"+ true 'a b'\n+ (cd {tmp_path} && true)\n"
        "+ testbed ssh server sh -c 'cd / && echo '\"'\"'a b'\"'\"''\n"
    )


WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs", "Cc"]),
    max_size=12,
)


@settings(deadline=None)  # each example runs a shell
@given(st.lists(WORDS, max_size=4), st.booleans())
def test_what_is_shown_does_the_same_when_it_is_typed(given: list[str], operators: bool) -> None:
    """`testbed ssh` sends its words, quoted, to the guest's shell."""
    line = shlex.join(["printf", r"%s\0", *given])
    line += " && echo $HOME | cat" if operators else ""
    with pytest.MonkeyPatch.context() as patch:
        shown: list[str] = []
        patch.setattr(journal, "_command", shown.append)
        journal.on_guest("server", line)
    typed = shown[0].removeprefix("testbed ssh server ")
    words = shlex.split(typed)
    sent = [subprocess.run(["sh", "-c", one], capture_output=True, check=True).stdout
            for one in (line, shlex.join(words))]  # fmt: skip
    assert sent[0] == sent[1]


@pytest.mark.parametrize(
    ("request_", "typed"),
    [
        ({"do": "line", "line": "uname -r"}, "testbed ssh server uname -r"),
        (
            {"do": "program", "program": "server", "arguments": ["--port", "80"],
             "namespace": "sslab-ns", "output": "/run/testbed/trial/server.txt"},
            "testbed ssh server sh -c 'ip netns exec sslab-ns python3 /opt/testbed/guest/server.py "
            "--port 80 >/run/testbed/trial/server.txt 2>/run/testbed/trial/server.err'",
        ),
        ({"do": "fetch", "folder": "/run/x"}, "# server: the agent's fetch /run/x"),
        ({"do": "stop", "names": ["a", "b"]}, "# server: the agent's stop a b"),
    ],
)  # fmt: skip
def test_what_an_agent_is_asked(request_: dict[str, Any], typed: str, tmp_path: Path) -> None:
    journal.begin(["testbed"], verbose=False, log=tmp_path / "log")
    journal.to_agent("server", request_)
    assert lines(tmp_path / "log")[1:] == [f"+ {typed}"]


def test_a_log_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written: No such file"):
        journal.write_to(tmp_path / "no/such/log")
