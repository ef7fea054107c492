# SPDX-License-Identifier: Apache-2.0
"""Machines that are shut down, then removed. Last of all by its name: none are there afterwards."""

import pytest

from testbed.lab.machines.leftovers import machine_processes

from .conftest import Testbed
from .test_lifecycle import plan

pytestmark = [pytest.mark.vm, pytest.mark.timeout(1200)]


def test_machines_that_are_shut_down_and_what_is_removed_is_gone(testbed: Testbed) -> None:
    """Only a real libvirt can keep what was removed."""
    prefix = testbed.prefix  # a name that is given up in the end
    assert testbed.run("down", "--halt").returncode == 0
    assert testbed.run("status").stdout.split()[:3] == ["client", "shut", "off"]
    assert plan(testbed) == "start client and server: it is shut off\n"
    stopped = testbed.run("bench", "--both")
    assert stopped.returncode == 4
    assert "run `testbed up` first" in stopped.stderr
    done = testbed.run("down", "--destroy")
    assert done.returncode == 0, done.stderr
    assert machine_processes(prefix) == {}
    states = testbed.run("status").stdout.split()
    assert states == ["client", "not", "created", "server", "not", "created"]
    assert plan(testbed) == "create client and server: it does not exist\n"
