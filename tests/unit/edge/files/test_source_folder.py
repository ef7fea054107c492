# SPDX-License-Identifier: Apache-2.0
"""An arm's folder: some of it is sent, some left out and told, some refused, and in no time."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.edge.files import source_folder, sources
from testbed.edge.files.source_folder import (
    BUILT,
    DANGLES,
    HIDDEN,
    LINK,
    SPECIAL,
    TO_FOLDER,
    look,
    told,
)
from testbed.edge.files.sources import read_sources, stamp_of, tar_of
from testbed.model.errors import ArmError, ExitCode

ELF = b"\x7fELF" + bytes(100)


@pytest.fixture
def arm(tmp_path: Path) -> Path:
    """The folder of an arm, with two sources."""
    folder = tmp_path / "mine"
    (folder / "sub").mkdir(parents=True)
    (folder / "arm.toml").write_text("name = 'mine'\n")
    (folder / "sub/hook.c").write_text("int hook;\n")
    return folder


def names(folder: Path) -> set[str]:
    return set(read_sources(folder).files)


def sent(folder: Path, into: Path) -> Path:
    """Return a folder with what a guest gets, unpacked as there."""
    into.mkdir()
    argv = ["tar", "-xzf", "-", "-C", str(into)]
    subprocess.run(argv, input=tar_of(read_sources(folder).files), check=True)
    return into


def test_sources_are_sent_with_their_modes(arm: Path, tmp_path: Path) -> None:
    (arm / "sub/run.sh").write_text("echo\n")
    (arm / "sub/run.sh").chmod(0o755)
    assert look(arm).left_out == {}
    there = sent(arm, tmp_path / "there")
    assert (there / "sub/hook.c").read_text() == "int hook;\n"
    assert (there / "sub/hook.c").stat().st_mode & 0o777 == 0o644
    assert (there / "sub/run.sh").stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"", b"ELF"])
def test_a_source_may_be_called_loader(arm: Path, content: bytes) -> None:
    (arm / "loader").write_bytes(content)
    (arm / "sub/loader").mkdir()
    (arm / "sub/loader/loader.c").write_text("int main;\n")
    assert names(arm) >= {"loader", "sub/loader/loader.c"}
    assert look(arm).left_out == {}


def test_what_is_left_out_has_its_reason(
    arm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "secret"
    outside.write_text("secret")
    (arm / ".git").mkdir()
    (arm / ".git/config").touch()
    (arm / "__pycache__").mkdir()
    (arm / "hook.o").touch()
    (arm / "loader").write_bytes(ELF)
    os.mkfifo(arm / "pipe")
    with socket.socket(socket.AF_UNIX) as one:
        monkeypatch.chdir(arm)  # a socket's path has to be short
        one.bind("socket")
    (arm / "out").symlink_to(outside)
    (arm / "up").symlink_to("../secret")
    (arm / "root").symlink_to("/")
    (arm / "nothing").symlink_to("nowhere")
    (arm / "self").symlink_to("self")
    (arm / "to-hidden").symlink_to(".git/config")
    (arm / "to-built").symlink_to("loader")
    (arm / "to-pipe").symlink_to("pipe")
    (arm / "to-folder").symlink_to("sub")
    assert look(arm).left_out == {
        ".git": HIDDEN, "__pycache__": HIDDEN, "hook.o": BUILT, "loader": BUILT, "pipe": SPECIAL,
        "socket": SPECIAL, "out": LINK, "up": LINK, "root": LINK, "nothing": DANGLES,
        "self": DANGLES, "to-hidden": DANGLES, "to-built": BUILT, "to-pipe": SPECIAL,
        "to-folder": TO_FOLDER,
    }  # fmt: skip
    there = sent(arm, tmp_path / "there")
    assert {str(path.relative_to(there)) for path in there.rglob("*")} == {
        "arm.toml", "sub", "sub/hook.c",
    }  # fmt: skip
    assert not any(b"secret" in one.content for one in read_sources(arm).files.values())


def test_links_to_files_of_the_folder_are_sent_as_these(arm: Path, tmp_path: Path) -> None:
    (arm / "same.c").symlink_to("sub/hook.c")
    (arm / "sub/whole.c").symlink_to(arm / "same.c")
    assert look(arm).left_out == {}
    there = sent(arm, tmp_path / "there")
    for name in ("same.c", "sub/whole.c"):
        assert (there / name).read_text() == "int hook;\n"
        assert not (there / name).is_symlink()


def test_a_folder_may_be_reached_by_a_link(arm: Path, tmp_path: Path) -> None:
    (arm / "same.c").symlink_to(arm / "sub/hook.c")
    (tmp_path / "short").symlink_to(arm)
    assert read_sources(tmp_path / "short") == read_sources(arm)


def test_what_a_link_leads_to_is_part_of_the_stamp_and_bounded(
    arm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = stamp_of(read_sources(arm).files)
    (arm / "same.c").symlink_to("sub/hook.c")
    assert stamp_of(read_sources(arm).files) != before
    monkeypatch.setattr(source_folder, "MOST_BYTES", 30)
    (arm / "sub/hook.c").write_text("x" * 10)
    (arm / "arm.toml").write_text("")
    assert read_sources(arm)
    (arm / "also.c").symlink_to("same.c")
    (arm / "too.c").symlink_to("same.c")
    assert refused(arm) == "its files have more than 0 MiB"


def refused(arm: Path) -> str:
    """Return why an arm cannot be sent."""
    begun = time.monotonic()
    with pytest.raises(ArmError) as caught:
        read_sources(arm)
    assert time.monotonic() - begun < 5
    assert caught.value.exit_code is ExitCode.ARM
    prefix = "arm mine cannot be sent to the machines: "
    assert caught.value.message.startswith(prefix)
    return caught.value.message.removeprefix(prefix)


def test_a_huge_file_is_refused_unread(arm: Path) -> None:
    with (arm / "sub/disk.img").open("wb") as file:
        file.truncate(20 * 10**9)
    assert refused(arm) == "sub/disk.img has 19,073 MiB, a file may have 32 MiB"


def test_many_large_files_are_refused(arm: Path) -> None:
    for number in range(3):
        with (arm / f"{number}.bin").open("wb") as file:
            file.truncate(source_folder.MOST_FILE_BYTES)
    assert refused(arm) == "its files have more than 64 MiB"


def test_too_many_files_are_refused(arm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_folder, "MOST_ENTRIES", 100)
    for number in range(101):
        (arm / f"{number}.c").touch()
    assert refused(arm) == "it has more than 100 files and folders"


def test_what_cannot_be_read_is_named(arm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sources, "open_plain", refuse)
    assert refused(arm) == "arm.toml cannot be read: Permission denied"


def test_folders_in_folders_without_end(arm: Path) -> None:
    deep = os.open(arm, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d" * 100, dir_fd=deep)
        deeper = os.open("d" * 100, os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = deeper
    os.close(deep)
    assert refused(arm) == "a folder cannot be read: File name too long"


@pytest.mark.parametrize(("becomes", "words"), [
    (os.mkfifo, "sub/hook.c changed meanwhile"),
    (lambda path: path.symlink_to("/etc/passwd"), "sub/hook.c cannot be read: Too many levels"),
    (lambda path: path.write_bytes(bytes(9)), "sub/hook.c grows"),
])  # fmt: skip
def test_a_file_that_becomes_another_one_is_not_waited_for(
    arm: Path, monkeypatch: pytest.MonkeyPatch, becomes: Callable[[Path], Any], words: str
) -> None:
    (arm / "arm.toml").write_text("")
    (arm / "sub/hook.c").write_text("12345678")
    seen = look(arm)
    (arm / "sub/hook.c").unlink()
    becomes(arm / "sub/hook.c")
    monkeypatch.setattr(sources, "look", lambda *_: seen)
    monkeypatch.setattr(sources, "MOST_FILE_BYTES", 8)
    assert refused(arm).startswith(words)


def test_files_that_grow_together(arm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(arm)
    monkeypatch.setattr(sources, "look", lambda *_: seen)
    monkeypatch.setattr(sources, "MOST_BYTES", 16)
    assert refused(arm) == "its files grow"


def test_names_may_be_any_bytes_and_none_reaches_the_terminal(arm: Path, tmp_path: Path) -> None:
    wild = [b"\xff\xfe.c", b"a\nb.c", b"\x1b[31m.c", "ü.c".encode()]
    for name in wild:
        (arm / os.fsdecode(name)).touch()
    os.mkfifo(arm / "\x1b[2Jpipe")
    assert look(arm).left_out == {"'\\x1b[2Jpipe'": SPECIAL}
    there = sent(arm, tmp_path / "there")
    assert {os.fsencode(path.name) for path in there.glob("*.c")} == set(wild)
    assert stamp_of(read_sources(arm).files)


def test_reasons_are_told_once_each_with_a_few_names() -> None:
    left_out = {f"{n}.o": BUILT for n in range(9)} | {"pipe": SPECIAL, ".git": HIDDEN}
    assert told(left_out, expected=False) == ["pipe: no plain file"]
    assert told(left_out, expected=True) == [
        "0.o, 1.o, 2.o and 6 more: made by make", ".git: hidden, or a cache",
    ]  # fmt: skip


def test_check_says_what_is_not_sent_and_refuses_before_it_asks_the_machines(
    testbed: Callable[..., Any], checkout: Path, tmp_path: Path
) -> None:
    mine = tmp_path / "mine"
    shutil.copytree(checkout / "guest/arms/none", mine)
    text = (mine / "arm.toml").read_text().replace('name = "none"', 'name = "mine"')
    (mine / "arm.toml").write_text(text)
    os.mkfifo(mine / "pipe")
    (mine / ".git").mkdir()
    with (mine / "big").open("wb") as file:
        file.truncate(20 * 10**9)
    said = testbed("check", "--arms", str(mine))
    assert said.status == 6
    assert said.err.startswith(
        "testbed: arm mine cannot be sent to the machines: big has 19,073 MiB"
    )
    (mine / "big").unlink()
    said = testbed("check", "--arms", str(mine))
    assert "! arm mine, not sent: pipe: no plain file\n" in said.err
    assert "arm mine, not sent: .git: hidden, or a cache\n" in said.err
