# SPDX-License-Identifier: Apache-2.0
"""Local commands: nothing that one starts outlives it, and a failure carries its own words."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer import host
from testbed.model.errors import ExitCode, HostError

# The shell keeps the signal ignored in what it starts, too.
DEAF = "trap '' TERM; echo $$ > pids; sleep 60 & echo $! >> pids; wait; wait"
DEAF_CHILD = f'sh -c "{DEAF.replace("$", chr(92) + "$")}" & wait'
PLAIN = "echo $$ > pids; sleep 60 & echo $! >> pids; wait"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The five seconds between asking and making are a fifth of one here."""
    wait = subprocess.Popen.wait

    def short(process: Any, timeout: float | None = None) -> int:
        return wait(process, timeout if timeout is None else min(timeout, 0.2))

    monkeypatch.setattr(subprocess.Popen, "wait", short)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder whose file `pids` names what was started; nothing of it survives the test."""
    yield tmp_path
    for number in started(tmp_path):
        if alive(number):
            os.kill(number, signal.SIGKILL)


def started(folder: Path) -> list[int]:
    path = folder / "pids"
    return [int(word) for word in path.read_text().split()] if path.exists() else []


def alive(number: int) -> bool:
    """Whether the process runs; one that waits only to be reaped does not."""
    try:
        stat = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] not in {"Z", "X"}


def wait_until_dead(numbers: list[int]) -> list[int]:
    deadline = time.monotonic() + 20
    while any(map(alive, numbers)) and time.monotonic() < deadline:
        time.sleep(0.01)
    return [number for number in numbers if alive(number)]


def test_both_streams_and_the_status_come_back(tmp_path: Path) -> None:
    argv = ["sh", "-c", 'cat; pwd; echo "$A" >&2; exit 3']
    done = host.run(argv, cwd=tmp_path, environment={"A": "b c"}, stdin="in\n", check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, f"in\n{tmp_path}\n", "b c\n")


@pytest.mark.parametrize("environment", [None, {"PATH": "/bin:/usr/bin", "LANG": "de_DE"}])
def test_words_are_english_and_names_are_whole(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str] | None
) -> None:
    for name in ("LANG", "LC_ALL", "LC_MESSAGES", "LANGUAGE"):
        monkeypatch.setenv(name, "de_DE.ISO-8859-1")
    done = host.run(["sh", "-c", 'echo "$LC_ALL,$LANGUAGE,ä"'], environment=environment)
    assert done.stdout == "C.UTF-8,,ä\n"


def test_what_runs_beside_speaks_english_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with (
        (tmp_path / "said").open("wb") as file,
        host.beside(["sh", "-c", "echo $LC_ALL"], output=file) as process,
    ):
        process.wait()
    assert (tmp_path / "said").read_text() == "C.UTF-8\n"


def test_without_stdin_nothing_can_be_read() -> None:
    assert host.run(["cat"], timeout_s=5).stdout == ""


def test_words_are_not_shell_text(tmp_path: Path) -> None:
    words = ["a b", "; touch x", "$(touch x)", "`touch x`", "*", "", "'\"", "ä\n€"]
    done = host.run(["printf", "%s\\0", *words], cwd=tmp_path)
    assert done.stdout.split("\0")[:-1] == words
    assert list(tmp_path.iterdir()) == []


def test_bytes_that_are_no_text_do_not_break_it() -> None:
    assert host.run(["printf", r"a\377b"]).stdout == "a�b"


def test_a_failure_carries_its_own_words() -> None:
    with pytest.raises(HostError) as caught:
        host.run(["sh", "-c", "echo out; echo 'no such thing' >&2; exit 7"])
    assert caught.value.message == (
        "exit status 7: sh -c 'echo out; echo '\"'\"'no such thing'\"'\"' >&2; exit 7'"
    )
    assert caught.value.detail == "no such thing"
    assert caught.value.exit_code is ExitCode.HOST
    with pytest.raises(HostError) as caught:
        host.run(["sh", "-c", "echo said on stdout; exit 1"])
    assert caught.value.detail == "said on stdout"


def test_what_cannot_start(tmp_path: Path) -> None:
    with pytest.raises(HostError) as caught:
        host.run(["/no/such/tool", "x"])
    assert caught.value.message == "/no/such/tool cannot be started: No such file or directory"
    (tmp_path / "plain").write_text("")
    with pytest.raises(HostError, match="plain cannot be started: Permission denied"):
        host.run([str(tmp_path / "plain")])


def test_a_missing_tool_is_named_with_its_package() -> None:
    with pytest.raises(HostError) as caught:
        host.find("no-such-tool", package="some-package")
    assert caught.value.message == "no-such-tool is not installed"
    assert caught.value.hint == (
        "run ./lab, which installs what is missing, or install the package some-package"
    )
    assert Path(host.find("sh", package="dash")).name == "sh"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("script", [PLAIN, DEAF, DEAF_CHILD], ids=["plain", "deaf", "deaf child"])
def test_a_time_out_ends_the_whole_group(folder: Path, script: str) -> None:
    with pytest.raises(HostError) as caught:
        host.run(["sh", "-c", script], cwd=folder, timeout_s=0.2)
    assert caught.value.message.startswith("no end after 0.2 s: sh -c ")
    numbers = started(folder)
    assert len(numbers) == 2
    assert wait_until_dead(numbers) == []


@pytest.mark.usefixtures("impatient")
def test_a_time_out_keeps_what_was_said_until_then() -> None:
    with pytest.raises(HostError) as caught:
        host.run(["sh", "-c", "echo 'half way' >&2; sleep 60"], timeout_s=0.2)
    assert caught.value.detail == "half way"


@pytest.mark.usefixtures("impatient", "ctrl_c_works")
def test_ctrl_c_ends_the_whole_group(folder: Path) -> None:
    def press() -> None:
        deadline = time.monotonic() + 20
        while len(started(folder)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    finger = threading.Thread(target=press)
    finger.start()
    with pytest.raises(KeyboardInterrupt):
        host.run(["sh", "-c", PLAIN], cwd=folder, timeout_s=20)
    finger.join()
    assert wait_until_dead(started(folder)) == []


def test_a_command_leads_a_group_of_its_own() -> None:
    """Else Ctrl-C in the terminal would end it before its undoing is asked for."""
    code = "import os; print(os.getpgid(0) == os.getpid() != int(os.environ['ME']))"
    done = host.run(
        [sys.executable, "-c", code], environment={**os.environ, "ME": str(os.getpgid(0))}
    )
    assert done.stdout == "True\n"


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_ports(kind: socket.SocketKind) -> None:
    port = host.free_port(kind)
    assert host.port_is_free(port, kind)
    with socket.socket(socket.AF_INET, kind) as holder:
        holder.bind(("127.0.0.1", port))
        if kind is socket.SOCK_STREAM:
            holder.listen()
        assert not host.port_is_free(port, kind)
