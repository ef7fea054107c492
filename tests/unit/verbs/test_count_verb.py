# SPDX-License-Identifier: Apache-2.0
"""`testbed count` as a whole, on a pretended counting machine."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.guests.guest import Guest
from testbed.edge.hypervisor.libvirt import Domains
from testbed.lab.counting import plugin as counter_plugin
from testbed.lab.counting import server
from testbed.lab.counting.arm import WARM_UP
from testbed.lab.counting.machine import CountingMachine, Running
from testbed.lab.counting.plugin import Plugin
from testbed.lab.machines import accelerator
from testbed.lab.machines.box import Box, BoxStore
from testbed.lab.machines.machines import Machines
from testbed.model.errors import MachineError
from tests.unit.factories.counting_factory import Kernel, packet
from tests.unit.factories.counting_fakes import FakeCounter, FakeMonitor, Sender
from tests.unit.factories.fakes import World

pytestmark = pytest.mark.usefixtures("sketched")
Count = Callable[..., Any]
PACKETS = 17


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def stretches() -> list[bytes]:
    """The code that the CPU runs for each packet; a test may change it."""
    return []


@pytest.fixture
def count_line(
    testbed: Count, checkout: Path, world: World, stretches: list[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> Count:  # fmt: skip
    """A function that runs `testbed -q count` with words."""
    kernel = Kernel()
    stretches += [packet(kernel)] * 2000
    world.machines["server"].files["/proc/kallsyms"] = kernel.symbols().replace(" [", "\t[")
    recipe = checkout / "guest/box"
    recipe.mkdir(parents=True, exist_ok=True)
    (recipe / "syslinux.cfg").write_text("  APPEND root=/dev/vda quiet\n")
    box = Box("0123456789ab", checkout, 1, "2026", "6.1.0", "00")
    monkeypatch.setattr(BoxStore, "build", lambda *_: box)
    built = Plugin(Path("counter.so"), "QEMU 7.2", 1)
    monkeypatch.setattr(counter_plugin, "build", lambda *_: built)

    @contextlib.contextmanager
    def running(*_: Any) -> Iterator[Running]:
        monitor: Any = FakeMonitor()
        counter: Any = FakeCounter(kernel.blocks(), [[path] for path in stretches])
        link: Any = Sender()
        yield Running(world.guests["server"], monitor, counter, link)

    @contextlib.contextmanager
    def prepared(machine: CountingMachine, holds: Any) -> Iterator[Guest]:
        yield world.guests["server"]
        machine.account.make_dir(machine.folder)
        machine.disk.write_text("disk")
        record = {"made_with": machine.made_with(), "holds": holds}
        (machine.folder / "saved.json").write_text(json.dumps(record))

    monkeypatch.setattr(CountingMachine, "counting", running)
    monkeypatch.setattr(CountingMachine, "prepared", prepared)
    monkeypatch.setattr(server, "start_receiver", lambda *_: None)
    monkeypatch.setattr(server, "received", lambda _: '{"packets": 51, "bytes": 51000}')
    states = {"client": "not created", "server": "not created"}
    monkeypatch.setattr(Machines, "states", lambda _: states)

    def run(*words: str) -> Any:
        return testbed("count", "--packets", str(PACKETS), *words)

    return run


def test_a_count_ends_with_a_table_and_a_run(
    count_line: Count, checkout: Path, world: World
) -> None:
    said = count_line("--arms", "none")
    assert said.status == 0, said.err
    assert said.out.startswith("arm ")
    assert "none, 1,000 bytes, 17 packets, 100% of them typical:" in said.out
    assert "the gate was not run" in said.err
    run = (checkout / "results/latest-count").resolve()
    manifest = json.loads((run / "manifest.json").read_text())
    assert {"count/count.json", "count/none-1000/facts.json"} <= set(manifest["files"])
    assert not any(name.startswith("derived/") for name in manifest["files"])
    assert (run / "derived/count.json").is_file()
    assert said.out.splitlines()[-1] == str(run / "report.html")
    assert not (checkout / "results/latest").exists(), "that is for runs of trials"
    assert world.hooks == set()
    facts = json.loads((run / "count/count.json").read_text())
    assert re.fullmatch(r"[0-9a-f]{64}", facts["sources"]["none"])
    assert {"kernel_package", "built_with"} <= set(facts["identity"])


def test_json_is_one_object(count_line: Count) -> None:
    said = count_line("--arms", "none", "--payload", "211,1472", "--json")
    document = json.loads(said.out)
    assert document["schema"] == 1
    assert document["gate"] is None
    assert [arm["payload_bytes"] for arm in document["arms"]] == [211, 1472]
    assert document["by_payload"]["none"]["per_byte"] == pytest.approx(0)


def test_what_is_saved_is_not_made_again(count_line: Count) -> None:
    assert "boot, build, save" in count_line("--arms", "none").err
    assert "build, save" not in count_line("--arms", "none").err


def test_status_tells_of_the_counting_machine(
    count_line: Count, testbed: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    count_line("--arms", "none")
    monkeypatch.setattr(Domains, "states", lambda _: {})
    assert testbed("status").out.splitlines()[-1] == "counting saved"


def test_a_count_that_is_not_whole_is_invalid(count_line: Count) -> None:
    """The pretended hook counts 7 packets before and after, whatever is sent."""
    said = count_line("--arms", "netfilter")
    assert said.status == 7
    assert f"the hook counted 0 packets of {PACKETS + WARM_UP}" in said.out


def test_gro_is_as_configured_on_the_counting_machine_too(
    count_line: Count, checkout: Path, world: World
) -> None:
    for words, switched in (("", []), ("[bench]\ngro = false\n", ["off", "on"])):
        (checkout / "testbed.toml").write_text(words)
        assert count_line("--arms", "none").status == 0
        lines = [step.line for step in world.steps if "ethtool" in step.line]
        assert lines == [f"ethtool -K lab0 gro {to}" for to in switched]
        known = json.loads((checkout / "results/latest-count/count/count.json").read_text())
        assert known["identity"]["gro"] is not bool(switched)


def test_a_hook_in_which_a_packet_does_not_end_fails_as_an_arm(
    count_line: Count, checkout: Path, stretches: list[bytes]
) -> None:
    del stretches[WARM_UP + 3 :]
    said = count_line("--arms", "none")
    assert said.status == 6
    assert "arm none: packet 4 never came to an end" in said.err
    (run,) = (checkout / "results").iterdir()
    assert not (run / "manifest.json").exists()


def test_a_machine_that_ends_is_exit_code_4(
    count_line: Count, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ends(*_: Any) -> Any:
        raise MachineError("the counting machine ended while it was counting")

    monkeypatch.setattr(FakeCounter, "on", ends)
    assert count_line("--arms", "none").status == 4


def test_the_counting_machine_is_its_own_whatever_the_pair_runs_on(
    count_line: Count, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One emulated CPU, also beside a pair with KVM and several: that is said, and nothing asked
    of the pair's accelerator."""

    def asked(*_: Any) -> Any:
        raise AssertionError

    for name in ("choose", "Accelerator"):
        monkeypatch.setattr(accelerator, name, asked)
    for cpus in (1, 2):
        (checkout / "testbed.toml").write_text(
            f'[machines]\naccelerator = "kvm"\n[machines.server]\ncpus = {cpus}\n'
        )
        said = count_line("--arms", "none")
        assert said.status == 0, said.err
        words = f"a packet's way is counted on one CPU; the pair's server has {cpus}"
        assert (words in said.err) == (cpus == 2)
