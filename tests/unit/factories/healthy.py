# SPDX-License-Identifier: Apache-2.0
"""A pretended computer on which nothing is wrong, for tests that break one thing of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.computer import user_namespaces
from testbed.edge.computer.account import Account
from testbed.lab.counting import plugin
from testbed.lab.doctor import checks, programs, reading, survey
from testbed.lab.machines import accelerator, box
from tests.unit.factories.left_over import LeftOver, pretend

Testbed = Callable[..., Any]
VERSIONS = {
    "vagrant": "Vagrant 2.3.4", "qemu-system-x86_64": "QEMU emulator version 7.2.22",
    "qemu-img": "qemu-img version 7.2.22", "mmdebstrap": "mmdebstrap 1.3.5",
    "mke2fs": "mke2fs 1.47.0", "ssh": "OpenSSH_9.2p1", "setpriv": "setpriv 2.38.1",
}  # fmt: skip
SMALL = ("syslinux", "mcopy", "mkfs.vfat", "sfdisk", "newuidmap", "newgidmap", "libvirtd",
         "ssh-keygen")  # fmt: skip


def healthy(
    account: Account,
    tmp_path: Path,
    tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> LeftOver:
    """Return it; only the box is not built yet. Its kernel's files are below tmp_path/proc, sys."""
    there = pretend(account, tmp_path, tool, monkeypatch)
    for name, words in VERSIONS.items():
        tool(name, f"echo '{words}'")
    for name in SMALL:
        tool(name, "")
    key = account.data_dir / "ssh/id_ed25519"
    key.chmod(0o600)
    for name in ("MBR_CODE", "KEYRING"):
        monkeypatch.setattr(programs.image, name, key)
    monkeypatch.setattr(plugin, "ask", lambda *_: 1)  # test_counting_lab
    monkeypatch.setattr(programs, "DISTRIBUTIONS", tmp_path / "none.json")
    vagrant_home = account.data_dir / "vagrant.d"
    vagrant_home.mkdir()
    (vagrant_home / "plugins.json").write_text(
        json.dumps({"installed": {"vagrant-libvirt": {"installed_gem_version": "0.12.2"}}})
    )
    proc = tmp_path / "proc"
    monkeypatch.setattr(reading, "PROC", proc)
    monkeypatch.setattr(user_namespaces, "PROC", proc)
    monkeypatch.setattr(user_namespaces, "PROFILE", tmp_path / "no profile")
    monkeypatch.setattr(reading, "SYS", tmp_path / "sys")
    proc.mkdir()
    (proc / "cpuinfo").write_text("flags : vmx\n")
    (proc / "meminfo").write_text("MemTotal: 9000000 kB\nMemAvailable: 8000000 kB\n")
    (proc / "locks").write_text("")
    ids = f"{survey.user()}:100000:65536\n"
    monkeypatch.setattr(reading, "text", lambda _: ids)
    monkeypatch.setattr(reading, "cores", lambda: 64)
    monkeypatch.setattr(box, "BUILD_BYTES", 1)
    for name in ("DATA_BYTES", "RESULTS_BYTES"):
        monkeypatch.setattr(checks, name, (1, 1))
    monkeypatch.setattr(accelerator, "DEVICE", tmp_path / "kvm")
    (tmp_path / "kvm").touch()
    return there


def looked(testbed: Testbed, *words: str) -> tuple[int, dict[str, Any]]:
    """Return the exit code and the lines by name."""
    said = testbed("doctor", "--json", *words)
    answer = json.loads(said.out)
    assert answer["schema"] == 1
    return said.status, {one["name"]: one for one in answer["checks"]}
