# SPDX-License-Identifier: Apache-2.0
"""Who runs the machines: the user himself or, for root, an account that has no rights."""

import os
import pwd
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from testbed.edge.computer import account as module
from testbed.edge.computer.account import Account
from testbed.model.errors import ExitCode, HostError
from tests.unit.factories.ids import project_id

CURRENT = Account.__dict__["current"].__func__


def test_a_user_runs_them_as_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    user = SimpleNamespace(pw_name="ann", pw_dir="/home/ann", pw_uid=1234, pw_gid=1235)
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(pwd, "getpwuid", {1234: user}.__getitem__)
    monkeypatch.setenv("HOME", "/elsewhere")
    assert CURRENT(Account) == Account(None, Path("/elsewhere"), 1234, 1235)
    monkeypatch.delenv("HOME")
    assert CURRENT(Account).home == Path("/home/ann")


def test_root_runs_them_as_the_account_made_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    user = SimpleNamespace(pw_name="testbed", pw_dir="/var/lib/testbed", pw_uid=999, pw_gid=998)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", {"testbed": user}.__getitem__)
    assert CURRENT(Account) == Account("testbed", Path("/var/lib/testbed"), 999, 998)


def test_root_without_that_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwnam", {}.__getitem__)
    with pytest.raises(HostError) as caught:
        CURRENT(Account)
    assert caught.value.message == (
        "the account testbed, which runs the machines for root, does not exist"
    )
    assert caught.value.hint == "run ./lab once: it makes the account"
    assert caught.value.exit_code is ExitCode.HOST


def test_where_files_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert Account(None, Path("/h"), 1, 1).data_dir == Path("/h/.local/share/testbed")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    assert Account(None, Path("/h"), 1, 1).data_dir == Path("/data/testbed")
    # That variable is root's own wish; the machines' account may not write there.
    assert Account("testbed", Path("/h"), 1, 1).data_dir == Path("/h/.local/share/testbed")


def test_two_checkouts_share_no_machines(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    (tmp_path / "link").symlink_to(one)
    assert project_id(one) != project_id(two)
    assert project_id(one) == project_id(tmp_path / "link") == project_id(two / "../one")
    mine = Account(None, tmp_path, 1, 1)
    assert mine.project_dir(one) == mine.data_dir / "projects" / project_id(one)


def test_a_users_commands_run_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANYTHING", "kept")
    mine = Account(None, Path("/h"), 1, 1)
    assert mine.command(["a", "b c"]) == ["a", "b c"]
    assert mine.environment()["ANYTHING"] == "kept"
    assert mine.environment({"PATH": "/mine"})["PATH"] == "/mine"
    assert mine.environment()["PATH"].endswith("/usr/local/sbin:/usr/sbin:/sbin")


def test_roots_commands_run_without_rights_and_without_roots_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    monkeypatch.setenv("LD_PRELOAD", "/evil.so")
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setattr(module.host, "find", lambda tool, package: f"/usr/bin/{tool}")
    monkeypatch.setenv("https_proxy", "http://proxy:1")
    for name in ("TERM", "LANG", "http_proxy", "no_proxy", "TMPDIR"):
        monkeypatch.delenv(name, raising=False)
    roots = Account("testbed", Path("/var/lib/testbed"), 999, 998)
    assert roots.command(["virsh", "list all"]) == [
        "/usr/bin/setpriv", "--reuid=999", "--regid=998", "--init-groups", "--reset-env", "env",
        "PATH=/usr/bin:/usr/local/sbin:/usr/sbin:/sbin", "https_proxy=http://proxy:1",
        "LC_ALL=C.UTF-8", "LANGUAGE=", "HOME=/var/lib/testbed", "USER=testbed",
        "LOGNAME=testbed", "virsh", "list all",
    ]  # fmt: skip
    assert sorted(roots.environment()) == [
        "HOME", "LANGUAGE", "LC_ALL", "LOGNAME", "PATH", "USER", "https_proxy",
    ]  # fmt: skip


def test_own_folders_only_are_given_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Path] = []
    monkeypatch.setattr(os, "chown", lambda path, *_, **__: given.append(Path(path)))
    there = tmp_path / "there"
    there.mkdir()
    (there / "others").write_text("")
    Account("testbed", tmp_path, 999, 998).make_dir(there / "a/b")
    assert set(given) == {there / "a", there / "a/b"}
    Account(None, tmp_path, 1, 1).make_dir(there / "c")
    assert (there / "c").is_dir()
    assert there / "c" not in given


def test_a_link_is_given_away_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never what it points to: that may be a file of root's."""
    calls: dict[Path, bool] = {}
    monkeypatch.setattr(
        os, "chown", lambda p, *_, follow_symlinks=True: calls.update({Path(p): follow_symlinks})
    )
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    Account("testbed", tmp_path, 999, 998).own(folder)
    assert calls[folder / "link"] is False


def test_a_file_is_written_whole_and_private(account: Account, tmp_path: Path) -> None:
    path = account.write(tmp_path / "new/file", "text")
    assert path == tmp_path / "new/file"
    assert path.read_text() == "text"
    assert path.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    account.write(path, "other", mode=0o644)
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("other", 0o644)
    assert [p.name for p in path.parent.iterdir()] == ["file"]


def test_room_is_that_of_the_disk_which_will_hold_the_files(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = {account.data_dir: SimpleNamespace(free=5)}
    monkeypatch.setattr(shutil, "disk_usage", usage.__getitem__)
    assert account.free_bytes() == 5
    shutil.rmtree(account.home)
    usage[account.home.parent] = SimpleNamespace(free=6)
    assert account.free_bytes() == 6
