# SPDX-License-Identifier: Apache-2.0
"""The lab sheet on real machines: every command of the student's page, typed in its order.

The lines are taken out of the rendered page, and typed into one shell, as a student does. Where
the sheet has code completed in between, the instructor's solution is put in place.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from testbed.handout.commands import Command, commands_of
from testbed.handout.exercises import read_exercises
from testbed.handout.facts import facts_of
from testbed.model import arm
from testbed.model.config import load

from .conftest import Testbed, read_json
from .test_experiment import trials

pytestmark = [pytest.mark.vm, pytest.mark.timeout(7200)]


class Lines(HTMLParser):
    """The commands of a page, by id."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self.id = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.id = dict(attrs).get("data-command") or (self.id if tag == "code" else "")

    def handle_data(self, data: str) -> None:
        if self.id:
            self.found[self.id] = self.found.get(self.id, "") + data

    def handle_endtag(self, tag: str) -> None:
        self.id = ""


class Shell:
    """One bash that is typed into; what a line activates or changes holds for the next."""

    def __init__(self, folder: Path, scratch: Path) -> None:
        self.scratch = scratch
        self.count = 0
        self.bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=folder, stdin=subprocess.PIPE, text=True,
            env={**os.environ, "NO_COLOR": "1"},
        )  # fmt: skip

    def type(self, line: str, *, limit_s: float) -> tuple[int, str]:
        """Run a line and return its exit code, and all that it printed."""
        self.count += 1
        said, ended = self.scratch / f"{self.count}.txt", self.scratch / f"{self.count}.status"
        assert self.bash.stdin is not None
        self.bash.stdin.write(
            f"{{ {line}\n}} </dev/null >{said} 2>&1; echo $? >{ended}.new; mv {ended}.new {ended}\n"
        )
        self.bash.stdin.flush()
        deadline = time.monotonic() + limit_s
        while not ended.exists():
            assert time.monotonic() < deadline, f"no end of `{line}`: {said.read_text()[-2000:]}"
            assert self.bash.poll() is None, f"`{line}` ended the shell"
            time.sleep(0.1)
        return int(ended.read_text()), said.read_text()


QUICK = "[bench]\nrate_pps = 2000\ntrials = 1\n"
"""The sheet's words hold for any load; its usual 55 trials would take minutes more."""


@pytest.fixture
def shell(testbed: Testbed, tmp_path: Path) -> Iterator[Shell]:
    """A shell in the checkout; afterwards the machines are up again, for the tests that follow."""
    configuration = testbed.checkout / "testbed.toml"
    before = configuration.read_text() if configuration.exists() else None
    assert before is None or "[bench]" not in before
    configuration.write_text((before or "") + QUICK)
    opened = Shell(testbed.checkout, tmp_path)
    yield opened
    assert opened.bash.stdin is not None
    opened.bash.stdin.close()
    opened.bash.wait(timeout=60)
    if before is None:
        configuration.unlink()
    else:
        configuration.write_text(before)
    assert testbed.run("up", timeout_s=1200).returncode == 0


def test_every_command_of_the_student_sheet(testbed: Testbed, shell: Shell, tmp_path: Path) -> None:
    """Only real machines answer as the sheet says, in its order."""
    done = testbed.run("handout", "--lang", "en", "--out", str(tmp_path / "sheet"))
    assert done.returncode == 0, done.stderr
    lines = Lines((tmp_path / "sheet/handout-en.html").read_text()).found
    commands = commands_of(load(testbed.checkout))
    assert lines == {command.id: command.line for command in commands}
    said: dict[str, str] = {}
    for command in commands:
        solve(testbed.checkout, command)
        status, said[command.id] = shell.type(lines[command.id], limit_s=command.limit_s)
        print(f"$ {lines[command.id]}  -> {status}\n{said[command.id][-1500:]}")
        assert status in command.exits, f"{lines[command.id]}: {status}\n{said[command.id]}"
        if command.id == "again":
            assert {row["arm"] for row in trials(testbed.latest)} == {
                "none", "my-netfilter", "my-xdp", "my-netfilter-unmatched", "my-xdp-unmatched",
                "my-xdp-again",
            }  # fmt: skip
            assert testbed.left_over() == []
    what_a_student_sees(testbed, said)


def solve(checkout: Path, command: Command) -> None:
    """Complete the exercise that a command is about, as the instructor's version has it."""
    for exercise in read_exercises(checkout / "guest/starter"):
        if exercise.name == command.solves:
            for name, text in exercise.solved.items():
                (checkout / "exercise" / exercise.name / name).write_text(text)


def what_a_student_sees(testbed: Testbed, said: dict[str, str]) -> None:
    """The sheet's words on the output of each command."""
    config = load(testbed.checkout)
    arms_dir = testbed.checkout / "guest/arms"
    arms = {one.name: one for one in arm.choose(arms_dir, arm.known(arms_dir))}
    facts = facts_of(config, arms, arms_dir)
    assert said["driver"].startswith(f"driver: {facts['nic']}\n")
    assert f"{facts['target_address']}/24" in said["inside"]
    assert f"via {facts['server_address']} dev lab0" in said["way"]
    assert "2 received" in said["ping"]
    for name in ("module-empty", "program-empty"):
        assert f"not rewritten: all {facts['lengths']}" in said[name]
        assert "OTHER WORK" in said[name]
        assert "0 counted" in said[name]
    for name in ("module", "program", "all"):
        assert "same work as the reference" in said[name]
        assert "OTHER WORK" not in said[name]
    assert said["mpstat"].count(" all ") >= 3
    assert f"CONFIG_HZ={facts['hz']}" in said["tick"]
    assert "# CONFIG_IRQ_TIME_ACCOUNTING is not set" in said["tick"]
    assert said["stat"].count("cpu ") == 2
    errors = dict(line.split()[:2] for line in said["errors"].splitlines() if line[:3] == "Udp")
    assert int(errors["UdpInCsumErrors"]) > 1000
    assert f"wrong UDP checksum from {facts['bounded_wrong']} bytes on" in said["exhibits"]
    assert "UDP checksum switched off" in said["exhibits"]
    assert "INVALID: " in said["published"] and "INVALID: " in said["original"]
    assert "no manifest" not in said["runs"]
    plan = read_json(testbed.latest / "plan.json")
    assert [one["name"] for one in plan["arms"]][:3] == ["none", "my-netfilter", "my-xdp"]


def test_hole_3_passes_the_gate_and_what_a_killed_check_leaves_is_swept(testbed: Testbed) -> None:
    """Only a real kernel tells that hole 3 of the module shows in no packet of this lab.

    Each is linear and nobody's clone, as the sheet says. Then both hooks are loaded by hand, as a
    kill in mid-check leaves them.
    """
    assert testbed.run("handout", "--starter", "open", "--instructor").returncode == 0
    source = testbed.checkout / "open/my-netfilter/redirect_nf_mine.c"
    text = source.read_text()
    start = text.index("\tif (skb_ensure_writable(")
    end = text.index("\n\n", start)
    source.write_text(text[:start] + text[end:])
    done = testbed.run("check", "--arms", "open/my-xdp,open/my-netfilter")
    assert done.returncode == 0, done.stdout

    there = "/opt/testbed/guest/arms"
    rule = ("--match-address 192.168.64.2 --match-port 8080 --target-address 10.0.1.2 "
            "--target-port 8083")  # fmt: skip
    load = "./loader load --interface lab0 --mode generic"
    testbed.guest("server", f"cd {there}/my-xdp && {load} {rule}")
    verify = f"cd {there}/my-xdp && {load.replace(' load ', ' verify ')}"
    assert '"match_port": "8080"' in testbed.guest("server", f"{verify} {rule}")
    told = testbed.guest("server", f"{verify} --match-port 8081 2>&1; echo $?")
    assert "loader: the program has match port 8080, not 8081\n" in told
    assert told.endswith("\n1\n")
    testbed.guest("server", f"cd {there}/my-netfilter && insmod redirect_nf_mine.ko "
                  "match_address=192.168.64.2 match_port=8080 target_address=10.0.1.2 "
                  "target_port=8083")  # fmt: skip
    assert len(testbed.left_over()) >= 2
    done = testbed.run("check", "--arms", "none")
    assert done.returncode == 0, done.stderr
    assert testbed.left_over() == []


def test_the_same_mistake_shows_on_the_two_sides_of_ips_check(testbed: Testbed) -> None:
    """Only a real IP stack drops what is spoiled before its check, as the sheet asks."""
    assert testbed.run("handout", "--starter", "forgot", "--instructor").returncode == 0
    program = "h->ip.check = checksum_after(check, from & 0xffff, to & 0xffff);"
    for name, line in (
        ("my-netfilter/redirect_nf_mine.c", "h->ip.check = checksum_update(h->ip.check, address);"),
        ("my-xdp/redirect.bpf.c", program),
    ):
        path = testbed.checkout / "forgot" / name
        assert line in path.read_text()
        path.write_text(path.read_text().replace(line, "/* forgotten */"))
    done = testbed.run("check", "--arms", "forgot/my-netfilter,forgot/my-xdp")
    assert done.returncode == 7, done.stderr
    of_module, of_program = done.stdout.split("my-xdp: OTHER WORK")
    assert "wrong IP checksum: all 1,473" in of_module.partition("my-netfilter: OTHER WORK")[2]
    assert "missing: all 1,473" in of_program
