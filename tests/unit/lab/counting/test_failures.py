# SPDX-License-Identifier: Apache-2.0
"""The counting machine when something fails: the counter does not load, a build is interrupted."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.counting.machine import CountingMachine, Running
from testbed.lab.counting.plugin import Plugin
from testbed.model.errors import GuestError, HostError, MachineError, TestbedError
from tests.unit.factories.counting_fakes import QEMU, counting_machine, save

Tool = Callable[[str, str], Path]


@pytest.fixture
def machine(tmp_path: Path) -> CountingMachine:
    return counting_machine(tmp_path)


class Monitor:
    """QEMU's monitor; notes whether there is a record when the state is saved."""

    def __init__(self, machine: CountingMachine) -> None:
        self.machine, self.recorded = machine, True

    def ask(self, _: str) -> None:
        pass

    def do(self, line: str) -> None:
        assert line == "savevm ready"
        self.recorded = self.machine.saved() is not None


@pytest.mark.parametrize("fails", [False, True])
def test_a_state_goes_on_until_another_is_saved_over_it(
    fails: bool, machine: CountingMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that fails or is interrupted costs no boot, and no half state has a record."""
    save(machine)
    monitor: Any = Monitor(machine)
    guest: Any = type("Guest", (), {"close": lambda _: None})()

    @contextlib.contextmanager
    def started(*_: Any, **__: Any) -> Iterator[Running]:
        yield Running(guest, monitor, None, None)

    monkeypatch.setattr(CountingMachine, "_started", started)
    with contextlib.suppress(GuestError), machine.prepared({"arms": ["xdp"]}):
        if fails:
            raise GuestError("a build was interrupted")
    found = machine.saved()
    assert found is not None
    assert found["holds"] == {"arms": ["none" if fails else "xdp"]}
    assert monitor.recorded == fails


@pytest.mark.parametrize(
    ("said", "kind"),
    [("Could not load plugin p: file too short", HostError),
     ("counter: blocks=N: 1 to 131071", HostError),
     ("Could not open 'disk.qcow2'", MachineError)],
)  # fmt: skip
def test_a_counter_that_does_not_load_is_this_computers_fault_and_is_made_anew(
    said: str, kind: type[TestbedError], machine: CountingMachine, tool: Tool, tmp_path: Path
) -> None:
    tool("qemu-system-x86_64", f'echo "qemu-system-x86_64: {said}" >&2; exit 1')
    save(machine)
    file = tmp_path / "counter.so"
    file.write_text("damaged")
    with (
        pytest.raises(kind) as caught,
        machine.counting(Plugin(file, QEMU, 1)),
    ):
        pass
    assert said in caught.value.detail
    assert file.exists() == (kind is MachineError)
