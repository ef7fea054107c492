# SPDX-License-Identifier: Apache-2.0
"""Arms that the box has built: found by the hash of their sources, and by nothing else."""

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from testbed.lab.guests.deploy import Wanted, stamps_in
from testbed.lab.guests.own_arms import own_arms
from testbed.model import arm as arms
from tests import PROJECT

BUILT = {"netfilter", "netfilter-logging", "xdp", "xdp-bounded-csum"}


def contents(checkout: Path) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(own_arms(checkout)), mode="r:") as tar:
        found = {}
        for member in tar:
            file = tar.extractfile(member)
            assert file is not None
            found[member.name] = file.read()
    return found


def listed(checkout: Path) -> dict[str, tuple[str, str]]:
    lines = contents(checkout)["arms.txt"].decode().splitlines()
    return {name: (stamp, line) for name, stamp, line in (line.split(" ", 2) for line in lines)}


def test_each_own_arm_goes_with_the_stamp_that_a_guest_asks_for(checkout: Path) -> None:
    found = listed(checkout)
    assert found.keys() == BUILT  # `none` has nothing to build
    folder = checkout / "guest/arms"
    wanted = Wanted.read(checkout, arms.choose(folder, arms.known(folder)))
    asked = stamps_in(wanted, "6.1.0")
    assert {f"6.1.0 {stamp}" for stamp, _ in found.values()} <= set(asked.values())
    assert {line for _, line in found.values()} == {"make"}


def test_all_that_a_build_reads_is_there(checkout: Path) -> None:
    files = contents(checkout)
    source = "guest/arms/xdp/redirect.bpf.c"
    assert files[source] == (checkout / source).read_bytes()
    assert {"guest/arms/include/rewrite.h", "guest/arms/netfilter/Makefile"} <= files.keys()
    assert not [name for name in files if name.startswith("guest/arms/none/")]


def test_an_edited_arm_has_another_stamp(checkout: Path) -> None:
    before = listed(checkout)
    with (checkout / "guest/arms/xdp/redirect.bpf.c").open("a") as file:
        file.write("/* edited */\n")
    after = listed(checkout)
    assert [name for name in before if before[name] != after[name]] == ["xdp"]
    with (checkout / "guest/arms/include/rewrite.h").open("a") as file:
        file.write("/* edited */\n")
    assert all(listed(checkout)[name] != after[name] for name in BUILT)


def test_a_build_that_depends_on_the_addresses_is_left_to_the_guest(checkout: Path) -> None:
    manifest = checkout / "guest/arms/xdp/arm.toml"
    text = manifest.read_text()
    assert 'build = [["make"]]' in text
    build = 'build = [["make", "PORT={match_port}"]]'
    manifest.write_text(text.replace('build = [["make"]]', build))
    assert listed(checkout).keys() == BUILT - {"xdp"}


@pytest.mark.parametrize("there", [True, False])
def test_a_guest_takes_what_is_made_and_builds_the_rest(tmp_path: Path, there: bool) -> None:
    """guest/made.sh, with a folder of the test's in place of /opt/testbed."""
    script = (PROJECT / "guest/made.sh").read_text()
    assert "/opt/testbed/made" in script
    (tmp_path / "made.sh").write_text(script.replace("/opt/testbed/made", str(tmp_path / "made")))
    kernel = subprocess.run(["uname", "-r"], capture_output=True, text=True, check=True).stdout
    stamp = "1" * 64 if there else "2" * 64
    made = tmp_path / "made" / kernel.strip() / ("1" * 64)
    made.mkdir(parents=True)
    (made / "redirect_nf.ko").write_text("made")
    folder = tmp_path / "staged"
    folder.mkdir()
    build = ["sh", "-c", 'echo built > "$0/redirect_nf.ko"; exit 3', str(folder)]
    done = subprocess.run(["sh", tmp_path / "made.sh", stamp, folder, *build], check=False)
    assert done.returncode == (0 if there else 3)
    assert (folder / "redirect_nf.ko").read_text() == ("made" if there else "built\n")
