# SPDX-License-Identifier: Apache-2.0
"""What goes into a guest: sources and nothing else, read once, with one stamp for one content."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import pytest

from testbed.edge.files.sources import LONG_AGO, Source, checksums, read_sources, stamp_of, tar_of
from testbed.model.errors import HostError

KEEP = ("client.py", "arms/xdp/redirect.bpf.c", "arms/xdp/Makefile", "setup/server.sh")
BUILT = (
    "__pycache__/a.pyc", "arms/x.o", "arms/x.ko", "arms/xdp/redirect.skel.h", "arms/xdp/loader",
    "arms/nf/x.mod.c", "arms/nf/Module.symvers", ".git/config", "arms/.cache",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with sources, and with what somebody built there."""
    for name in (*KEEP, *BUILT):
        path = tmp_path / "guest" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x7fELF" if path.name == "loader" else name.encode())
    return tmp_path / "guest"


def test_sources_and_nothing_else(folder: Path) -> None:
    (folder / "setup/server.sh").chmod(0o755)
    os.mkfifo(folder / "pipe")
    found = read_sources(folder).files
    assert set(found) == set(KEEP)
    assert found["setup/server.sh"].executable and not found["client.py"].executable


def test_a_link_to_a_file_is_sent_as_that_file(folder: Path) -> None:
    (folder / "shared.py").symlink_to(folder / "client.py")
    assert read_sources(folder).files["shared.py"] == Source(b"client.py")


@pytest.mark.skipif(os.getuid() == 0, reason="root reads every file")
def test_a_file_that_cannot_be_read(folder: Path) -> None:
    (folder / "client.py").chmod(0)
    with pytest.raises(HostError, match=r"cannot be sent .*: client\.py cannot be read"):
        read_sources(folder)


def test_the_tar_is_what_was_read_owned_by_root_and_old(folder: Path) -> None:
    """A date of this computer's, whose clock may be ahead, would make objects look outdated."""
    read = read_sources(folder).files
    (folder / "client.py").write_text("changed meanwhile")
    with tarfile.open(fileobj=io.BytesIO(tar_of(read))) as tar:
        assert {(m.uid, m.gid, m.uname, m.gname) for m in tar} == {(0, 0, "root", "root")}
        assert {m.mtime for m in tar} == {LONG_AGO}
        sent = {m.name: tar.extractfile(m).read() for m in tar}  # type: ignore[union-attr]
    assert sent == {name: source.content for name, source in read.items()}
    assert checksums(read, "below/")["below/client.py"] == hashlib.sha256(b"client.py").hexdigest()


def test_the_stamp_knows_names_contents_and_modes_and_no_dates(folder: Path) -> None:
    first = stamp_of(read_sources(folder).files)
    os.utime(folder / "client.py", (1, 1))
    assert stamp_of(read_sources(folder).files) == first
    seen = {first}
    for change in (
        lambda: (folder / "client.py").write_text("client.pz"),
        lambda: (folder / "client.py").chmod(0o755),
        lambda: (folder / "client.py").rename(folder / "client2.py"),
        (folder / "client2.py").unlink,
    ):
        change()
        seen.add(stamp_of(read_sources(folder).files))
    assert len(seen) == 5


def test_neighbouring_names_and_contents_do_not_run_together() -> None:
    assert stamp_of({"a": Source(b"bc")}) != stamp_of({"ab": Source(b"c")})
    assert stamp_of({"a": Source(b"b"), "c": Source(b"")}) != stamp_of({"a": Source(b"bc")})
