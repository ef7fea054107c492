# SPDX-License-Identifier: Apache-2.0
"""Two checkouts side by side on one computer, one of which is moved while its machines run."""

from pathlib import Path

import pytest

from testbed.lab.machines.leftovers import machine_processes

from .conftest import Testbed, copy_of_this_checkout, read_json
from .test_lifecycle import boot_ids

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
UP = "client   running\nserver   running\n"


def ports(testbed: Testbed) -> set[int]:
    return set(read_json(testbed.checkout / ".testbed/machines.json")["ports"].values())


def names(testbed: Testbed) -> set[str]:
    return set(machine_processes(testbed.prefix).values())


def test_neither_sees_the_other_and_one_is_moved(testbed: Testbed, tmp_path: Path) -> None:
    """Only real machines could take each other's ports, names and link."""
    before = boot_ids(testbed)
    second = Testbed(copy_of_this_checkout(tmp_path / "second"))
    up = second.run("up", timeout_s=1200)
    try:
        assert up.returncode == 0, up.stderr
        for one in (testbed, second):
            assert one.run("status").stdout.startswith(UP)
            assert ", 0% packet loss" in one.guest("client", "ping -c 2 -i 0.2 10.0.1.2")
        assert not ports(testbed) & ports(second)
        assert not names(testbed) & names(second)
        assert boot_ids(testbed) == before
        its_own = boot_ids(second)
        assert not set(its_own.values()) & set(before.values())

        moved = Testbed(second.checkout.rename(tmp_path / "moved"))
        assert moved.run("status").stdout.startswith(UP)
        assert moved.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"
        again = moved.run("up")
        assert f"this checkout was at {second.checkout}: its machines came along" in again.stderr
        assert boot_ids(moved) == its_own
        second = moved
    finally:
        prefix = second.prefix
        down = second.run("down", "--destroy")
    assert down.returncode == 0, down.stderr
    assert machine_processes(prefix) == {}
    assert boot_ids(testbed) == before
    assert ", 0% packet loss" in testbed.guest("client", "ping -c 2 -i 0.2 10.0.1.2")
