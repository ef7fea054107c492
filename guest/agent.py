#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Stay in this machine for as long as one command of the testbed lasts, and do what it asks.

Starting a process costs a tenth of a second under emulation, and Python most of a second. This one
has everything imported, does small things itself and forks for the rest. Requests come on stdin,
one JSON object a line:

    {"id": 1, "do": "clock"}                                          seconds since boot
    {"id": 8, "do": "memory"}                                         /proc/meminfo
    {"id": 2, "do": "scratch", "folder": "/run/testbed/trial"}        emptied, but for a pipe, `go`
    {"id": 3, "do": "go"}                                             a word into that pipe
    {"id": 4, "do": "fetch", "folder": "/run/testbed/trial"}          its plain files
    {"id": 5, "do": "line", "line": "uname -r", "limit_s": 60, "most_bytes": 1000}       for sh
    {"id": 6, "do": "program", "program": "server", "arguments": [...], "limit_s": 90,
     "name": "testbed-server", "namespace": "sslab-ns", "output": "/run/testbed/trial/server.txt",
     "until": "ready"}
    {"id": 7, "do": "stop", "names": ["testbed-server"]}              gone when answered

and answers on stdout, when a job has ended, or is ready (sd_notify) or has started where `until`
says so: {"id": 5, "status": 0, "stdout": "6.1.0\\n", "stderr": ""}. A negative status is the signal
that ended the job. `late` says that its time limit did, and `cut` that it printed too much. `stuck`
is where in the kernel it waits, if no signal ends it. When stdin ends, so does every job. While
nothing is asked it sleeps in one system call and takes nothing from what is being measured.
"""

import binascii
import contextlib
import gc
import json
import os
import selectors
import signal
import socket
import sys
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from job import Job, kill, run_program, spawn, where_it_waits
from streams import streams

#: A job that was asked to end is killed after this long.
PATIENCE_S = 5.0
#: Of what a job prints where a request says nothing; it is kept in memory.
MOST_BYTES = 64 << 20
FOR_EVER_S = 1e6


@dataclass(slots=True)
class Ending:
    """A request to stop: the processes that are still there, and when they are killed."""

    id: int
    pids: set[int]
    deadline: float


@dataclass(slots=True)
class Agent:
    """The jobs, by process id, and who waits for their end."""

    jobs: dict[int, Job] = field(default_factory=dict)
    endings: list[Ending] = field(default_factory=list)
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    pending: bytes = b""
    pipe: int = -1  # of the scratch folder; open here, a word waits in it for its reader

    def serve(self) -> None:
        """Do what is asked until stdin ends; then end every job."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wake)
        self.selector.register(sys.stdin.fileno(), selectors.EVENT_READ, self.hear)
        self.selector.register(woken, selectors.EVENT_READ, lambda: self.reap(woken))
        with contextlib.suppress(EOFError, BrokenPipeError):
            self.answer(0, status=0, pid=os.getpid())
            while True:
                for key, _ in self.selector.select(self.patience_s()):
                    key.data()
                self.kill_overdue()
        for job in self.jobs.values():
            self.forget_notify(job)
            kill(job, signal.SIGKILL)

    def hear(self) -> None:
        """Take what came on stdin; raises EOFError at its end."""
        data = os.read(sys.stdin.fileno(), 1 << 16)
        if not data:
            raise EOFError
        *lines, self.pending = (self.pending + data).split(b"\n")
        for line in lines:
            request = json.loads(line)
            number = request["id"]
            try:
                match request["do"]:
                    case "clock":
                        self.answer(number, uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME))
                    case "memory":
                        self.answer(number, meminfo=Path("/proc/meminfo").read_text())
                    case "scratch":
                        self.scratch(Path(request["folder"]))
                        self.answer(number, status=0)
                    case "go":
                        os.write(self.pipe, b"go\n")
                        self.answer(number, status=0)
                    case "fetch":
                        self.answer(number, status=0, files=plain_files(Path(request["folder"])))
                    case "stop":
                        self.stop(request)
                    case _:
                        self.start(request)
            except OSError as error:
                self.answer(number, status=1, stdout="", stderr=f"{error}\n")

    def scratch(self, folder: Path) -> None:
        """Make an empty folder with a named pipe, on which client and server wait for a word."""
        folder.mkdir(parents=True, exist_ok=True)
        for path in folder.iterdir():
            path.unlink()
        os.mkfifo(folder / "go")
        if self.pipe >= 0:
            os.close(self.pipe)
        self.pipe = os.open(folder / "go", os.O_RDWR | os.O_CLOEXEC)

    def start(self, request: dict[str, Any]) -> None:
        """Fork a job; it is a process group of its own, with a time limit of its own."""
        name, until = request.get("name", ""), request.get("until", "end")
        if name and any(job.name == name for job in self.jobs.values()):
            raise OSError(f"{name} is still running")
        printed = streams(request.get("output"))
        notify = None
        if until == "ready":
            notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # By path: abstract names belong to a network namespace, which the job may leave.
            folder = os.environ.get("TMPDIR", "/tmp")  # nobody else logs in here
            notify.bind(f"{folder}/testbed-agent-{os.getpid()}-{request['id']}")
        started_ns = time.time_ns()
        if request["do"] == "line":
            pid = spawn(request["line"], printed)
        elif (pid := os.fork()) == 0:
            run_program(request, printed, notify)
        else:
            with contextlib.suppress(OSError):  # it has done so itself, and may have ended already
                os.setpgid(pid, pid)
        stop_signal = signal.Signals["SIG" + request.get("stop_signal", "TERM")]
        deadline = time.monotonic() + request["limit_s"]
        job = Job(request["id"], pid, name, printed, stop_signal, deadline, notify)
        self.jobs[pid] = job
        for stream in printed:
            stream.begun(self.selector, request.get("most_bytes", MOST_BYTES), job.beyond)
        if notify is not None:
            self.selector.register(notify, selectors.EVENT_READ, lambda: self.is_ready(job))
        if until == "start":
            job.answered = True
            self.answer(job.id, status=0, started_utc_ns=started_ns)

    def is_ready(self, job: Job) -> None:
        """The job has said that it is ready."""
        assert job.notify is not None
        if b"READY=1" in job.notify.recv(4096):
            self.forget_notify(job)
            job.answered = True
            self.answer(job.id, status=0)

    def forget_notify(self, job: Job) -> None:
        """Nothing more is heard of its readiness."""
        if job.notify is not None:
            self.selector.unregister(job.notify)
            Path(job.notify.getsockname()).unlink()
            job.notify.close()
            job.notify = None

    def stop(self, request: dict[str, Any]) -> None:
        """Ask jobs to end, by name; those that do not run have ended."""
        ending = Ending(request["id"], set(), time.monotonic() + PATIENCE_S)
        for job in self.jobs.values():
            if job.name in request["names"]:
                kill(job, job.stop_signal)
                ending.pids.add(job.pid)
        self.endings.append(ending)
        self.tell_ended()

    def reap(self, woken: int) -> None:
        """Answer for the processes that have ended; what they had started ends with them."""
        os.read(woken, 4096)
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                job = self.jobs.pop(ended[0], None)
                if job is not None:
                    kill(job, signal.SIGKILL)
                    self.finish(job, os.waitstatus_to_exitcode(ended[1]))
        self.tell_ended()

    def finish(self, job: Job, status: int) -> None:
        """Tell how a job ended, unless its start was all that was asked."""
        self.forget_notify(job)
        said = job.said()
        if not job.answered:
            self.answer(job.id, status=status, **said)

    def tell_ended(self) -> None:
        """Answer the requests to stop whose jobs are all gone."""
        for ending in list(self.endings):
            ending.pids &= self.jobs.keys()
            if not ending.pids:
                self.endings.remove(ending)
                self.answer(ending.id, status=0)

    def patience_s(self) -> float | None:
        """How long until something has to be killed; None while nothing runs."""
        due = [ending.deadline for ending in self.endings]
        due += [job.deadline for job in self.jobs.values()]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def kill_overdue(self) -> None:
        """Kill what did not end in time."""
        now = time.monotonic()
        for ending in self.endings:
            if ending.deadline <= now:
                ending.deadline = now + PATIENCE_S
                for pid in ending.pids & self.jobs.keys():
                    kill(self.jobs[pid], signal.SIGKILL)
        for job in self.jobs.values():
            if job.deadline <= now:
                if job.late and not job.answered:  # since PATIENCE_S ago
                    job.answered, job.deadline = True, now + FOR_EVER_S
                    self.answer(job.id, status=-9, late=True, stuck=where_it_waits(job))
                    continue
                job.deadline, job.late = now + PATIENCE_S, True
                kill(job, signal.SIGKILL)

    def answer(self, number: int, **words: Any) -> None:
        """Write one line of JSON, whole."""
        data = json.dumps({"id": number, **words}).encode() + b"\n"
        while data:
            data = data[os.write(1, data) :]


def plain_files(folder: Path) -> dict[str, str]:
    """The folder's plain files by name: compressed, in base64."""
    return {
        path.name: binascii.b2a_base64(zlib.compress(path.read_bytes(), 1), newline=False).decode()
        for path in folder.iterdir()
        if path.is_file() and not path.is_symlink()
    }


if __name__ == "__main__":
    os.environ["LC_ALL"] = "C"  # whatever a command prints is read by a program
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # beside an arm's script it would change the arm
    gc.freeze()  # a fork's own collections leave the shared pages alone
    Agent().serve()
