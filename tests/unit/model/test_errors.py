# SPDX-License-Identifier: Apache-2.0
"""Exit codes are a promise to scripts: none changes, none is forgotten."""

import inspect

import pytest

from testbed.model import errors
from testbed.model.errors import ExitCode, TestbedError

CODES = {
    "TestbedError": 1,
    "UsageError": 2,
    "ConfigError": 2,
    "ManifestError": 2,
    "RunError": 2,
    "ParseError": 2,
    "HostError": 3,
    "TooSlow": 3,
    "MachineError": 4,
    "GuestError": 5,
    "NoAnswer": 5,
    "Late": 5,
    "Stuck": 5,
    "ArmError": 6,
    "Wrecked": 6,
}


def test_exit_codes_of_the_shell() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "OK": 0, "BUG": 1, "USAGE": 2, "HOST": 3, "MACHINE": 4, "GUEST": 5, "ARM": 6,
        "INVALID": 7, "INTERRUPTED": 130,
    }  # fmt: skip


def test_every_failure_has_its_exit_code() -> None:
    found = {
        name: int(member.exit_code)
        for name, member in inspect.getmembers(errors, inspect.isclass)
        if issubclass(member, TestbedError)
    }
    assert found == CODES


@pytest.mark.parametrize("name", CODES)
def test_a_failure_keeps_what_it_is_told(name: str) -> None:
    error = getattr(errors, name)("what", hint="next", detail="\n their words \n")
    assert (str(error), error.message, error.hint, error.detail) == (
        "what", "what", "next", "their words",
    )  # fmt: skip
    bare = getattr(errors, name)("what")
    assert (bare.hint, bare.detail) == (bare.advice, "")
