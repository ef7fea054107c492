# SPDX-License-Identifier: Apache-2.0
"""A guest: every word arrives as one word, every failure says what, where and what next."""

import base64
import socket
import tempfile
import threading
import time
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import paramiko
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invoke.exceptions import CommandTimedOut

from testbed.edge.guests import connection
from testbed.edge.guests.guest import Guest
from testbed.model.errors import ExitCode, GuestError, MachineError, NoAnswer
from tests.unit.factories.fakes import Answering, LocalShell, guest

HOSTILE = [
    "; touch x", "$(touch x)", "`touch x`", "&& touch x", "| touch x", "> x", "a\nb\ntouch x\n",
    "'", '"', "'\"'\"'", "\\", "\\n", "$HOME", "${IFS}", "*", "?", "~", "!", "#", "", " ", "\t",
    "--flag", "-n", "%s %d", "äöü €", "日本語", "🙂", "\x07\x1b[31m", "a=b", "{1,2}", "(", "<<EOF",
]  # fmt: skip
WORDS = st.text(
    st.characters(codec="utf-8", exclude_characters="\0", exclude_categories=["Cs"]), max_size=20
)
SAY = ["sh", "-c", 'printf "%s\\0" "$@"', "say"]  # prints each of its arguments, ended by NUL


@pytest.fixture
def here(tmp_path: Path) -> Guest:
    """A guest whose commands run in an empty folder of this computer."""
    return guest(LocalShell(tmp_path))


def told(answer: Any, role: str = "server") -> Guest:
    """A guest whose agent gives one answer to everything."""
    agent = SimpleNamespace(alive=True, ask=lambda *_, **__: answer)
    return Guest(role, 22, Path("/key"), _connection=agent, _agent=agent)


def packed(content: bytes) -> str:
    """Return a file's content as it comes from the agent."""
    return base64.b64encode(zlib.compress(content)).decode()


def test_hostile_words_arrive_as_one_word_each(here: Guest, tmp_path: Path) -> None:
    assert here.run([*SAY, *HOSTILE]).stdout.split("\0")[:-1] == HOSTILE
    both = here.run_all([[*SAY, *HOSTILE], [*SAY, "end"]]).stdout.split("\0")[:-1]
    assert both == [*HOSTILE, "end"]
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=5))
def test_any_words_arrive_as_they_are(words: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        there = guest(LocalShell(Path(folder)))
        said = there.run_all([[*SAY, *words], [*SAY, *words]]).stdout
    assert said.split("\0")[:-1] == words * 2


def test_a_folder_with_a_hostile_name(here: Guest, tmp_path: Path) -> None:
    for name in ("a b", "$(touch x)", "'; touch x; '"):
        (tmp_path / name).mkdir()
        assert here.run(["pwd"], cwd=str(tmp_path / name)).stdout == f"{tmp_path / name}\n"
        said = here.run_all([["pwd"], ["pwd"]], cwd=str(tmp_path / name)).stdout
        assert said == f"{tmp_path / name}\n" * 2
    assert not (tmp_path / "x").exists()


def test_commands_stop_at_the_first_that_fails(here: Guest, tmp_path: Path) -> None:
    with pytest.raises(GuestError) as caught:
        here.run_all([["echo", "one"], ["ls", "/no/such"], ["touch", "x"]])
    assert caught.value.message.startswith("server: exit status 2: ")
    assert "No such file" in caught.value.detail
    assert not (tmp_path / "x").exists()
    with pytest.raises(GuestError):
        here.run(["touch", "x"], cwd="/no/such/folder")
    assert not (tmp_path / "x").exists()


def test_a_failure_names_role_status_and_command() -> None:
    with pytest.raises(GuestError) as caught:
        guest(Answering((3, "out", "its own words\n")), "client").run(["a", "b c"])
    assert caught.value.message == "client: exit status 3: a 'b c'"
    assert caught.value.detail == "its own words"
    assert caught.value.exit_code is ExitCode.GUEST
    with pytest.raises(GuestError) as caught:
        guest(Answering((3, "only stdout", ""))).run(["a"])
    assert caught.value.detail == "only stdout"
    assert guest(Answering((3, "", ""))).run(["a"], check=False).status == 3


@pytest.mark.parametrize(
    "broken", [OSError("reset"), EOFError("reset"), paramiko.SSHException("reset")]
)
def test_a_broken_connection(broken: Exception) -> None:
    with pytest.raises(GuestError) as caught:
        guest(Answering(broken)).run(["a", "b c"], check=False)
    assert caught.value.message == "server: the connection broke during: a 'b c' (reset)"
    assert caught.value.hint == GuestError.advice


def test_a_command_without_an_end() -> None:
    late = CommandTimedOut(result=None, timeout=5)  # type: ignore[no-untyped-call]
    with pytest.raises(GuestError) as caught:
        guest(Answering(late)).run(["sleep", "9"], timeout_s=5, check=False)
    assert caught.value.message == "server: no end after 5 s: sleep 9"
    assert caught.value.hint == "`testbed ssh server` lets you look"


def test_ctrl_c_is_not_swallowed() -> None:
    with pytest.raises(KeyboardInterrupt):
        guest(Answering(KeyboardInterrupt())).run(["a"])


def test_nothing_runs_before_the_connection() -> None:
    with pytest.raises(GuestError, match=r"^server: not connected$"):
        Guest("server", 22, Path("/key")).run(["a"])


def test_json() -> None:
    right = {"status": 0, "stdout": '{"a": [1]}\n', "stderr": ""}
    assert told(right).json("x", []) == {"a": [1]}
    with pytest.raises(GuestError) as caught:
        told(right | {"stdout": "Killed …"}).json("x", ["--y", "a b"])
    assert caught.value.message == "server: no JSON from: x.py --y 'a b'"
    assert caught.value.detail == "Killed …"


def test_a_program_that_fails_or_has_no_end() -> None:
    failed = {"status": 3, "stdout": "", "stderr": "its own words\n"}
    with pytest.raises(GuestError) as caught:
        told(failed).program("snapshot", ["--facts"])
    assert caught.value.message == "server: exit status 3: snapshot.py --facts"
    assert caught.value.detail == "its own words"
    with pytest.raises(NoAnswer) as late:
        told(failed | {"status": -9, "late": True}).program("snapshot", [], timeout_s=5)
    assert late.value.message == "server: no end after 5 s: snapshot.py"


def test_without_an_agent_nothing_that_needs_one() -> None:
    with pytest.raises(GuestError, match=r"^server: no agent runs there to do: its clock$"):
        guest(Answering((0, "", ""))).uptime_s()


def test_fetch_lets_no_guest_choose_where_a_file_goes() -> None:
    names = ["good.json", "../evil", "/etc/evil", "sub/evil", "sub/../../evil", "..", ".", ""]
    files = dict.fromkeys(names, packed(b"{}"))
    assert told({"status": 0, "files": files}).fetch("/x") == {"good.json": b"{}"}


@pytest.mark.parametrize(
    "files",
    [None, [], {"a": None}, {"a": "no base64!"}, {"a": "AAAA"}, {"a": packed(b"x" * 9999)[:40]}],
    ids=["nothing", "a list", "no text", "no base64", "no zlib", "half a file"],
)
def test_fetch_of_something_that_is_no_file(files: Any) -> None:
    """As from a guest that somebody has changed."""
    with pytest.raises(GuestError, match="did not arrive"):
        told({"status": 0, "files": files}).fetch("/run/testbed/trial")


def test_fetch_of_a_missing_folder() -> None:
    with pytest.raises(GuestError) as caught:
        told({"status": 1, "stdout": "", "stderr": "No such file\n"}).fetch("/gone")
    assert (caught.value.message, caught.value.detail) == (
        "server: exit status 1: fetch /gone", "No such file",
    )  # fmt: skip


def test_a_push_that_does_not_arrive() -> None:
    class Full(LocalShell):
        def put(self, stream: Any, path: str) -> None:
            raise OSError("No space left on device")

    with pytest.raises(GuestError) as caught:
        guest(Full(Path("/"))).push(b"", "true")
    assert caught.value.message == (
        "server: its sources could not be sent (No space left on device)"
    )


class Store(LocalShell):
    """A connection whose machine keeps files in this computer."""

    def put(self, stream: Any, path: str) -> None:
        Path(path).write_bytes(stream.read())


def test_put_writes_a_file_of_any_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 4000
    path = tmp_path / "a file; touch x"
    for _ in range(2):  # also over an older one
        guest(Store(tmp_path)).put(str(path), content)
    assert path.read_bytes() == content
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_put_into_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(GuestError, match="/gone/file could not be written"):
        guest(Store(tmp_path)).put(str(tmp_path / "gone/file"), b"x")


def test_a_machine_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setattr(time, "sleep", lambda _: None)
    with pytest.raises(MachineError) as caught:
        Guest("server", port, Path("/no/key")).connect(timeout_s=0.05)
    assert caught.value.message.startswith(
        f"the server does not answer SSH at 127.0.0.1:{port} (NoValidConnectionsError: "
    )
    assert caught.value.hint == (
        "`testbed down --destroy` and `testbed up` start it afresh; "
        "its console is in `testbed logs`"
    )
    assert caught.value.exit_code is ExitCode.MACHINE


def attempts(monkeypatch: pytest.MonkeyPatch, *outcomes: object) -> list[float]:
    """Let attempts to connect end as told, one after the other; return what each was given."""
    limits: list[float] = []
    left = list(outcomes)

    def open_one(_port: int, _key: Path, timeout_s: float) -> object:
        limits.append(timeout_s)
        outcome = left.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    monkeypatch.setattr(connection, "_open", open_one)
    monkeypatch.setattr(time, "sleep", lambda _: None)
    return limits


def test_connecting_waits_for_a_starting_sshd(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = attempts(monkeypatch, OSError("refused"), EOFError(), paramiko.SSHException(), "open")
    assert Guest("client", 1, Path("/key")).connect(60)._connection == "open"
    assert len(tries) == 4


def test_a_wrong_key_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tries = attempts(monkeypatch, paramiko.AuthenticationException("denied"), "open")
    with pytest.raises(MachineError, match=r"AuthenticationException: denied"):
        Guest("client", 1, Path("/key")).connect(60)
    assert len(tries) == 1


def test_connecting_ends_when_it_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    given_up = threading.Event()
    given_up.set()
    tries = attempts(monkeypatch, OSError("refused"), "open")
    with pytest.raises(MachineError):
        Guest("client", 1, Path("/key")).connect(60, given_up=given_up)
    assert len(tries) == 1
