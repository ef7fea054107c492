# SPDX-License-Identifier: Apache-2.0
"""Which provider is taken, and what a Vagrant that cannot be used says of itself."""

from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.hypervisor import vagrant as module
from testbed.edge.hypervisor.provider import Choice, choose
from testbed.edge.hypervisor.vagrant import Vagrant
from testbed.model.errors import ExitCode, HostError

WORKS = Choice("vagrant", "it and its libvirt plugin work")
MADE = {name: Choice(name, "earlier") for name in ("vagrant", "libvirt")}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wanted", "made_by", "why_not", "expected"),
    [
        ("auto", None, None, WORKS),
        ("auto", None, "damaged", Choice("libvirt", "damaged")),
        ("auto", "vagrant", "damaged", MADE["vagrant"]),
        ("auto", "libvirt", None, MADE["libvirt"]),
        ("libvirt", "vagrant", None, Choice("libvirt", "asked for")),
        ("vagrant", "libvirt", None, WORKS),
        ("vagrant", "vagrant", "damaged", MADE["vagrant"]),
    ],
)
def test_choice(wanted: str, made_by: str, why_not: str | None, expected: Choice) -> None:
    assert choose(wanted, MADE.get(made_by), lambda: why_not) == expected  # type: ignore[arg-type]


def test_vagrant_is_asked_only_where_that_decides() -> None:
    def refuse() -> str:
        pytest.fail("Vagrant was started, which takes a second")

    assert choose("auto", MADE["libvirt"], refuse).name == "libvirt"
    assert choose("libvirt", None, refuse).name == "libvirt"


def test_a_vagrant_that_is_demanded_and_cannot_be_used() -> None:
    with pytest.raises(HostError) as caught:
        choose("vagrant", None, lambda: "no vagrant on this computer")
    assert caught.value.exit_code is ExitCode.HOST
    assert caught.value.message == (
        "Vagrant is asked for and cannot be used: no vagrant on this computer"
    )
    assert "./lab --provider vagrant" in caught.value.hint


EARLY = "Vagrant failed to initialize at a very early stage:\n\n"
LOADING = f"{EARLY}There was an error loading a Vagrantfile.\n\nPath: /x/Vagrantfile\n"
SAID = {
    "not installed": f"{LOADING}Message: LoadError: cannot load such file -- vagrant-libvirt\n",
    "damaged": f"{EARLY}The plugins failed to load properly. The error message given is\n"
    "shown below.\n\n/x/plugin.rb:1: unterminated string meets end of file\nraise\n",
    "damaged driver": f"{EARLY}There is a syntax error in the following Vagrantfile. The syntax "
    "error\nmessage is reproduced below for convenience:\n\n/x/driver.rb:1: unterminated string "
    'meets end of file\nx = "unterminated\n                 ^\n',
    "not known": f"{LOADING}Message: LoadError: libvirt is none of Vagrant's providers\n",
    "raises": "/x/driver.rb:60:in `open_read_only': Failed to connect socket (Libvirt::X"
    "Error)\nfrom /x/driver.rb:60:in `system_connection'\nfrom /usr/bin/vagrant:25:in `<main>'\n",
    "crash": "/x/_libvirt.so: [BUG] Bus Error at 0x1\nruby 3.1.2p20\n\n7f-80 rw-p [stack]\n",
    "other Ruby": f"{LOADING}Message: LoadError: libruby-3.0.so.3.0: cannot open shared object\n",
    "silent": "",
}
MEANS = {
    "not installed": "Vagrant's libvirt plugin is not installed",
    "damaged": "Vagrant's libvirt plugin does not load: "
    "/x/plugin.rb:1: unterminated string meets end of file",
    "damaged driver": "Vagrant's libvirt plugin does not load: "
    "/x/driver.rb:1: unterminated string meets end of file",
    "not known": "Vagrant's libvirt plugin is not installed",
    "raises": "Vagrant's libvirt plugin does not load: /x/driver.rb:60:in `open_read_only': Failed "
    "to connect socket (Libvirt::XError)",
    "crash": "Vagrant's libvirt plugin does not load: /x/_libvirt.so: [BUG] Bus Error at 0x1",
    "other Ruby": "Vagrant's libvirt plugin does not load: "
    "LoadError: libruby-3.0.so.3.0: cannot open shared object",
    "silent": "Vagrant's libvirt plugin does not load: it says nothing",
}


@pytest.mark.parametrize("kind", SAID)
def test_a_plugin_that_does_not_load(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path], kind: str
) -> None:
    (tmp_path / "said").write_text(SAID[kind])
    tool("vagrant", f"cat {tmp_path}/said; exit 1")
    assert Vagrant(account, tmp_path).problem() == MEANS[kind]


def test_the_trial_is_in_a_folder_to_throw_away(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path]
) -> None:
    tool("vagrant", f'echo "$1 $VAGRANT_CWD $VAGRANT_HOME" > {tmp_path}/asked; cat Vagrantfile')
    assert Vagrant(account, tmp_path).problem() is None
    verb, folder, home = (tmp_path / "asked").read_text().split()
    assert verb == "validate"
    assert Path(home).parent == Path(folder), "where Vagrant has no home it gets none"
    assert not Path(folder).exists()
    (account.data_dir / "vagrant.d").mkdir()
    assert Vagrant(account, tmp_path).problem() is None
    assert (tmp_path / "asked").read_text().split()[2] == str(account.data_dir / "vagrant.d")


def test_no_vagrant_and_one_that_does_not_answer(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tool("vagrant", "sleep 9")
    assert Vagrant(account, tmp_path).problem(0.2) == "vagrant gave no answer within 0.2 s"
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(module.host, "find", _nothing)
    assert Vagrant(account, tmp_path).problem() == "no vagrant on this computer"
    assert Vagrant(account, tmp_path).facts() == {}
    assert Vagrant(account, tmp_path).command() is None


def _nothing(tool: str, *, package: str) -> str:
    raise HostError(f"{tool} is not installed ({package})")
