# SPDX-License-Identifier: Apache-2.0
"""Fixtures of several tests: an account and a checkout of their own, no way to real machines."""

import gc
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import CodeType, SimpleNamespace
from typing import Any, NoReturn

import pytest
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from testbed import cli
from testbed.analysis.formats import templates
from testbed.edge.computer import session_place
from testbed.edge.computer.account import Account
from testbed.edge.hypervisor.libvirt import Domains
from testbed.edge.hypervisor.python_vagrant import Calls
from testbed.edge.hypervisor.session import Session
from testbed.edge.output.terminal import Terminal
from testbed.lab.experiment import trials

# A shell that runs the tests in its background lets them ignore Ctrl-C, and so would all that they
# start: sh cannot even trap it then.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PROJECT = Path(__file__).resolve().parents[1]
BUILT = ("*.o", "*.ko", "*.mod", "*.mod.c", "*.cmd", "*.skel.h", "loader", "__pycache__", ".*")


class Compiled(BytecodeCache):
    """Templates as Python code, by what they say: each checkout has them at another place."""

    def __init__(self) -> None:
        self.codes = dict[tuple[str, bool, str], CodeType]()

    def get_bucket(
        self, environment: Environment, name: str, filename: str | None, source: str
    ) -> Bucket:
        """Return what was compiled of the same source, if anything was."""
        key: Any = (name, bool(environment.autoescape), source)
        bucket = Bucket(environment, key, self.get_source_checksum(source))
        bucket.code = self.codes.get(key)
        return bucket

    def set_bucket(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        key: Any = bucket.key
        if bucket.code is not None:
            self.codes[key] = bucket.code


@pytest.fixture(scope="session", autouse=True)
def templates_compiled_once() -> Iterator[None]:
    """A page's templates took half a second to compile, in each of hundreds of checkouts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(templates, "Environment", partial(Environment, bytecode_cache=Compiled()))
        yield


@pytest.fixture(autouse=True)
def no_real_machines(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only tests with the marker `vm` reach libvirt, Vagrant or the account of the machines."""
    if request.node.get_closest_marker("vm"):
        return

    def refuse(*_: object, **__: object) -> NoReturn:
        pytest.fail("this test reached for the real machines")

    monkeypatch.setattr(Domains, "_virsh", refuse)
    monkeypatch.setattr(Session, "_virsh", refuse)
    monkeypatch.setattr(Calls, "_make_vagrant_command", refuse)
    monkeypatch.setattr(Account, "current", refuse)


def pytest_collection_finish() -> None:
    """Three thousand tests and all modules stay: no later collection of garbage looks at them."""
    gc.collect()
    gc.freeze()


def lacking(what: str) -> NoReturn:
    """Skip the test that lacks something of this computer; fail where nothing may be lacking.

    That is in CI, which sets the variable CI, and in `./lab test`, which has installed all.
    """
    if os.environ.get("CI") or os.environ.get("TESTBED_STRICT"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def need(tool: str, package: str) -> str:
    """Return the path of a program that a test needs, wherever Debian keeps it."""
    found = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
    return found or lacking(f"{tool} is missing: apt-get install {package}")


REAL_VIRSH = Domains._virsh


@pytest.fixture
def real_virsh() -> Callable[..., str]:
    """Names that a test with a virsh of its own puts back in place of `no_real_machines`."""
    return REAL_VIRSH


@pytest.fixture
def account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An account like an ordinary user's, with a home of its own and a key."""
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(session_place, "LIMIT_BYTES", 4096)  # pytest's folders have long names
    monkeypatch.setattr(session_place, "RUN_USER", tmp_path / "nobody is logged in")
    mine = Account(None, tmp_path / "home", os.getuid(), os.getgid())
    ssh = mine.data_dir / "ssh"
    ssh.mkdir(parents=True)
    (ssh / "id_ed25519").write_text("not a key\n")
    (ssh / "id_ed25519.pub").write_text("ssh-ed25519 AAAA testbed\n")
    monkeypatch.setattr(Account, "current", classmethod(lambda _: mine))
    return mine


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of its own with everything that a verb reads, and no build products."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    shutil.copy(PROJECT / "Vagrantfile", folder)
    for part in ("guest", "templates"):
        shutil.copytree(PROJECT / part, folder / part, ignore=shutil.ignore_patterns(*BUILT))
    return folder


@pytest.fixture
def quiet() -> Terminal:
    """A terminal that says only what is wrong."""
    return Terminal(-1)


@pytest.fixture
def ctrl_c_works() -> Iterator[None]:
    """SIGINT raises KeyboardInterrupt, also where the tests run in the background."""
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, previous)


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """A function that puts a shell script on the path under a tool's name."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def make(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Hardly any time passes; what the trial loop waited for is noted.

    Nor is anything pressed to the disk: that files are whole is another test's.
    """
    seconds: list[float] = []

    def sleep(wanted: float) -> None:
        seconds.append(wanted)
        time.sleep(min(wanted, 0.01))

    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(trials, "time", SimpleNamespace(**{**vars(time), "sleep": sleep}))
    return seconds


@dataclass(frozen=True)
class Said:
    """The result of one command line."""

    status: int
    out: str
    err: str


@pytest.fixture
def testbed(
    checkout: Path,
    account: Account,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> Callable[..., Said]:
    """A function that runs a `testbed` command line in the checkout, in this process."""
    monkeypatch.chdir(checkout)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr("testbed.cli.app.state", {"level": 0})

    def run(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["testbed", *words])
        status: Any = 0
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            cli.main()
        except SystemExit as end:
            status = end.code or 0
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        said = capfd.readouterr()
        return Said(status, said.out, said.err)

    return run
