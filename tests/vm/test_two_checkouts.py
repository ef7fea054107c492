# SPDX-License-Identifier: Apache-2.0
"""Two checkouts side by side on one computer; libvirt alone makes the second one's machines."""

from pathlib import Path

import pytest

from testbed.lab.machines.leftovers import machine_processes

from . import test_security
from .conftest import Testbed, copy_of_this_checkout, read_json
from .test_experiment import test_guests_have_no_way_out as no_way_out
from .test_lifecycle import boot_ids

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]
UP = "client   running\nserver   running\n"


def ports(testbed: Testbed) -> set[int]:
    return set(read_json(testbed.checkout / ".testbed/machines.json")["ports"].values())


def names(testbed: Testbed) -> set[str]:
    return set(machine_processes(testbed.prefix).values())


def is_untouched(testbed: Testbed, before: dict[str, str]) -> None:
    """The pair runs as it was booted, and its link works."""
    assert testbed.run("status").stdout.startswith(UP)
    assert boot_ids(testbed) == before
    assert ", 0% packet loss" in testbed.guest("client", "ping -c 2 -i 0.2 10.0.1.2")


def moved(testbed: Testbed, to: Path) -> Testbed:
    """Move a checkout while its machines run: they come along."""
    before, old = boot_ids(testbed), testbed.checkout
    there = Testbed(old.rename(to))
    assert there.run("status").stdout.startswith(UP)
    assert there.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"
    assert f"this checkout was at {old}: its machines came along" in there.run("up").stderr
    assert boot_ids(there) == before
    return there


def is_measured_and_saved(second: Testbed, tmp_path: Path) -> None:
    """The whole way on machines that no Vagrant made, and the promises of docs/security.md."""
    test_security.test_nothing_listens_beyond_loopback(second)
    test_security.test_machines_run_without_roots_rights(second)
    test_security.test_only_the_key_of_this_machine_opens_a_guest(second, tmp_path)
    no_way_out(second)
    bench = second.run("bench", "--both", "--trials", "1", "--no-count", "--duration", "0.5")
    assert bench.returncode in (0, 7), bench.stderr
    facts = read_json(second.latest / "facts/host.json")
    assert (facts["provider"], "vagrant" in facts) == ("libvirt", False)
    plain = second.run("vagrant", "status")
    assert plain.returncode == 4
    assert "made by libvirt alone" in plain.stderr
    assert second.run("down").returncode == 0
    assert "restore client and server" in second.run("up").stderr
    assert second.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"


def test_a_second_pair_that_vagrant_did_not_make(testbed: Testbed, tmp_path: Path) -> None:
    """Only real machines could take each other's ports, names and link.

    Nor does anything else show that what libvirt defines by itself boots, is measured, saved and
    removed.
    """
    before = boot_ids(testbed)
    second = Testbed(copy_of_this_checkout(tmp_path / "second"))
    (second.checkout / "testbed.toml").write_text('[machines]\nprovider = "libvirt"\n')
    up = second.run("up", timeout_s=1200)
    try:
        assert up.returncode == 0, up.stderr
        assert "provider: libvirt: asked for" in up.stderr
        assert not ports(testbed) & ports(second)
        assert not names(testbed) & names(second)
        its_own = boot_ids(second)
        assert not set(its_own.values()) & set(before.values())
        is_untouched(testbed, before)
        is_untouched(second, its_own)
        home = testbed.checkout
        moved(moved(testbed, tmp_path / "moved"), home)
        second = moved(second, tmp_path / "moved second")
        is_measured_and_saved(second, tmp_path)
    finally:
        prefix = second.prefix
        down = second.run("down", "--destroy")
    assert down.returncode == 0, down.stderr
    assert machine_processes(prefix) == {}
    is_untouched(testbed, before)
