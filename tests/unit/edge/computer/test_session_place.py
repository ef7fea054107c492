# SPDX-License-Identifier: Apache-2.0
"""libvirt's sockets have short paths, and nobody else's folders are used for them."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.computer import session_place
from testbed.edge.computer.account import Account
from testbed.edge.computer.session_place import SessionPlace, ensure, find
from testbed.edge.hypervisor.libvirt import virsh
from testbed.lab.doctor import standing
from testbed.lab.machines.leftovers import saved_states
from testbed.model.errors import ExitCode, HostError

UID = os.getuid()
LONG = Path("/home") / ("h" * 54)
OURS = {"PATH": "/bin"}


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is logged in, and links are made in a folder of the test's."""
    (tmp_path / "aliases").mkdir()
    monkeypatch.setattr(session_place, "RUN_USER", tmp_path / "run-user")
    monkeypatch.setattr(session_place, "ALIASES", tmp_path / "aliases")


def long_place(data: Path) -> SessionPlace:
    place = find(LONG, UID, data, OURS)
    assert place.alias is not None
    return place


def test_the_limit_is_the_kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for length, fits in ((session_place.LIMIT_BYTES, True), (session_place.LIMIT_BYTES + 1, False)):
        with socket.socket(socket.AF_UNIX) as one:
            if fits:
                one.bind("s" * length)
            else:
                with pytest.raises(OSError, match="too long"):
                    one.bind("s" * length)


@pytest.mark.parametrize(
    ("home", "longest"), [("/var/lib/testbed", 104), ("/home/ann", 97), ("/home/" + "h" * 13, 107)]
)
def test_short_homes_keep_libvirts_own_place(home: str, longest: int) -> None:
    place = find(Path(home), UID, Path("/data"), OURS)
    assert (place.alias, dict(place.pairs), place.longest_bytes) == (None, {}, longest)
    assert place.saves == Path(home) / ".config/libvirt/qemu/save"


@pytest.mark.parametrize("home", ["/home/" + "h" * 14, str(LONG), "/home/" + "ü" * 7])
def test_long_homes_get_a_short_link(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_place, "ALIASES", Path("/var/tmp"))
    place = find(Path(home), UID, Path("/data/testbed"), OURS)
    assert place.alias is not None
    assert place.config == Path("/data/testbed/libvirt")
    assert place.longest_bytes > session_place.LIMIT_BYTES
    again = find(Path("/home/x"), UID, Path("/data/testbed"), {**OURS, **place.pairs})
    assert again.longest_bytes <= session_place.LIMIT_BYTES
    assert find(Path(home), UID, Path("/data/other"), OURS).alias != place.alias
    assert find(Path(home), UID + 1, Path("/data/testbed"), OURS).alias != place.alias


def test_a_long_runtime_folder_counts_too(tmp_path: Path) -> None:
    runtime = tmp_path / ("r" * 80)
    runtime.mkdir()
    assert find(Path("/h"), UID, tmp_path, {"XDG_RUNTIME_DIR": str(runtime)}).alias is not None


def test_the_link_leads_to_our_data(tmp_path: Path) -> None:
    place = long_place(tmp_path / "data")
    for _ in range(2):  # a second command finds it
        ensure(place, UID, os.getgid())
    assert place.alias is not None
    assert place.alias.resolve() == tmp_path / "data/libvirt"
    assert (tmp_path / "data/libvirt").stat().st_mode & 0o777 == 0o700
    assert Path(place.pairs["XDG_RUNTIME_DIR"]).is_dir()


@pytest.mark.parametrize("there", ["file", "folder", "another link", "no folder"])
def test_what_stands_in_the_way_is_named_with_folder_and_limit(tmp_path: Path, there: str) -> None:
    place = long_place(tmp_path / "data")
    assert place.alias is not None
    if there == "file":
        place.alias.touch()
    elif there == "folder":
        place.alias.mkdir()
    elif there == "another link":
        place.alias.symlink_to("/tmp")
    else:
        place.alias.parent.rmdir()
    with pytest.raises(HostError) as caught:
        ensure(place, UID, os.getgid())
    assert caught.value.exit_code is ExitCode.HOST
    assert caught.value.message == (
        f"a socket of libvirt's would have a path of {place.longest_bytes} bytes, and the kernel "
        f"takes 107: {place.longest}"
    )
    assert str(place.alias) in caught.value.detail
    line = standing.sockets(place, caught.value.detail, "virsh")
    assert line.level == "problem"
    assert str(place.longest) in line.found and "of 107" in line.found


def test_somebody_elses_link_is_not_followed(tmp_path: Path) -> None:
    place = long_place(tmp_path / "data")
    ensure(place, UID, os.getgid())
    with pytest.raises(HostError):
        ensure(place, UID + 1, os.getgid())


@pytest.mark.parametrize("name", ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"])
@pytest.mark.parametrize(
    ("value", "why"),
    [("/", ""), ("relative", "no absolute path"), ("/proc/nowhere", "does not exist")],
)
def test_what_is_somebody_elses_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, why: str
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    uid = UID if why else UID + 1
    place = find(Path("/home/ann"), uid, tmp_path, {name: value})
    assert place.pairs == {name: ""}
    assert (why or "belongs to uid") in place.ignored[name]
    assert place.saves == Path("/home/ann/.config/libvirt/qemu/save")
    line = standing.sockets(place, "", "")
    assert line.level == "note" and f"{name} is not used" in line.found


def test_ones_own_folders_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_place, "LIMIT_BYTES", 4096)
    mine = {name: str(tmp_path) for name in ("XDG_RUNTIME_DIR", "XDG_CONFIG_HOME")}
    place = find(Path("/home/ann"), UID, Path("/data"), mine)
    assert (dict(place.pairs), place.config) == ({}, tmp_path)
    new = find(Path("/h"), UID, Path("/data"), {"XDG_CONFIG_HOME": "/tmp/new-config"})
    assert (dict(new.ignored), new.config) == ({}, Path("/tmp/new-config"))


@pytest.mark.parametrize("environment", [OURS, {"XDG_RUNTIME_DIR": "/somebody/elses"}])
def test_after_su_the_session_is_the_one_of_the_login(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    """Two daemons with one configuration would not know of each other's machines."""
    runtime = Path("/proc/self/task").resolve()
    monkeypatch.setattr(session_place, "RUN_USER", runtime)
    monkeypatch.setattr(session_place, "_is_of", lambda path, uid: path == runtime / str(uid))
    place = find(Path("/home/ann"), UID, Path("/data"), environment)
    assert place.pairs == {"XDG_RUNTIME_DIR": f"{runtime}/{UID}"}


def test_virsh_and_its_typed_form_get_the_short_place(
    account: Account, tmp_path: Path, tool: Callable[[str, str], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(session_place, "LIMIT_BYTES", 40)
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/somebody/elses")
    tool("virsh", 'echo "$XDG_CONFIG_HOME $XDG_RUNTIME_DIR"; mkdir -p "$XDG_RUNTIME_DIR/libvirt"')
    alias = account.session.alias
    assert virsh(account, ["list"], 5) == f"{alias} {alias}/run\n"
    assert (account.data_dir / "libvirt/run/libvirt").is_dir()
    assert account.typed(["virsh", "list"]) == (
        f"env XDG_CONFIG_HOME={alias} XDG_CACHE_HOME={alias}/cache XDG_RUNTIME_DIR={alias}/run "
        "virsh list"
    )
    saves = account.data_dir / "libvirt/libvirt/qemu/save"
    saves.mkdir(parents=True)
    (saves / "tb1-client.save").touch()
    assert saved_states(account, "tb1-") == [saves / "tb1-client.save"]
