# SPDX-License-Identifier: Apache-2.0
"""`testbed doctor`: everything at once, one line each, and nothing hidden or changed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest

from testbed.edge.computer.account import Account
from testbed.lab.doctor import checks, programs, survey
from testbed.lab.doctor.diagnosis import Diagnosis
from testbed.lab.machines.box import Box, BoxStore
from testbed.model.errors import HostError
from tests import PROJECT
from tests.unit.factories.healthy import healthy, looked
from tests.unit.factories.left_over import LeftOver

Testbed = Callable[..., Any]
NAMES = [
    "testbed.toml", "platform", "virtualisation", "cores", "KVM", "memory", "disk: data",
    "disk: scratch", "disk: results", "provider", "vagrant", "vagrant-libvirt", "qemu", "nic_model",
    "counting",
    "qemu-img", "libvirt", "libvirt daemon", "mmdebstrap", "mke2fs", "setpriv", "ssh",
    "image tools", "account", "user ids", "user namespaces", "data folder", "checkout",
    "ssh key", "libvirt sockets", "libvirt session", "box", "ports", "lock", "power", "governor",
    "other machines", "leftovers",
]  # fmt: skip


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


def whole(folder: Path) -> dict[str, tuple[float, int]]:
    """Return what is in a folder, and when it was last changed."""
    found = {str(path): path.lstat() for path in (folder, *folder.rglob("*"))}
    return {name: (facts.st_mtime_ns, facts.st_size) for name, facts in found.items()}


def test_all_is_well(testbed: Testbed, built: Box) -> None:
    assert built.box.exists()
    status, lines = looked(testbed)
    assert {name: line for name, line in lines.items() if line["level"] != "ok"} == {
        "KVM": lines["KVM"]  # the pretended QEMU boots no kernel
    }
    assert list(lines) == NAMES
    assert status == 0


@pytest.mark.parametrize("name", NAMES)
def test_every_line_is_explained(name: str) -> None:
    page = (PROJECT / "docs/doctor.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert any(f"`{name}`" in row.split("|")[1] for row in rows)


@pytest.mark.usefixtures("well")
def test_nothing_is_changed_by_looking(testbed: Testbed, checkout: Path, account: Account) -> None:
    before = whole(checkout), whole(account.home)
    assert testbed("doctor").status == 0
    assert (whole(checkout), whole(account.home)) == before


@pytest.mark.usefixtures("well")
def test_a_computer_on_which_nothing_was_ever_done(
    testbed: Testbed, checkout: Path, account: Account
) -> None:
    (account.data_dir / "vagrant.d/plugins.json").unlink()
    for name in ("id_ed25519", "id_ed25519.pub"):
        (account.data_dir / "ssh" / name).unlink()
    for folder in sorted(account.data_dir.rglob("*"), reverse=True):
        folder.rmdir()
    account.data_dir.rmdir()
    before = whole(checkout), whole(account.home)
    status, lines = looked(testbed)
    assert [line for line in lines.values() if "could not be looked at" in line["found"]] == []
    assert lines["vagrant-libvirt"]["level"] == "problem"
    assert lines["box"]["level"] == "note"
    assert status == 3
    assert (whole(checkout), whole(account.home)) == before


@pytest.mark.usefixtures("well")
def test_the_table_in_a_pipe(testbed: Testbed) -> None:
    said = testbed("doctor")
    assert said.status == 0
    assert "\x1b" not in said.out
    lines = said.out.splitlines()
    assert lines[0] == "ok       testbed.toml     none: every key has its default"
    note = next(number for number, line in enumerate(lines) if line.startswith("note     box"))
    assert lines[note] == "note     box              not built yet"
    assert lines[note + 1].startswith("         → `testbed box build`")
    assert "2 notes, 36 ok" in said.err


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize("name", ["qemu-img", "mmdebstrap", "libvirtd", "virsh"])
def test_a_tool_that_is_missing(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    real = programs.host.find

    def find(tool: str, *, package: str) -> str:
        if tool == name or (name, tool) == ("libvirtd", "virtqemud"):
            raise HostError(f"{tool} is not installed", hint="run ./lab")
        return real(tool, package=package)

    monkeypatch.setattr(programs.host, "find", find)
    status, lines = looked(testbed)
    assert status == 3
    title = {"libvirtd": "libvirt daemon", "virsh": "libvirt"}.get(name, name)
    assert lines[title]["level"] == "problem"
    assert "./lab" in lines[title]["fix"]
    assert list(lines) == NAMES


@pytest.mark.usefixtures("well")
def test_a_configuration_that_cannot_be_used_hides_nothing(
    testbed: Testbed, checkout: Path
) -> None:
    (checkout / "testbed.toml").write_text("[bench]\nrate_ppz = 1\n")
    status, lines = looked(testbed)
    assert (status, lines["testbed.toml"]["level"]) == (3, "problem")
    assert "did you mean rate_pps?" in lines["testbed.toml"]["found"]
    assert list(lines) == NAMES


@pytest.mark.usefixtures("well")
@pytest.mark.parametrize(
    ("error", "found", "fix"),
    [
        (KeyError("x"), "KeyError('x')", "please report"),
        (PermissionError(13, "Permission denied", "/proc/x"), "Permission denied", "can be read"),
        (HostError("no end after 10 s: virsh", hint="wait"), "no end after 10 s", "wait"),
        (HostError("exit status 1", detail="a\nlast words"), "exit status 1; last words", "see"),
    ],
    ids=["bug", "system", "limit", "command"],
)
def test_a_check_that_fails_hides_no_other(
    testbed: Testbed, monkeypatch: pytest.MonkeyPatch, error: Exception, found: str, fix: str
) -> None:
    def fail(_: object) -> NoReturn:
        raise error

    monkeypatch.setitem(checks.CHECKS, "memory", fail)
    status, lines = looked(testbed)
    assert lines["memory"]["level"] == "warning"
    assert found in lines["memory"]["found"]
    assert fix in lines["memory"]["fix"]
    assert list(lines) == NAMES
    assert status == 0


@pytest.mark.usefixtures("well")
def test_a_computer_without_vagrant_lacks_nothing_unless_it_is_asked_for(
    testbed: Testbed, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = programs.host.find

    def find(tool: str, *, package: str) -> str:
        if tool == "vagrant":
            raise HostError(f"{tool} is not installed", hint="run ./lab")
        return real(tool, package=package)

    monkeypatch.setattr(programs.host, "find", find)
    status, lines = looked(testbed)
    assert status == 0
    assert [name for name in NAMES if name not in lines] == ["vagrant", "vagrant-libvirt"]
    assert lines["provider"]["found"] == "libvirt: no vagrant on this computer"
    (checkout / "testbed.toml").write_text('[machines]\nprovider = "vagrant"\n')
    status, lines = looked(testbed)
    assert status == 3
    assert {lines[name]["level"] for name in ("provider", "vagrant")} == {"problem"}
    assert "./lab --provider vagrant" in lines["provider"]["fix"]


@pytest.mark.usefixtures("well")
def test_a_vagrant_whose_plugin_does_not_load_is_a_note(
    testbed: Testbed, tool: Callable[[str, str], Path]
) -> None:
    tool("vagrant", '[ "$1" = --version ] && exec echo Vagrant 2.3.4; echo "it is broken"; exit 1')
    status, lines = looked(testbed)
    assert (status, lines["provider"]["level"]) == (0, "note")
    assert lines["provider"]["found"] == (
        "libvirt: Vagrant's libvirt plugin does not load: it is broken"
    )
    assert (lines["vagrant"]["level"], "vagrant-libvirt" in lines) == ("ok", False)


@pytest.mark.usefixtures("well")
def test_root_without_the_account(testbed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise HostError("the account testbed does not exist", hint="run ./lab once")

    monkeypatch.setattr(Account, "current", refuse)
    status, lines = looked(testbed)
    assert (status, lines["account"]["level"]) == (3, "problem")
    assert lines["libvirt session"]["found"] == "not looked at: there is no account"
    assert lines["memory"]["level"] == "ok"
    assert lines["vagrant"]["level"] == "ok"


def test_root_needs_no_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    line = Diagnosis("a", "note", "b", "`sudo adduser me kvm`, `echo x | sudo tee y`")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (found,) = survey.everything(None, {"a": lambda _: [line]})  # type: ignore[arg-type]
    assert found.fix == "`adduser me kvm`, `echo x | tee y`"
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert survey.everything(None, {"a": lambda _: [line]}) == [line]  # type: ignore[arg-type]
