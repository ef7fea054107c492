# SPDX-License-Identifier: Apache-2.0
"""KVM's device and a box, for the tests of its trial and of what follows when it is lost."""

from pathlib import Path

import pytest

from testbed.lab.machines import accelerator
from testbed.lab.machines.box import Box


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box("0123456789ab", tmp_path / "box", 1, "2025", "6.1.0-9-amd64", "00")


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A device that is there and that this account may use."""
    path = tmp_path / "kvm"
    path.touch()
    monkeypatch.setattr(accelerator, "DEVICE", path)
    monkeypatch.setattr(accelerator, "_boot_id", lambda: "boot-1")
    return path
