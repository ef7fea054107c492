# SPDX-License-Identifier: Apache-2.0
"""The setting that forbids user namespaces, and the command that mends it."""

from pathlib import Path

import pytest

from testbed.edge.computer import user_namespaces
from testbed.edge.computer.user_namespaces import Hindrance, hindrance

UBUNTU = "kernel/apparmor_restrict_unprivileged_userns"


@pytest.fixture
def setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(user_namespaces, "PROC", tmp_path)
    monkeypatch.setattr(user_namespaces, "PROFILE", tmp_path / "profile")
    (tmp_path / "sys/kernel").mkdir(parents=True)
    (tmp_path / "sys/user").mkdir()
    return tmp_path / "sys"


def test_nothing_is_in_the_way(setting: Path) -> None:
    assert hindrance() is None
    (setting / UBUNTU).write_text("0\n")
    (setting / "kernel/unprivileged_userns_clone").write_text("1\n")
    (setting / "user/max_user_namespaces").write_text("many\n")
    assert hindrance() is None


@pytest.mark.parametrize(("name", "value", "mended"), [
    ("kernel.unprivileged_userns_clone", 0, 1),
    ("user.max_user_namespaces", 0, 10000),
    ("kernel.apparmor_restrict_unprivileged_userns", 1, 0),
])  # fmt: skip
def test_a_setting(setting: Path, name: str, value: int, mended: int) -> None:
    (setting / name.replace(".", "/")).write_text(f"{value}\n")
    fix = f"`sudo sysctl {name}={mended}`, until the next boot"
    assert hindrance() == Hindrance(f"{name} is {value}", fix)


def test_the_profile_of_ubuntu_is_there_and_not_loaded(setting: Path, tmp_path: Path) -> None:
    """It leaves all other programs as they are; the setting would not."""
    (setting / UBUNTU).write_text("1\n")
    (tmp_path / "profile").touch()
    found = hindrance()
    assert found is not None
    assert found.fix.startswith(f"`sudo apparmor_parser -r {tmp_path}/profile` loads mmdebstrap's")
