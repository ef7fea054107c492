# SPDX-License-Identifier: Apache-2.0
"""GRO: switched off for a command and on again after it, and told as it was in force."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.analysis.conclusions.two_runs import differences
from testbed.analysis.findings import Verdict
from testbed.analysis.measures import cost_names, gro
from testbed.analysis.page.generic_xdp import generic_xdp_note
from testbed.analysis.page.report import render_report
from testbed.analysis.reading.records import Run
from testbed.analysis.reading.run import load_run
from testbed.lab.guests.offloads import gro_as_configured
from testbed.model.config import Config
from testbed.model.errors import GuestError
from tests import PROJECT
from tests.unit.factories.fakes import Fault, Step, World
from tests.unit.factories.run_changes import all_arms, found_by, of_facts, of_state
from tests.unit.factories.run_factory import RunRecipe, make_run
from tests.unit.factories.sketches import sketched

pytestmark = pytest.mark.usefixtures("sketched")

WITHOUT = Config().with_bench(gro=False)
OFF, ON = "ethtool -K lab0 gro off", "ethtool -K lab0 gro on"


def lines(world: World) -> list[str]:
    return [step.line for step in world.steps]


def test_nothing_is_switched_unless_that_is_asked_for() -> None:
    world = World()
    with gro_as_configured(world.guests["server"], Config()):
        pass
    assert lines(world) == []


@pytest.mark.parametrize("end", [None, KeyboardInterrupt, GuestError])
def test_off_for_as_long_as_it_lasts(end: Any) -> None:
    world = World()
    with (
        pytest.raises(end) if end else nothing(),
        gro_as_configured(  # type: ignore[attr-defined]
            world.guests["server"], WITHOUT
        ),
    ):
        assert lines(world) == [OFF]
        if end:
            raise end("cut off")
    assert lines(world) == [OFF, ON]


def nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


def test_what_cut_it_off_is_told_and_not_that_the_server_is_gone() -> None:
    world = World(fault=Fault("server", 1, "lost", "ethtool"))
    with (
        pytest.raises(ValueError, match="the first"),
        gro_as_configured(world.guests["server"], WITHOUT),
    ):
        raise ValueError("the first")
    assert world.steps[-1] == Step("server", ON)


def test_a_set_up_server_has_it_on() -> None:
    """So that a run which was killed leaves nothing behind for the next one."""
    script = (PROJECT / "guest/setup/server.sh").read_text()
    assert "\nethtool -K $nic gro on\n" in script


# --- as it was in force ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return load_run(make_run(tmp_path_factory.mktemp("gro"), RunRecipe(trials=2)))


def switched(on: bool) -> Any:
    return all_arms(*(of_state(arm, gro={"lab0": on}) for arm in ("none", "netfilter", "xdp")))


def in_force(run: Run) -> dict[str, bool | None]:
    return {arm.name: gro.in_force(run, arm) for arm in run.arms}


def test_a_generic_xdp_program_leaves_it_out(run: Run) -> None:
    assert in_force(run) == {"none": True, "netfilter": True, "xdp": False}
    assert gro.in_words(run) == (
        "in force: No hook, Netfilter kernel module; left out by the kernel (a generic XDP program "
        "is attached): XDP program, generic mode"
    )


def test_the_kernels_word_goes_before_the_arms(run: Run) -> None:
    def attached(links: Any) -> Any:
        root = [
            link | {"xdp": {"mode": gro.GENERIC}} if link["ifname"] == "lab0" else link
            for link in links["root"]
        ]
        return links | {"root": root}

    assert in_force(of_state("netfilter", links=attached)(run))["netfilter"] is False


def test_off_for_every_arm(run: Run) -> None:
    off = switched(False)(run)
    assert in_force(off) == dict.fromkeys(("none", "netfilter", "xdp"), False)
    assert gro.in_words(off) == "switched off, for every arm"
    assert "GRO was switched off for every arm" in generic_xdp_note(off)


def test_an_older_run_tells_by_its_facts_or_not_at_all(run: Run) -> None:
    assert gro.switch(run) == "on"
    nameless = of_facts("server-before", nics={})(run)
    assert gro.switch(nameless) == "unknown"
    assert gro.in_words(nameless) == ""
    assert "GRO on lab0: not recorded" in differences(nameless, nameless)


def test_a_switch_in_the_middle_is_another_machine(run: Run) -> None:
    one = run.trials[0]
    assert one.before is not None
    state = {**one.before.state, "gro": {"lab0": False}}
    odd = replace(one, before=replace(one.before, state=state))
    mixed = replace(switched(True)(run), trials=(odd, *switched(True)(run).trials[1:]))
    assert gro.switch(mixed) == "on in some trials"
    (finding,) = found_by(mixed, "state")
    assert (finding.verdict, finding.statement) == (
        Verdict.INVALID, "GRO on lab0 is off, elsewhere on"
    )  # fmt: skip


def test_two_runs_with_and_without_are_not_compared(run: Run) -> None:
    (said,) = differences(run, switched(False)(run))
    assert said.startswith("GRO on lab0: on in ")


def test_the_page_says_what_generic_xdp_changes(run: Run) -> None:
    page = render_report(run)["report.md"]
    assert isinstance(page, str)
    assert "the kernel leaves GRO out on that NIC" in page
    assert "verified by UDP itself, in the receive call" in page
    assert "e1000 leaves 78 of the 256 bytes" in page
    assert "GRO (server, lab0): in force: No hook, Netfilter kernel module" in page
    assert "skipped" not in page


def test_what_is_true_of_another_nic_and_of_a_short_packet(run: Run) -> None:
    other = of_facts("server-before", nics={"lab0": {"driver": {"driver": "virtio_net"}}})(run)
    assert "A packet with less than 256 bytes in front" in generic_xdp_note(other)
    trials = tuple(
        replace(t, client=replace(t.client, payload_bytes=68)) for t in run.trials if t.client
    )
    assert "before it queues the packet" in generic_xdp_note(replace(run, trials=trials))


# --- what a cost is called ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accelerator", "unit", "noun"),
    [("kvm", "CPU-µs", "CPU time"), ("emulation", "Non-idle µs", "non-idle time")],
)
def test_a_cost_is_called_what_it_is(
    tmp_path: Path, accelerator: str, unit: str, noun: str
) -> None:
    found = load_run(make_run(tmp_path, RunRecipe(accelerator=accelerator)))
    with sketched(("comparison",)):
        files = render_report(found)
    for name in ("report.html", "report.md"):
        page = files[name]
        assert isinstance(page, str)
        assert f"{unit} per packet" in page
        assert f"times the {noun} per delivered packet" in page
        assert ("count the time that they waited" in page) is (accelerator == "emulation")
    picture = files["plots/comparison.svg"]
    assert cost_names.cost_unit(found) in str(picture)
    other = "CPU-µs per" if accelerator == "emulation" else "on-idle µs"
    assert other not in str(picture) + str(files["report.md"])
    assert str(files["derived/trials.csv"]).splitlines()[0].count("cost_us") == 1
