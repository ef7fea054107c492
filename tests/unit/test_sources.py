# SPDX-License-Identifier: Apache-2.0
"""What of an arm's folder is sent, what is left out and told, and what is refused, in no time."""

import hashlib
import io
import os
import shutil
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Any

import pytest

from testbed.edge import sources
from testbed.edge.sources import BUILT, DANGLES, HIDDEN, LINK, SPECIAL, look, tar_of, told
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
    return {str(source.name) for source in look(folder).taken}


def sent(folder: Path, into: Path) -> Path:
    """Return a folder with what a guest gets, unpacked as there."""
    into.mkdir()
    argv = ["tar", "-xzf", "-", "-C", str(into)]
    subprocess.run(argv, input=tar_of(folder), check=True)
    return into


def stamp(folder: Path) -> str:
    digest = hashlib.sha256()
    sources.add_to_hash(digest, folder)
    return digest.hexdigest()


def test_sources_are_sent_as_they_are(arm: Path, tmp_path: Path) -> None:
    (arm / "sub/run.sh").write_text("echo\n")
    (arm / "sub/run.sh").chmod(0o755)
    os.utime(arm / "sub/hook.c", (1_600_000_000, 1_600_000_000))
    assert look(arm).left_out == {}
    there = sent(arm, tmp_path / "there")
    assert (there / "sub/hook.c").read_text() == "int hook;\n"
    assert (there / "sub/hook.c").stat().st_mtime == 1_600_000_000  # make goes by it
    assert (there / "sub/run.sh").stat().st_mode & 0o777 == 0o755
    with tarfile.open(fileobj=io.BytesIO(tar_of(arm))) as tar:
        assert {(m.uid, m.gid, m.uname) for m in tar} == {(0, 0, "root")}


@pytest.mark.parametrize("content", [b"#!/bin/sh\n", b"", b"ELF"])
def test_a_source_may_be_called_loader(arm: Path, content: bytes) -> None:
    (arm / "loader").write_bytes(content)
    (arm / "sub/loader").mkdir()
    (arm / "sub/loader/loader.c").write_text("int main;\n")
    assert names(arm) >= {"loader", "sub/loader", "sub/loader/loader.c"}
    assert look(arm).left_out == {}


def test_an_arm_may_have_a_folder_box_and_the_guests_need_none(arm: Path) -> None:
    (arm / "box").mkdir()
    (arm / "box/hook.h").touch()
    assert "box/hook.h" in names(arm)
    guest = Path(__file__).parents[2] / "guest"
    assert not any(name.startswith("box") for name in names(guest))
    assert {"agent.py", "arms/xdp/redirect.bpf.c"} <= names(guest)


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
    assert look(arm).left_out == {
        ".git": HIDDEN, "__pycache__": HIDDEN, "hook.o": BUILT, "loader": BUILT, "pipe": SPECIAL,
        "socket": SPECIAL, "out": LINK, "up": LINK, "root": LINK, "nothing": DANGLES,
        "self": DANGLES, "to-hidden": DANGLES,
    }  # fmt: skip
    there = sent(arm, tmp_path / "there")
    assert {str(path.relative_to(there)) for path in there.rglob("*")} == {
        "arm.toml", "sub", "sub/hook.c",
    }  # fmt: skip
    assert b"secret" not in tar_of(arm)


def test_links_that_stay_in_the_folder_lead_to_the_same_there(arm: Path, tmp_path: Path) -> None:
    (arm / "same.c").symlink_to("sub/hook.c")
    (arm / "sub/whole.c").symlink_to(arm / "sub/hook.c")
    (arm / "also").symlink_to(arm / "sub")
    (arm / "sub/top").symlink_to("..")  # round and round
    assert look(arm).left_out == {}
    there = sent(arm, tmp_path / "there")
    shutil.move(arm, tmp_path / "away")
    for name in ("same.c", "sub/whole.c", "also/hook.c", "sub/top/also/hook.c"):
        assert (there / name).read_text() == "int hook;\n"
        assert (there / name).resolve() == there / "sub/hook.c"


def test_a_link_is_part_of_the_stamp(arm: Path) -> None:
    before = stamp(arm)
    (arm / "same.c").symlink_to("sub/hook.c")
    assert stamp(arm) != before
    assert stamp(arm) == stamp(arm)


def refused(arm: Path) -> str:
    """Return why an arm cannot be sent; its stamp cannot be taken either."""
    begun = time.monotonic()
    said = []
    for work in (tar_of, stamp):
        with pytest.raises(ArmError) as caught:
            work(arm)
        assert caught.value.exit_code is ExitCode.ARM
        said.append(caught.value.message)
    assert time.monotonic() - begun < 5
    assert said[0] == said[1]
    prefix = "arm mine cannot be sent to the machines: "
    assert said[0].startswith(prefix)
    return said[0].removeprefix(prefix)


def test_a_huge_file_is_refused_unread(arm: Path) -> None:
    with (arm / "sub/disk.img").open("wb") as file:
        file.truncate(20 * 10**9)
    assert refused(arm) == "sub/disk.img has 19,073 MiB, a file may have 32 MiB"


def test_many_large_files_are_refused(arm: Path) -> None:
    for number in range(3):
        with (arm / f"{number}.bin").open("wb") as file:
            file.truncate(sources.MOST_FILE_BYTES)
    assert refused(arm) == "its files have more than 64 MiB"


def test_too_many_files_are_refused(arm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_ENTRIES", 100)
    for number in range(101):
        (arm / f"{number}.c").touch()
    assert refused(arm) == "it has more than 100 files and folders"


def test_what_cannot_be_read_is_named(arm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(sources.os, "open", refuse)
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


def test_a_file_that_becomes_another_one_is_not_waited_for(arm: Path) -> None:
    found = look(arm)
    (arm / "sub/hook.c").unlink()
    os.mkfifo(arm / "sub/hook.c")
    source = next(one for one in found.taken if one.name == PurePath("sub/hook.c"))
    with pytest.raises(ArmError, match=r"sub/hook\.c changed meanwhile"):
        found.content(source)
    (arm / "sub/hook.c").unlink()
    (arm / "sub/hook.c").symlink_to("/etc/passwd")
    with pytest.raises(ArmError, match=r"sub/hook\.c cannot be read"):
        found.content(source)


def test_names_may_be_any_bytes_and_none_reaches_the_terminal(arm: Path, tmp_path: Path) -> None:
    wild = [b"\xff\xfe.c", b"a\nb.c", b"\x1b[31m.c", "ü.c".encode()]
    for name in wild:
        (arm / os.fsdecode(name)).touch()
    os.mkfifo(arm / "\x1b[2Jpipe")
    assert look(arm).left_out == {"'\\x1b[2Jpipe'": SPECIAL}
    there = sent(arm, tmp_path / "there")
    assert {os.fsencode(path.name) for path in there.glob("*.c")} == set(wild)
    assert stamp(arm)


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
