# SPDX-License-Identifier: Apache-2.0
"""The guest's agent, as a process of this computer, and the host's end of the conversation."""

import base64
import os
import signal
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.guests.agent import Agent, Job
from testbed.model.errors import NoAnswer
from tests import PROJECT
from tests.unit.factories.agent_pipes import Pipes, gone, pid_in


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent that runs."""
    process = subprocess.Popen(
        [sys.executable, PROJECT / "guest/agent.py"], env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    talk = Agent("server", Pipes(process)).start(timeout_s=20)
    yield talk
    talk.close()
    assert process.wait(timeout=10) == 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("testbed-agent")]


def line(agent: Agent, words: str, limit_s: float = 20) -> dict[str, Any]:
    return agent.ask(words, limit_s=limit_s, do="line", line=words)


def begin(agent: Agent, job: Job) -> dict[str, Any]:
    return agent.ask(job.name, limit_s=job.limit_s, **job.request())


def sleeping(folder: Path, name: str = "testbed-mpstat", words: str = "sleep 60",
             first: str = ":") -> Job:  # fmt: skip
    """Return a job of one process, as mpstat's: a shell above it would end by the signal first."""
    argv = ("exec", "sh", "-c", f"{first}; echo $$ > {folder}/pid; {words}")
    return Job(name, "", argv, 30, "start", f"{folder}/out.txt", stop_signal="INT")


def test_a_line_of_shell(agent: Agent) -> None:
    said = line(agent, "echo out; echo err >&2; exit 3")
    assert (said["status"], said["stdout"], said["stderr"]) == (3, "out\n", "err\n")
    assert line(agent, "cat")["status"] == 0  # stdin is nobody's
    assert line(agent, "kill -KILL $$")["status"] == -9


def test_much_output_arrives_whole(agent: Agent) -> None:
    said = line(agent, "seq 200000")
    assert said["stdout"] == "".join(f"{n}\n" for n in range(1, 200001))


def test_a_program_needs_no_new_python(agent: Agent) -> None:
    said = agent.ask("facts", limit_s=20, do="program", program="snapshot", arguments=["--facts"])
    assert (said["status"], said["stderr"]) == (0, "")
    assert '"schema":1' in said["stdout"]


@pytest.mark.parametrize(
    ("program", "arguments", "status", "words"),
    [("client", ["--rate", "0"], 2, "client.py: error:"), ("nonsense", [], 1, "KeyError")],
)
def test_a_program_that_cannot_do_it(
    agent: Agent, program: str, arguments: list[str], status: int, words: str
) -> None:
    said = agent.ask(program, limit_s=20, do="program", program=program, arguments=arguments)
    assert said["status"] == status
    assert words in said["stderr"]
    assert line(agent, "echo still here")["stdout"] == "still here\n"


def test_its_clock_goes_and_its_memory_is_told(agent: Agent) -> None:
    assert "\nSlab:" in agent.ask("memory", limit_s=5, do="memory")["meminfo"]
    first, second = (agent.ask("clock", limit_s=5, do="clock")["uptime_s"] for _ in range(2))
    assert 0 < first <= second <= time.clock_gettime(time.CLOCK_BOOTTIME)


def test_requests_do_not_wait_for_each_other(agent: Agent, tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(line(agent, f"cat {pipe}")))
    waiting.start()
    assert line(agent, f"echo word > {pipe}")["status"] == 0
    waiting.join(10)
    assert answers[0]["stdout"] == "word\n"


def test_a_job_that_takes_too_long_ends_with_all_that_it_started(
    agent: Agent, tmp_path: Path
) -> None:
    said = line(agent, f"sleep 60 & echo $! > {tmp_path}/pid; wait", limit_s=1)
    assert (said["status"], said["late"]) == (-9, True)
    assert gone(pid_in(tmp_path / "pid"))


def test_server_and_client_meet(agent: Agent, tmp_path: Path) -> None:
    """The server is begun when it listens, the client when it has ended; both leave files."""
    said = agent.ask("scratch", limit_s=5, do="scratch", folder=f"{tmp_path}/trial")
    assert said["status"] == 0
    folder = tmp_path / "trial"
    assert [path.name for path in folder.iterdir()] == ["go"]
    address = ("--host", "127.0.0.1", "--port", "18083", "--trials", "1")
    server = (*address, "--json", f"{folder}/server.json")
    client = (*address, "--rate", "1000", "--duration", "0.1", "--json", f"{folder}/client.json")
    begun = begin(
        agent, Job("testbed-server", "server", server, 20, "ready", f"{folder}/server.txt")
    )
    assert begun["status"] == 0
    ended = begin(agent, Job("testbed-client", "client", client, 20, "end", f"{folder}/client.txt"))
    assert ended["status"] == 0
    assert ended["stdout"].startswith("Trial 1: Succeed")
    agent.ask("stop", limit_s=10, do="stop", names=["testbed-server"])
    files = agent.ask("fetch", limit_s=10, do="fetch", folder=str(folder))["files"]
    assert set(files) == {f"{r}.{e}" for r in ("server", "client") for e in ("json", "txt", "err")}
    record = zlib.decompress(base64.b64decode(files["server.json"]))
    assert record == (folder / "server.json").read_bytes()


@pytest.mark.parametrize("early", [True, False])
def test_a_word_waits_for_its_reader_and_a_reader_for_its_word(
    agent: Agent, tmp_path: Path, early: bool
) -> None:
    agent.ask("scratch", limit_s=5, do="scratch", folder=f"{tmp_path}/trial")
    if early:
        assert agent.ask("go", limit_s=5, do="go")["status"] == 0
    words = ("--host", "127.0.0.1", "--port", "18083", "--idle-s", "0.05",
             "--go", f"{tmp_path}/trial/go", "--trials", "1")  # fmt: skip
    begin(agent, Job("testbed-server", "server", words, 20, "ready", f"{tmp_path}/out.txt"))
    if not early:
        time.sleep(0.1)
        assert (tmp_path / "out.txt").read_text() == ""
        assert agent.ask("go", limit_s=5, do="go")["status"] == 0
    deadline = time.monotonic() + 10
    while not (tmp_path / "out.txt").read_text().startswith("Listening"):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_word_without_a_scratch_folder(agent: Agent) -> None:
    assert agent.ask("go", limit_s=5, do="go")["status"] == 1


def test_a_server_that_cannot_be_ready_says_why(agent: Agent, tmp_path: Path) -> None:
    words = ("--host", "192.0.2.1", "--port", "18083")
    job = Job("testbed-server", "server", words, 20, "ready", f"{tmp_path}/server.txt")
    begun = begin(agent, job)
    assert begun["status"] == 2
    assert "192.0.2.1" in begun["stderr"]


def test_a_job_is_asked_to_end_by_its_signal_and_has_ended_when_that_is_answered(
    agent: Agent, tmp_path: Path
) -> None:
    first, before = "trap 'echo closed; exit' INT", time.time_ns()
    begun = begin(agent, sleeping(tmp_path, words="while :; do sleep 0.05; done", first=first))
    assert before <= begun["started_utc_ns"] <= time.time_ns()
    pid = pid_in(tmp_path / "pid")
    agent.ask("stop", limit_s=10, do="stop", names=["testbed-mpstat", "testbed-client"])
    assert gone(pid)
    assert (tmp_path / "out.txt").read_text() == "closed\n"


def test_one_that_does_not_listen_is_killed(agent: Agent, tmp_path: Path) -> None:
    begin(agent, sleeping(tmp_path, words="while :; do sleep 0.05; done", first="trap '' INT"))
    pid = pid_in(tmp_path / "pid")
    agent.ask("stop", limit_s=10, do="stop", names=["testbed-mpstat"])
    assert gone(pid)


def test_a_name_is_used_once(agent: Agent, tmp_path: Path) -> None:
    begin(agent, sleeping(tmp_path))
    again = begin(agent, sleeping(tmp_path))
    assert (again["status"], again["stderr"]) == (1, "testbed-mpstat is still running\n")


def test_output_that_cannot_be_written(agent: Agent, tmp_path: Path) -> None:
    said = begin(agent, sleeping(tmp_path / "gone"))
    assert said["status"] == 1
    assert "No such file" in said["stderr"]


def test_a_folder_that_is_not_there(agent: Agent, tmp_path: Path) -> None:
    said = agent.ask("fetch", limit_s=10, do="fetch", folder=str(tmp_path / "gone"))
    assert said["status"] == 1
    assert "No such file" in said["stderr"]


def test_only_plain_files_are_fetched(agent: Agent, tmp_path: Path) -> None:
    folder = tmp_path / "trial"
    folder.mkdir()
    (folder / "plain").write_bytes(bytes(range(256)))
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "pipe")
    said = agent.ask("fetch", limit_s=10, do="fetch", folder=str(folder))
    assert list(said["files"]) == ["plain"]


def test_with_the_connection_ends_every_job(agent: Agent, tmp_path: Path) -> None:
    begin(agent, sleeping(tmp_path))
    pid = pid_in(tmp_path / "pid")
    agent.close()
    deadline = time.monotonic() + 10
    while not gone(pid):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert not agent.alive
    with pytest.raises(NoAnswer, match="broke during: true"):
        line(agent, "true")


def test_when_the_agent_dies_nobody_waits_in_vain(agent: Agent, tmp_path: Path) -> None:
    assert isinstance(agent.channel, Pipes)
    process = agent.channel.process

    def strike() -> None:
        pid_in(tmp_path / "pid")
        process.send_signal(signal.SIGTERM)

    threading.Thread(target=strike).start()
    begun = f"echo $$ > {tmp_path}/pid; exec sleep 30"
    with pytest.raises(NoAnswer) as caught:
        agent.ask("sleep 30", limit_s=40, do="line", line=begun)
    assert caught.value.message == ("server: the connection broke during: sleep 30 (it has ended)")
    process.returncode = 0  # as the fixture expects


def test_a_silent_one_is_given_up(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that answers while something takes long is not."""
    monkeypatch.setattr("testbed.edge.guests.agent.SILENCE_S", 0.5)  # to be late by, when busy
    line(agent, "sleep 1.2")
    monkeypatch.setattr("testbed.edge.guests.agent.SILENCE_S", 0.1)
    os.kill(agent.channel.process.pid, signal.SIGSTOP)
    for words in ("echo", "true"):
        with pytest.raises(NoAnswer, match=rf"during: {words} .*no sign of life for 0.2 s"):
            line(agent, words)
    os.kill(agent.channel.process.pid, signal.SIGCONT)
