# SPDX-License-Identifier: Apache-2.0
"""A pair that libvirt makes without Vagrant: the whole way, and the promises of security.md."""

from pathlib import Path

import pytest

from testbed.lab.machines.leftovers import machine_processes

from . import test_security
from .conftest import Testbed, copy_of_this_checkout, read_json
from .test_experiment import test_guests_have_no_way_out as no_way_out

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1800)]


def test_a_pair_without_vagrant(tmp_path: Path) -> None:
    """Only real machines show that what is defined here boots, is measured, saved and removed."""
    mine = Testbed(copy_of_this_checkout(tmp_path / "checkout"))
    (mine.checkout / "testbed.toml").write_text('[machines]\nprovider = "libvirt"\n')
    up = mine.run("up", timeout_s=1200)
    try:
        assert up.returncode == 0, up.stderr
        assert "provider: libvirt: asked for" in up.stderr
        test_security.test_nothing_listens_beyond_loopback(mine)
        test_security.test_machines_run_without_roots_rights(mine)
        test_security.test_only_the_key_of_this_machine_opens_a_guest(mine, tmp_path)
        no_way_out(mine)

        bench = mine.run("bench", "--both", "--trials", "1", "--no-count", "--duration", "0.5")
        assert bench.returncode in (0, 7), bench.stderr
        facts = read_json(mine.latest / "facts/host.json")
        assert (facts["provider"], "vagrant" in facts) == ("libvirt", False)
        assert mine.run("down").returncode == 0
        again = mine.run("up")
        assert "restore client and server" in again.stderr
        assert mine.run("up", "--dry-run").stdout == "nothing: both machines run, set up\n"
        plain = mine.run("vagrant", "status")
        assert plain.returncode == 4
        assert "made by libvirt alone" in plain.stderr
    finally:
        prefix = mine.prefix
        down = mine.run("down", "--destroy")
    assert down.returncode == 0, down.stderr
    assert machine_processes(prefix) == {}
