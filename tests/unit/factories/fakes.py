# SPDX-License-Identifier: Apache-2.0
"""Two pretended machines below the real `Guest`: they record every command and keep its effect.

A machine knows which units run, which hooks are loaded, which files were written. Like
the real ones, the client's unit ends when it has sent, and it sends when `go` comes.
"""

import base64
import hashlib
import json
import os
import shlex
import signal
import subprocess
import tarfile
import threading
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from testbed.edge.guests.guest import SOURCES, Guest
from testbed.model.deployed import PROGRAMS, part_of
from testbed.model.errors import NoAnswer

# Nothing here takes time, but on a busy computer a thread may: who still waits after this is
# waiting for something that never comes.
PATIENCE_S = 1.0
KERNEL = "6.1.0-test"
STARTED_NS = 1_700_000_000_000_000_000
UPTIME_S = 61.25
SNAPSHOT = {"schema": 1, "kmsg_sequence": 41}
MEMINFO = "MemTotal: 980000 kB\n"
AVAILABLE = "MemAvailable:   750000 kB\n"


@dataclass(frozen=True)
class Step:
    """One remote command line; `lane` tells the loop's own thread from those beside it."""

    lane: str
    line: str


@dataclass(frozen=True)
class Fault:
    """A fault at the `number`-th command line of a lane that begins with `line`, once.

    `lost` breaks the connection before the command has an effect, `broken` after it,
    `ctrl-c` is a real SIGINT to this process, `refused` is exit status 1.
    """

    lane: str
    number: int
    kind: str
    line: str = ""


@dataclass
class World:
    """Both machines; `steps` is what was run on them, in the order in which it began."""

    fault: Fault | None = None
    steps: list[Step] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    machines: dict[str, "Machine"] = field(default_factory=dict)
    guests: dict[str, Guest] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        for role in ("client", "server"):
            self.machines[role] = Machine(role, self)
            self.guests[role] = reached(self.machines[role])

    def lanes(self) -> dict[str, list[str]]:
        """Return the command lines of each lane."""
        found: dict[str, list[str]] = {}
        for step in self.steps:
            found.setdefault(step.lane, []).append(step.line)
        return found

    def note(self, role: str, line: str) -> str | None:
        """Record a line; return the kind of fault that strikes it."""
        main = threading.current_thread() is threading.main_thread()
        lane = role if main else f"{role}, beside"
        fault = self.fault
        like = fault.line if fault else ""
        with self.lock:
            number = sum(s.lane == lane and s.line.startswith(like) for s in self.steps)
            self.steps.append(Step(lane, line))
        if fault is None or (lane, number) != (fault.lane, fault.number):
            return None
        return fault.kind if line.startswith(like) else None

    def fault_at(self, step: Step, kind: str) -> Fault:
        """Return what strikes another world at this step of this one, a rehearsal."""
        like = [s for s in self.steps if (s.lane, s.line) == (step.lane, step.line)]
        return Fault(step.lane, [s is step for s in like].index(True), kind, step.line)

    @property
    def units(self) -> set[str]:
        """Return the units that run in either machine."""
        return {f"{m.role}: {unit}" for m in self.machines.values() for unit in m.units}

    @property
    def hooks(self) -> set[str]:
        """Return the arms that are loaded in the server."""
        return self.machines["server"].hooks


@dataclass
class Machine:
    """One pretended machine; stands in for fabric's connection."""

    role: str
    world: World
    units: set[str] = field(default_factory=set)
    hooks: set[str] = field(default_factory=set)
    files: dict[str, str] = field(default_factory=dict)
    pushed: list[list[str]] = field(default_factory=list)
    lies: dict[str, str] = field(default_factory=dict)
    """The files below SOURCES: path and checksum."""
    staged: dict[str, str] = field(default_factory=dict)
    failing: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Arms that do not build: exit status and words."""
    cpus: int = 1
    logs: bool = False
    slow_to_prepare_s: float = 0.0
    piped: bool = False
    changed: threading.Condition = field(default_factory=threading.Condition)
    went: bool = False

    alive: bool = True
    given_up: bool = False
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By a word of a line, what the agent answers in place of anything else."""

    def ask(self, what: str, *, limit_s: float, **words: Any) -> dict[str, Any]:
        """Answer a request as guest/agent.py does; `jobs` has what runs."""
        assert 0 < limit_s <= 900
        line = self._line(what, words)
        kind = self.world.note(self.role, line)
        if kind == "lost":
            raise NoAnswer(f"{self.role}: connection lost")
        if kind == "refused":
            return {"status": 1, "stdout": "", "stderr": "its own words\n"}
        if kind == "ctrl-c":
            os.kill(os.getpid(), signal.SIGINT)
        for word, instead in self.answers.items():
            if word in line:
                return dict(instead)
        answer = self._answer(line, words, broken=kind == "broken")
        if kind == "broken":
            raise NoAnswer(f"{self.role}: connection broken")
        return answer

    @staticmethod
    def _line(what: str, words: dict[str, Any]) -> str:
        """Return a request as one line: <name> before that of a job."""
        if words["do"] == "line":
            line = words["line"]
        elif words["do"] == "program":
            line = shlex.join([f"{words['program']}.py", *words["arguments"]])
        else:
            line = what
        return f"<{words['name']}> {line}" if words.get("name") else line

    def _answer(self, line: str, words: dict[str, Any], *, broken: bool) -> dict[str, Any]:
        status, out = 0, ""
        match words:
            case {"name": name} if name:
                assert words["until"] in {"start", "ready", "end"}
                status = self._start(name, broken=broken)
                if words["until"] == "start":
                    return {"status": status, "started_utc_ns": STARTED_NS}
            case {"do": "go"}:
                status = self._go()
            case {"do": "stop"}:
                self._stop(words["names"])
            case {"do": "scratch"}:
                time.sleep(self.slow_to_prepare_s)
                self.piped = True
            case {"do": "fetch"}:
                packed = {
                    name: base64.b64encode(zlib.compress(content)).decode()
                    for name, content in self._trial_files().items()
                }
                return {"status": 0, "files": packed}
            case {"do": "clock"}:
                return {"uptime_s": UPTIME_S}
            case {"do": "memory"}:
                return {"meminfo": MEMINFO}
            case {"do": "program"}:
                out = self._snapshot(words["arguments"])
            case _ if line.startswith(f"cd {SOURCES} 2>/dev/null"):
                out = self._look()
            case _ if "tar -xzf" in line:
                self._unpack()
            case _:
                status, out = self._all(shlex.split(line), broken=broken)
        return {"status": status, "stdout": out, "stderr": "" if status == 0 else "no\n"}

    def put(self, stream: Any, _path: str) -> None:
        """Take a tar."""
        with tarfile.open(fileobj=stream) as tar:
            self.pushed.append(tar.getnames())
            contents = {name: tar.extractfile(name) for name in tar.getnames()}
            self.staged = {
                name: hashlib.sha256(file.read()).hexdigest()
                for name, file in contents.items() if file
            }  # fmt: skip
            for name, file in contents.items():
                if file and name.endswith("arm.toml"):
                    file.seek(0)
                    self.files[f"{SOURCES}/{name}"] = file.read().decode()

    def _unpack(self) -> None:
        """Let programs take their place; arms wait to be built, which replaces them one by one."""
        programs = {
            name.removeprefix("programs/"): sha
            for name, sha in self.staged.items() if name.startswith("programs/")
        }  # fmt: skip
        if programs:
            arms = {name: sha for name, sha in self.lies.items() if part_of(name) != PROGRAMS}
            self.lies = {**arms, **programs, "__pycache__/agent.cpython-311.pyc": "0" * 64}

    def _build(self, name: str) -> tuple[int, str]:
        """Make an object of the arm's sources and the shared ones."""
        if name in self.failing:
            return self.failing[name]
        own = {path: sha for path, sha in self.staged.items() if part_of(path) == name}
        shared = {path: sha for path, sha in self.lies.items() if "/include/" in path}
        words = json.dumps({**own, **shared}, sort_keys=True).encode()
        self.staged[f"arms/{name}/object"] = hashlib.sha256(words).hexdigest()
        return 0, ""

    def _take_place(self, name: str) -> None:
        others = {path: sha for path, sha in self.lies.items() if part_of(path) != name}
        own = {path: sha for path, sha in self.staged.items() if part_of(path) == name}
        self.lies = {**others, **own}

    def close(self) -> None:
        """End the connection."""

    def _all(self, words: list[str], *, broken: bool) -> tuple[int, str]:
        out, folder, argv = "", "", list[str]()
        for word in [*words, "&&"]:
            if word != "&&":
                argv.append(word)
                continue
            if argv[0] == "cd":
                folder = argv[1].rpartition("/")[2]
            else:
                status, said = self._one(argv, folder, broken=broken)
                out += said
                if status != 0:
                    return status, out
            argv = []
        return 0, out

    def _one(self, argv: list[str], arm: str, *, broken: bool) -> tuple[int, str]:
        said = (0, "")
        match argv:
            case ["sh", made, _, _, "sh", script, _, _, "unshare", *_, "sh", inner, name, _, _, _]:
                scripts = [f"{SOURCES}/{one}.sh" for one in ("made", "bounded", "build")]
                assert [made, script, inner] == scripts
                said = self._build(name)
            case ["nproc"]:
                said = 0, f"{self.cpus}\n"
            case ["cat", "/proc/meminfo"]:
                said = 0, MEMINFO + AVAILABLE
            case ["mv", old, new] if new.startswith(f"{SOURCES}/arms/"):
                assert old == new.replace(SOURCES, "/opt/testbed/staged")
                self._take_place(new.rpartition("/")[2])
            case ["cat", path] if path in self.files:
                said = 0, self.files[path]
            case _:
                said = self._arm(arm, argv)
        return said

    def _look(self) -> str:
        """Answer `deploy.look`: the files that lie there, and those that every machine has."""
        listed = "".join(f"{sha}  ./{path}\0" for path, sha in self.lies.items())
        return f"{listed}{KERNEL}\nDRIVER=e1000\n"

    def _stop(self, units: list[str]) -> None:
        with self.changed:
            self.units -= set(units)
            self.changed.notify_all()

    def _arm(self, arm: str, argv: list[str]) -> tuple[int, str]:
        words = set(argv)
        if words & {"insmod", "load"}:
            self.hooks.add(arm)
        elif words & {"unload"} or "rmmod" in argv[-1]:
            self.hooks.discard(arm)
        elif argv[-1].endswith("/hits") or "count" in words:
            return 0, json.dumps({"hits": [7, 0]})
        elif "verify" in words and arm == "none":
            return 0, '{"mode": "none"}\n'
        elif "verify" in words and arm.startswith("xdp"):
            return (0, '{"mode": "generic"}\n') if arm in self.hooks else (1, "")
        elif any("verify-module.sh" in word for word in argv):
            return (0, '{"mode": "module"}\n') if arm in self.hooks else (1, "")
        elif argv[0] == "cat":
            return 1, ""
        return 0, ""

    def _start(self, unit: str, *, broken: bool) -> int:
        with self.changed:
            self.units.add(unit)
            self.changed.notify_all()
            if unit != "testbed-client" or broken:
                return 0
            begun = self.changed.wait_for(
                lambda: self.went or unit not in self.units, timeout=PATIENCE_S
            )
            if not begun:
                self.world.stuck.append("the client waits for `go`")
                return 1
            self.went = False
            ended = unit in self.units
            self.units.discard(unit)
            return 0 if ended else 1

    def _go(self) -> int:
        """Open the named pipe for writing: that takes until somebody reads it."""
        if self.slow_to_prepare_s and not self.piped:
            return 2
        with self.changed:
            reader = f"testbed-{self.role}"
            if not self.changed.wait_for(lambda: reader in self.units, timeout=PATIENCE_S):
                return 124
            self.went = self.role == "client"
            self.changed.notify_all()
        return 0

    def _snapshot(self, argv: list[str]) -> str:
        if "--kernel-log" in argv:
            return '{"seq": 42, "monotonic_us": 1, "level": 6, "text": "x"}\n'
        if "--facts" in argv:
            return '{"schema": 1, "facts": true}'
        later = self.logs and any(s.lane == "client" and s.line == "go" for s in self.world.steps)
        return json.dumps({**SNAPSHOT, "kmsg_sequence": 42 if later else 41})

    def _trial_files(self) -> dict[str, bytes]:
        names = ["client.json", "client.txt", "client.err"]
        if self.role == "server":
            names = ["server.json", "server.txt", "server.err", "mpstat.json", "mpstat.err"]
        return dict.fromkeys(names, b'{"of": "a trial"}')


def reached(machine: Machine) -> Guest:
    """Return the guest whose connection and whose agent a pretended machine is."""
    return Guest(machine.role, 22, Path("/key"), _connection=machine, _agent=machine)


@dataclass
class LocalShell:
    """In place of a connection: runs each line in this computer's `sh -c`."""

    folder: Path
    lines: list[str] = field(default_factory=list)

    def run(self, line: str, **_: Any) -> Any:
        """Run a line as sshd would let the login shell run it."""
        self.lines.append(line)
        done = subprocess.run(["sh", "-c", line], cwd=self.folder, capture_output=True, check=False)
        return SimpleNamespace(
            return_code=done.returncode,
            stdout=done.stdout.decode(errors="replace"),
            stderr=done.stderr.decode(errors="replace"),
        )


@dataclass
class Answering:
    """In place of a connection: every line gets the same answer, or the same exception."""

    answer: Any
    lines: list[str] = field(default_factory=list)

    def run(self, line: str, **_: Any) -> Any:
        """Answer."""
        self.lines.append(line)
        if isinstance(self.answer, BaseException):
            raise self.answer
        status, out, err = self.answer
        return SimpleNamespace(return_code=status, stdout=out, stderr=err)


def guest(connection: Any, role: str = "server") -> Guest:
    """Return a guest that talks to a pretended connection."""
    return Guest(role, 22, Path("/key"), _connection=connection)
