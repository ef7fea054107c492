# SPDX-License-Identifier: Apache-2.0
"""Whether the tests that need Vagrant are skipped: only where `./lab` installs none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.vm import vagrant_here
from tests.vm.vagrant_here import why_no_vagrant, why_none


@pytest.mark.parametrize(("asked", "installed", "offered", "skipped"), [
    ("auto", True, True, False),
    ("auto", False, True, False),  # `./lab` was to install it
    ("auto", True, False, False),  # its makers' own
    ("auto", False, False, True),
    ("vagrant", False, False, False),
    ("libvirt", True, True, True),
])  # fmt: skip
def test_the_rule(asked: str, *, installed: bool, offered: bool, skipped: bool) -> None:
    assert bool(why_none(asked, installed=installed, offered=offered)) == skipped


@pytest.mark.parametrize("there", ["", "vagrant | 2.3.4 | somewhere"])
def test_this_computer(
    tool: Callable[[str, str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    tool("apt-cache", f'[ "$*" = "madison vagrant" ] && echo "{there}"')
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/bin-of-no-computer")
    monkeypatch.setenv("TESTBED_PROVIDER", "auto")
    why_no_vagrant.cache_clear()
    none = "" if there else "no Vagrant: this distribution has no package of it"
    assert why_no_vagrant() == none
    why_no_vagrant.cache_clear()
    monkeypatch.setattr(vagrant_here, "PROJECT", tmp_path)
    monkeypatch.delenv("TESTBED_PROVIDER")
    (tmp_path / "testbed.toml").write_text('[machines]\nprovider = "libvirt"\n')
    assert why_no_vagrant() == "no Vagrant: libvirt alone was asked for"
    why_no_vagrant.cache_clear()
