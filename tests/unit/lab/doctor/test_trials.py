# SPDX-License-Identifier: Apache-2.0
"""What `testbed doctor` finds out by trying: KVM, and a machine to throw away."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from testbed.edge.computer.account import Account
from testbed.lab.doctor import boot, checks
from testbed.lab.machines import accelerator
from testbed.lab.machines.box import Box, BoxStore
from testbed.model.errors import MachineError
from tests.unit.factories.healthy import healthy, looked
from tests.unit.factories.left_over import LeftOver

Testbed = Callable[..., Any]


@pytest.fixture
def well(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> LeftOver:  # fmt: skip
    return healthy(account, tmp_path, tool, monkeypatch)


@pytest.fixture
def built(well: LeftOver, monkeypatch: pytest.MonkeyPatch) -> Box:
    """The box, in addition."""
    folder = well.account.data_dir / "boxes/0123456789ab"
    folder.mkdir()
    (folder / "testbed.box").write_text("box")
    made = Box("0123456789ab", folder, 3, "2025", "6.1.0", "e46bf68a23c0")
    monkeypatch.setattr(BoxStore, "find", lambda _: made)
    return made


# KVM: tried, unless it was


def test_kvm_is_tried_and_the_trial_leaves_nothing(
    testbed: Testbed, built: Box, monkeypatch: pytest.MonkeyPatch, account: Account
) -> None:
    tried: list[float] = []

    def try_it(_account: Account, made: Box, *, silence_s: float, limit_s: float) -> str | None:
        assert (made, silence_s) == (built, limit_s)
        tried.append(limit_s)
        return None

    monkeypatch.setattr(accelerator, "try_boot", try_it)
    _, lines = looked(testbed)
    assert lines["KVM"]["level"] == "ok"
    assert tried == [checks.KVM_LIMIT_S]
    assert not (account.data_dir / "kvm-probe").exists()


@pytest.mark.parametrize(("answer", "level"), [("", "ok"), ("no kernel boots", "note")])
def test_what_is_known_of_kvm_is_not_tried_again(
    testbed: Testbed, built: Box, account: Account, answer: str, level: str
) -> None:
    (account.data_dir / "kvm-probe").write_text(accelerator._key(built) + answer)
    _, lines = looked(testbed)
    assert lines["KVM"]["level"] == level
    assert answer in lines["KVM"]["found"]


@pytest.mark.usefixtures("well")
def test_kvm_that_is_not_there_or_not_wanted(
    testbed: Testbed, tmp_path: Path, checkout: Path
) -> None:
    assert looked(testbed)[1]["KVM"]["found"].startswith("not tried yet")
    (tmp_path / "kvm").unlink()
    status, lines = looked(testbed)
    assert (status, lines["KVM"]["level"]) == (0, "note")
    (checkout / "testbed.toml").write_text('[machines]\naccelerator = "kvm"\n')
    status, lines = looked(testbed)
    assert (status, lines["KVM"]["level"]) == (3, "problem")
    (checkout / "testbed.toml").write_text('[machines]\naccelerator = "emulation"\n')
    assert looked(testbed)[1]["KVM"]["level"] == "ok"


# A machine to throw away


def test_a_boot_is_timed(testbed: Testbed, built: Box, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(boot, "seconds_to_ssh", lambda *_: 19.04)
    status, lines = looked(testbed, "--boot")
    assert (status, lines["boot"]["level"]) == (0, "ok")
    assert lines["boot"]["found"] == (
        f"SSH answered after 19.0 s (emulation, {built.name}); removed"
    )


@pytest.mark.usefixtures("built")
def test_a_boot_that_fails(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> NoReturn:
        raise MachineError("the trial machine ended", hint="look above", detail="Kernel panic")

    monkeypatch.setattr(boot, "seconds_to_ssh", fail)
    said = testbed("doctor", "--boot")
    assert said.status == 4
    assert "Kernel panic" in said.err
    assert said.out.splitlines()[-2:] == [
        "problem  boot             the trial machine ended",
        "         → look above",
    ]


@pytest.mark.usefixtures("well")
def test_nothing_to_boot(testbed: Testbed) -> None:
    status, lines = looked(testbed, "--boot")
    assert (status, lines["boot"]["fix"]) == (4, "`testbed box build`")
