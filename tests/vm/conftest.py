# SPDX-License-Identifier: Apache-2.0
"""Real machines for the tests: a checkout of their own, its pair up once for all of them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.computer.lasting import NOTE
from tests.vm.vagrant_here import ASKED, why_no_vagrant

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Testbed:
    """The command line in a checkout of the tests' own."""

    __test__ = False
    checkout: Path
    first_up: str = ""
    """The words of the first `up`, which came after one that was killed."""

    def run(
        self, *words: str, timeout_s: float = 400, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `testbed` and return it; its talk goes on to the test's stderr."""
        start = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "testbed", *words],
            cwd=self.checkout, capture_output=True, text=True, timeout=timeout_s, check=False,
            env={**os.environ, **(environment or {})},
        )  # fmt: skip
        took = f"{done.returncode}, {time.monotonic() - start:.1f} s"
        print(f"$ testbed {' '.join(words)} -> {took}\n{done.stderr}", file=sys.stderr)
        return done

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start `testbed` in a process group of its own, as a terminal would."""
        return subprocess.Popen(
            [sys.executable, "-m", "testbed", *words], cwd=self.checkout, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def guest(self, role: str, line: str) -> str:
        """Run a shell line in a guest and return what it prints."""
        done = self.run("ssh", role, "--", "sh", "-c", line)
        return done.stdout

    @property
    def latest(self) -> Path:
        """The newest run directory."""
        return (self.checkout / "results/latest").resolve()

    @property
    def prefix(self) -> str:
        """The beginning of its machines' names."""
        return f"tb{Account.current().project_id(self.checkout)}-"

    def left_over(self) -> list[str]:
        """Return what a trial may leave in the guests and must not."""
        units = "systemctl list-units --all --plain --no-legend 'testbed-*' | cut -d' ' -f1"
        server = self.guest("server", f"{units}; ip link show lab0 | grep -o xdp; "
                            "grep -o '^redirect_nf[a-z_]*' /proc/modules; pgrep -a python3; "
                            "ls /sys/fs/bpf/testbed 2>/dev/null")  # fmt: skip
        client = self.guest("client", f"{units}; pgrep -a python3")
        return [line for line in (server + client).splitlines() if line.strip()]


def copy_of_this_checkout(target: Path) -> Path:
    """Copy what is the project's into a new folder."""
    skip = shutil.ignore_patterns(".git", ".venv", ".testbed", "results", "__pycache__", ".*_cache")
    shutil.copytree(REPOSITORY, target, ignore=skip)
    if provider := os.environ.get(ASKED):
        (target / "testbed.toml").write_text(f'[machines]\nprovider = "{provider}"\n')
    return target


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test that is marked `vagrant` where there is to be none, and only there."""
    if item.get_closest_marker("vagrant") and (why := why_no_vagrant()):
        pytest.skip(why)


def _kill_an_up(bed: Testbed) -> None:
    """SIGKILL an `up` while its Vagrant works: what it leaves is no hindrance to the next."""
    killed = bed.start("up")
    note = Account.current().project_dir(bed.checkout) / NOTE
    wait_for(lambda: note.exists() or killed.poll() is not None, limit_s=900)
    time.sleep(5)
    killed.kill()
    killed.communicate()


@pytest.fixture(scope="session")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    """A copy of this checkout with both machines up; removed in the end."""
    bed = Testbed(copy_of_this_checkout(tmp_path_factory.mktemp("checkout") / "testbed"))
    try:
        if not why_no_vagrant():
            _kill_an_up(bed)
        up = bed.run("up", timeout_s=1200)
        assert up.returncode == 0, up.stderr
        yield replace(bed, first_up=up.stderr)
    finally:
        down = bed.run("down", "--destroy")
        assert down.returncode == 0, down.stderr


def wait_for(condition: Callable[[], bool], *, limit_s: float) -> None:
    """Wait until `condition` holds, or fail after `limit_s`."""
    deadline = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Press Ctrl-C in the process's terminal."""
    os.killpg(process.pid, signal.SIGINT)


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text())
