# SPDX-License-Identifier: Apache-2.0
"""`testbed bench` as a whole, on two pretended machines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fakes import World

from testbed.edge.guest import Guest
from testbed.lab import hostfacts
from testbed.lab.accelerator import Accelerator
from testbed.lab.host_readings import HostReadings
from testbed.lab.machines import Machines


@pytest.fixture
def bench_line(
    testbed: Callable[..., Any], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """A function that runs `testbed -q bench` with words, in a world."""
    quick = "settle_s = 0\nidle_s = 0.2\ndrain_s = 0\nwarm_up = 0\n"
    (checkout / "testbed.toml").write_text(f"[bench]\n{quick}")
    monkeypatch.setattr(Machines, "accelerator", lambda _: Accelerator("emulation", "no KVM"))
    monkeypatch.setattr(hostfacts, "collect", lambda _: {"schema": 1})
    monkeypatch.setattr("testbed.cli.measuring._report", lambda *_: None)
    monkeypatch.setattr("testbed.verbs.experiment.run_gate", lambda *_: None)  # test_oracle_lab
    monkeypatch.setattr(HostReadings, "of", lambda _: HostReadings({}, {}))
    monkeypatch.setattr(Guest, "start_agent", lambda _: None)  # the pretended one is there
    running = {"client": "running", "server": "running"}
    monkeypatch.setattr(Machines, "states", lambda _: running)

    def run(world: World, *words: str) -> Any:
        monkeypatch.setattr(Machines, "guests", lambda _: world.guests)
        return testbed("-q", "bench", *words)

    return run
