# SPDX-License-Identifier: Apache-2.0
"""`testbed bench` as a whole, and what comes first in it, on two pretended machines."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.counting import result
from testbed.analysis.counting.summary import Summary
from testbed.analysis.plots import style
from testbed.edge.computer.account import Account
from testbed.edge.guests.guest import Guest
from testbed.edge.output.terminal import Terminal
from testbed.lab.experiment.host_readings import HostReadings
from testbed.lab.guests import blame
from testbed.lab.guests.building import demand_built
from testbed.lab.guests.deploy import Wanted
from testbed.lab.machines import host_facts
from testbed.lab.machines.accelerator import Accelerator
from testbed.lab.machines.machines import Machines
from testbed.model import arm as arms
from testbed.model.config import Config
from testbed.verbs.lab import Lab
from testbed.verbs.upkeep.machines import prepare
from tests.unit.factories.fakes import World
from tests.unit.factories.left_over import LeftOver, pretend
from tests.unit.factories.sketches import sketch


@pytest.fixture(scope="session", autouse=True)
def recorded_packets_read_once() -> Iterator[None]:
    """The packets of the recorded arms are walked through once, wherever a copy of them lies."""
    read = result._summary
    known: dict[tuple[tuple[str, bytes], ...], Summary] = {}

    def summary(folder: Path) -> Summary:
        files = sorted(path for path in folder.glob("*") if path.is_file())
        key = tuple((path.name, sha256(path.read_bytes()).digest()) for path in files)
        if key not in known:
            known[key] = read(folder)  # raises for what is damaged, each time
        found = known[key]
        return Summary(replace(found.counted, where=str(folder)), found.packets)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(result, "_summary", summary)
        yield


@pytest.fixture
def sketched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are laid out and not written: for tests that look at words."""
    sketch(monkeypatch)


@pytest.fixture
def no_png(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a figure's time goes into its PNG: for tests that look at the SVG."""
    monkeypatch.setattr(style, "png_of", lambda _: b"")


@pytest.fixture
def bench_line(
    testbed: Callable[..., Any],
    checkout: Path,
    waited: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Any]:
    """A function that runs `testbed -q bench` with words, in a world; nothing idles there."""
    quick = "settle_s = 0\nidle_s = 0.2\ndrain_s = 0\nwarm_up = 0\n"
    (checkout / "testbed.toml").write_text(f"[bench]\n{quick}")
    monkeypatch.setattr(Machines, "accelerator", lambda _: Accelerator("emulation", "no KVM"))
    monkeypatch.setattr(host_facts, "collect", lambda _: {"schema": 1})
    monkeypatch.setattr("testbed.cli.measuring.render", lambda *_: None)
    monkeypatch.setattr("testbed.verbs.measuring.experiment.run_gate", lambda *_: None)
    monkeypatch.setattr("testbed.verbs.measuring.experiment.count_too", lambda *_: None)
    monkeypatch.setattr(HostReadings, "of", lambda _: HostReadings({}, {}))
    monkeypatch.setattr(Guest, "start_agent", lambda _: None)  # the pretended one is there
    # When a pretended connection breaks, all that the console will ever tell is in it.
    monkeypatch.setattr(blame, "SEEN_S", 0.0)
    running = {"client": "running", "server": "running"}
    monkeypatch.setattr(Machines, "states", lambda _: running)

    def run(world: World, *words: str) -> Any:
        monkeypatch.setattr(Machines, "guests", lambda _: connected(world))
        return testbed("-q", "bench", *words)

    return run


def connected(world: World) -> dict[str, Guest]:
    """Return the guests of a world, whose connections are open again."""
    for guest in world.guests.values():
        guest._closed = False
    return world.guests


@pytest.fixture
def prepared(
    checkout: Path, account: Account, quiet: Terminal, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """A function that prepares the server for arms, as every command does first; what it warned."""
    lab = Lab(checkout, quiet, Config())

    def run(world: World, *names: str) -> str:
        wanted = Wanted.read(checkout, arms.choose(checkout / "guest/arms", names))
        capsys.readouterr()
        demand_built(prepare(lab, world.guests["server"], wanted))
        return capsys.readouterr().err

    return run


@pytest.fixture
def there(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> LeftOver:  # fmt: skip
    """The leftovers of crashes, on a disk of the test's own and in a pretended libvirt."""
    return pretend(account, tmp_path, tool, monkeypatch)
