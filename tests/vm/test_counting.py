# SPDX-License-Identifier: Apache-2.0
"""Exact counts on the real counting machine, beside the pair: the same number, nothing left.

It is a machine of its own, emulated whatever the pair runs on.
"""

import json
import os
import signal
import subprocess
from typing import Any

import pytest

from .conftest import Testbed, wait_for

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]
ARMS = ("--arms", "none,xdp", "--packets", "68")


def counted(testbed: Testbed) -> dict[str, Any]:
    said = testbed.run("count", *ARMS, "--json")
    assert said.returncode == 0, said.stderr
    document: dict[str, Any] = json.loads(said.stdout)
    return document


def machines() -> list[str]:
    found = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    return [line for line in found if "guest=testbed-count-" in line and "qemu" in line]


def test_a_count_is_the_same_number_after_a_kill_and_leaves_nothing(testbed: Testbed) -> None:
    """Only the real counter in a real QEMU tells whether a number repeats."""
    first = counted(testbed)
    assert first["gate"] == {"none": True, "xdp": True}
    none, xdp = first["arms"]
    assert none["delivered"] == xdp["delivered"] == 68
    assert none["bytes_copied"] == 1000, "the receive call copies the payload by REP MOVS"
    assert xdp["bytes_zeroed"] >= none["bytes_zeroed"] + 4096, "generic XDP's new head"
    functions = {row["function"] for row in xdp["functions"]}
    assert any(name.startswith("bpf_prog_") and "redirect_udp" in name for name in functions)
    assert "udp4_gro_receive" in {row["function"] for row in none["functions"]} - functions
    assert testbed.run("status").stdout.splitlines()[2] == "counting saved"
    assert machines() == []

    process = testbed.start("count", *ARMS)
    wait_for(lambda: machines() != [], limit_s=120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    wait_for(lambda: machines() == [], limit_s=10)
    again = counted(testbed)
    assert first["problems"] == again["problems"] == []
    typical = [
        [arm["typical_instructions"] for arm in document["arms"]] for document in (first, again)
    ]
    assert typical[0] == typical[1]


def test_all_that_is_planted_in_a_hook_is_found_with_its_exact_size(testbed: Testbed) -> None:
    """Only a real kernel executes what is planted in a hook."""
    said = testbed.run("selftest", "--count", "--json")
    assert said.returncode == 0, said.stdout
    rows = json.loads(said.stdout)["selftest"]
    assert [row["observed"] for row in rows[:4]] == ["+0", "+1", "+10", "+100"]
    assert [row["planted"] for row in rows if not row["found"]] == []
    assert len(rows) == 8
