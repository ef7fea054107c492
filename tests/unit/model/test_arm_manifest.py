# SPDX-License-Identifier: Apache-2.0
"""arm.toml: read, checked and refused with the file, the key and what would be right."""

import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.model import arm
from testbed.model.arm import Arm
from testbed.model.config import NetworkConfig
from testbed.model.errors import ConfigError, ExitCode, ManifestError, UsageError
from tests import PROJECT

ARMS = PROJECT / "guest/arms"
XDP = (ARMS / "xdp/arm.toml").read_text()
Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A function that writes a manifest for the arm `xdp` and returns its folder."""

    def put(text: str) -> Path:
        folder = tmp_path / "xdp"
        folder.mkdir(exist_ok=True)
        (folder / "arm.toml").write_text(text)
        return folder

    return put


def changed(old: str, new: str) -> str:
    assert XDP.count(old) == 1, old
    return XDP.replace(old, new)


def test_the_arms_of_the_experiment_are_there() -> None:
    assert arm.known(ARMS) == ["netfilter", "netfilter-logging", "none", "xdp", "xdp-bounded-csum"]
    exhibits = [name for name in arm.known(ARMS) if arm.load(ARMS / name).exhibit]
    assert exhibits == ["netfilter-logging", "xdp-bounded-csum"]
    assert all(not arm.load(ARMS / name).exhibit for name in (arm.BASELINE, *arm.FAIR))


@pytest.mark.parametrize("name", arm.known(ARMS))
def test_no_placeholder_is_left_in_a_command(name: str) -> None:
    loaded = arm.load(ARMS / name)
    values = arm.placeholders(NetworkConfig(), "/opt/x")
    for commands in dict(loaded.commands).values():
        for argv in loaded.resolve(commands, values):
            assert argv
            assert not re.search(r"\{[a-z_]+\}", " ".join(argv))


def test_where_an_arms_traffic_goes() -> None:
    network = NetworkConfig(match_port=9000, target_port=9001)
    values = arm.placeholders(network, "/")
    assert arm.load(ARMS / "xdp").destination(values) == ("192.168.64.2", 9000)
    assert arm.load(ARMS / "none").destination(values) == ("10.0.1.2", 9001)


def test_placeholders_follow_the_configuration() -> None:
    network = NetworkConfig(server_address="192.168.64.3", namespace="other")
    values = arm.placeholders(network, "/there")
    argv = arm.load(ARMS / "xdp").resolve([["{server_address}", "{namespace}{build_dir}"]], values)
    assert argv == [["192.168.64.3", "other/there"]]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("schema = 1", "schema = 2", "schema: Input should be 1"),
        ('name = "xdp"', 'name = "XDP"', "name: String should match pattern"),
        ("exhibit = false", 'exhibit = "no way"', "exhibit: Input should be a valid boolean"),
        ("exhibit = false", "exhibitt = false", "exhibit: Field required"),
        ('hook = "xdp"', 'hook = "xdp"\nhooc = 1', "hooc: Extra inputs are not permitted"),
        (
            'build = [["make"]]',
            'build = ["make"]',
            "commands.build.0: Input should be a valid list",
        ),
        ("verify = [[", "verify = []\nold = [[", "commands.verify: List should have at least 1"),
    ],
)
def test_refused_with_the_file_and_the_key(write: Write, old: str, new: str, said: str) -> None:
    folder = write(changed(old, new))
    with pytest.raises(ConfigError) as caught:
        arm.load(folder)
    assert caught.value.message.startswith(f"{folder / 'arm.toml'}: {said}")


def test_name_and_folder_agree(write: Write) -> None:
    folder = write(changed('name = "xdp"', 'name = "ebpf"'))
    with pytest.raises(ConfigError) as caught:
        arm.load(folder)
    assert caught.value.message == f"{folder / 'arm.toml'}: name is 'ebpf', its folder is 'xdp'"


def test_unreadable_and_not_toml(write: Write, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        arm.load(tmp_path)
    assert caught.value.message == f"{tmp_path / 'arm.toml'} cannot be read: " + (
        "No such file or directory"
    )
    folder = write("schema = ")
    with pytest.raises(ConfigError, match="is not TOML: Invalid value"):
        arm.load(folder)
    (folder / "arm.toml").write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is not TOML"):
        arm.load(folder)


def test_unknown_placeholder(write: Write) -> None:
    folder = write(changed('"load", "--interface", "{interface}"', '"load", "{iface}"'))
    with pytest.raises(ConfigError) as caught:
        arm.load(folder)
    assert caught.value.message == (
        f"{folder / 'arm.toml'}: a command uses the unknown placeholder 'iface'"
    )
    assert caught.value.hint == (
        "known: interface, server_address, match_port, target_address, target_port, namespace, "
        "build_dir; a literal brace is written twice"
    )


@pytest.mark.parametrize("word", ["{", "}", "{}", "{0}", "{interface!z}", "{interface:d}"])
def test_a_stray_brace_is_refused(write: Write, word: str) -> None:
    with pytest.raises(ConfigError):
        arm.load(write(changed('["make"]', f'["make", "{word}"]')))


@pytest.mark.parametrize("word", ["{interface.x}", "{interface[x]}", "{interface.__class__}"])
def test_a_placeholder_is_a_name_and_nothing_else(write: Write, word: str) -> None:
    with pytest.raises(ConfigError):
        arm.load(write(changed('["make"]', f'["make", "{word}"]')))


def test_a_command_has_a_word(write: Write) -> None:
    """An empty one would make the shell refuse the whole line of commands."""
    with pytest.raises(ConfigError):
        arm.load(write(changed('build = [["make"]]', "build = [[]]")))


def test_choose_keeps_the_order_and_takes_each_once() -> None:
    chosen = arm.choose(ARMS, ["xdp", "none", "xdp"])
    assert [one.name for one in chosen] == ["xdp", "none"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("xpd", "did you mean xdp? "),
        ("netfiler", "did you mean netfilter? "),
        ("qqqq", ""),
        ("", ""),
    ],
)
def test_unknown_arm(name: str, advice: str) -> None:
    with pytest.raises(UsageError) as caught:
        arm.choose(ARMS, ["none", name])
    assert caught.value.message == f"there is no arm {name!r}"
    assert caught.value.hint == (
        f"{advice}known arms: netfilter, netfilter-logging, none, xdp, xdp-bounded-csum"
    )
    assert caught.value.exit_code is ExitCode.USAGE


@pytest.mark.parametrize("name", ["../xdp", "/etc", ".", "xdp/"])
def test_an_arms_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError):
        arm.choose(ARMS, [name])


LINES = XDP.splitlines()


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(LINES) - 1), st.text(max_size=20)), max_size=4),
    st.sets(st.integers(0, len(LINES) - 1), max_size=3),
)
def test_a_damaged_manifest_gives_an_arm_or_a_config_error(
    changes: list[tuple[int, str]], missing: set[int]
) -> None:
    lines = list(LINES)
    for number, text in changes:
        head, sign, _ = lines[number].partition("=")
        lines[number] = f"{head}{sign}{text}"
    damaged = "\n".join(line for number, line in enumerate(lines) if number not in missing)
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "xdp"
        folder.mkdir()
        (folder / "arm.toml").write_text(damaged, encoding="utf-8")
        try:
            result: Arm | ConfigError = arm.load(folder)
        except ConfigError as error:
            result = error
            assert error.message.startswith(str(folder / "arm.toml"))
    assert isinstance(result, Arm | ConfigError)


@pytest.mark.parametrize("kind", ["pipe", "huge", "folder"])
def test_a_manifest_is_a_small_plain_file(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    path = folder / "arm.toml"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        with path.open("wb") as file:
            file.truncate(20 * 10**9)
    with pytest.raises(ManifestError) as caught:
        arm.load(folder)
    assert str(path) in caught.value.message
