# SPDX-License-Identifier: Apache-2.0
"""An arm.toml that would end a command as a bug, take its memory or reach a machine as nonsense."""

import pytest

from testbed.model import arm
from testbed.model.errors import ConfigError
from tests.unit.model.test_arm_manifest import Write, changed, write

__all__ = ["write"]  # the fixture


@pytest.mark.parametrize("word", ["{interface:>999999999}", "{interface!r:>99}", "a\\u0000"])
def test_no_word_grows_or_cannot_be_given_to_a_program(write: Write, word: str) -> None:
    with pytest.raises(ConfigError, match=r"placeholder 'interface[:!]|has a NUL in a word"):
        arm.load(write(changed('["make"]', f'["make", "{word}"]')))


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("port", "0", "traffic.port: '0' is no port, 1 to 65535"),
        ("port", "70000", "traffic.port: '70000' is no port, 1 to 65535"),
        ("port", "http", "traffic.port: 'http' is no port, 1 to 65535"),
        ("port", "9" * 5000, f"traffic.port: '{'9' * 80}' is no port, 1 to 65535"),
        ("address", "$(reboot)", "traffic.address: '$(reboot)' is no IPv4 address"),
        ("address", "::1", "traffic.address: '::1' is no IPv4 address"),
    ],
)
def test_traffic_has_a_place_to_go_to(write: Write, key: str, value: str, said: str) -> None:
    given = {"address": "{server_address}", "port": "{match_port}"}[key]
    folder = write(changed(f'{key} = "{given}"', f'{key} = "{value}"'))
    with pytest.raises(ConfigError) as caught:
        arm.load(folder)
    assert caught.value.message == f"{folder / 'arm.toml'}: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"x = {'[' * 20_000}{']' * 20_000}", "is not TOML: its values lie too deep in each other"),
        (f"schema = {'9' * 5000}", "is not TOML: a number has too many digits"),
        (
            changed("exhibit = false", f"exhibit = false\n{'k' * 900_000} = 1"),
            f"{'k' * 80}: Extra inputs are not permitted",
        ),
        ("schema = 1\0", "is not TOML: "),
        ("", "schema: Field required"),
    ],
    ids=["deep", "digits", "a long key", "NUL", "empty"],
)
def test_a_manifest_that_python_cannot_read(write: Write, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        arm.load(write(text))
    assert said in caught.value.message
    assert len(caught.value.message) < 400
