# SPDX-License-Identifier: Apache-2.0
"""The record of what was put and built in a guest; what lies there is listed and replaced."""

import hashlib
import os
import sys
from pathlib import Path

import pytest

from testbed.edge.computer.account import Account
from testbed.edge.guests.guest import PUSHED
from testbed.lab.guests import building, deploy
from testbed.lab.guests.deploy import STAGED, Wanted
from testbed.lab.machines.project import Project
from testbed.model import arm as arms
from testbed.model.deployed import Deployed, Part, changes, leading_out, named, part_of
from tests import PROJECT
from tests.unit.factories.fakes import LocalShell, World, guest

REWRITE = "arms/include/rewrite.h"
ARMS = PROJECT / "guest/arms"


@pytest.mark.parametrize(
    ("what", "leads_out"),
    [
        ("l>/etc/passwd", True),
        ("l>../netfilter/object", True),
        ("l>../../../../x", True),
        ("l>gone", True),
        ("p>", True),
        ("l>object", False),
        ("l>./object", False),
        ("l>../include/rewrite.h", False),
    ],
)
def test_links_out_of_the_folder(what: str, *, leads_out: bool) -> None:
    sha = "0" * 64
    lies = {"arms/xdp/words": what, "arms/xdp/object": sha, "arms/netfilter/object": sha,
            REWRITE: sha}  # fmt: skip
    assert bool(leading_out("xdp", lies)) is leads_out
    parts = {"arms/xdp/words": what, "arms/xdp/object": sha}
    known, wanted = Deployed(), Wanted({}, {"xdp": (arms.load(ARMS / "xdp"), {})})
    found = deploy.Found({**lies, **parts}, "6.1", "e1000")
    deployed, broken = building.complete(known, wanted, found, {})
    if leads_out:
        said = broken["xdp"].message
        assert said.startswith("arm xdp: its build leads out of its folder: arms/xdp/")
        assert "xdp" not in deployed.parts
    else:
        assert deployed.parts["xdp"].made == parts and broken == {}


def test_a_record_that_cannot_be_read_is_none(account: Account, checkout: Path) -> None:
    project = Project(account, checkout)
    assert project.deployed("server") == Deployed()
    one = Deployed({"xdp": Part("6.1 ab", {"arms/xdp/a": "1"}, {"arms/xdp/b": "2"})})
    project.note_deployed("server", one)
    assert project.deployed("server") == one
    for text in ("{", "[]", '{"xdp": {}}', '{"xdp": 1}', '{"xdp": {"stamp": 1, "pushed": 2}}'):
        (project.path / "deployed-server.json").write_text(text)
        assert project.deployed("server") == Deployed()


def test_changes_in_words() -> None:
    said = changes({"a": "1", "b": "1", "c": "1"}, {"a": "1", "b": "2", "d": "1"})
    assert said == ["b (changed)", "c (removed)", "d (added)"]
    assert named(said) == "b (changed), c (removed), d (added)"
    assert named([*said, "e (added)", "f (added)"]).endswith("d (added) and 2 more")


def test_parts_of_a_guest() -> None:
    paths = ("agent.py", "arms/LICENSE", REWRITE, "arms/xdp/Makefile", "arms/xdp/sub/x")
    assert [part_of(path) for path in paths] == [".", ".", ".", "xdp", "xdp"]


# The same lines in a real shell


class Here(LocalShell):
    """A connection whose machine has its /opt/testbed in a folder of this computer."""

    def put(self, stream: object, path: str) -> None:
        assert path == PUSHED
        (self.folder / "pushed").write_bytes(stream.read())  # type: ignore[attr-defined]

    def run(self, line: str, **words: object) -> object:
        line = line.replace("/opt/testbed", str(self.folder / "opt")).replace(
            PUSHED, str(self.folder / "pushed")
        )
        line = line.replace("tries=150", "tries=0")  # this computer's NIC is not awaited
        return super().run(line, **words)


def test_what_is_listed_and_replaced_in_a_real_shell(checkout: Path, tmp_path: Path) -> None:
    server = guest(Here(tmp_path))
    assert deploy.look(server).files == {}
    assert deploy.look(server).kernel == os.uname().release
    wanted = Wanted.read(checkout, arms.choose(checkout / "guest/arms", ["xdp", "none"]))
    opt = tmp_path / "opt/guest"
    (opt / "arms/earlier").mkdir(parents=True)
    (opt / "arms/include").mkdir()
    for name in ("arms/earlier/loader", "arms/include/old.h", "old.py", ".testbed-stamp"):
        (opt / name).write_text("of an earlier day")
    odd = opt / "arms/earlier/a b\nc\\d"
    odd.write_text("")
    odd.with_name("link").symlink_to("/etc/pass  wd")
    deploy.push(server, wanted, [".", "xdp"])
    found = deploy.look(server).files
    for name, source in wanted.programs.items():
        assert found[name] == hashlib.sha256(source.content).hexdigest(), name
    kept = {f"arms/earlier/{name}" for name in ("loader", "a b\nc\\d", "link")}
    made = {path for path in found if path.startswith("__pycache__/")}
    assert f"__pycache__/agent.{sys.implementation.cache_tag}.pyc" in made
    assert found.keys() == wanted.programs.keys() | kept | made
    assert found["arms/earlier/link"] == "l>/etc/pass  wd"
    assert not any(name.startswith("box/") for name in found)
    staged = tmp_path / STAGED.replace("/opt/testbed", "opt")
    assert sorted(p.name for p in (staged / "arms/xdp").iterdir()) == [
        "Makefile", "arm.toml", "redirect.bpf.c",
    ]  # fmt: skip
    assert not (tmp_path / "pushed").exists()


def test_the_record_of_a_run_has_each_file_that_a_build_made() -> None:
    sha = "0" * 64
    deployed = Deployed({
        ".": Part("s"), "none": Part("6.1 n"),
        "xdp": Part("6.1 x", {"arms/xdp/Makefile": sha}, {"arms/xdp/loader": sha}),
    })  # fmt: skip
    server = World().guests["server"]
    server.deployed = deployed
    chosen = [arms.load(ARMS / name) for name in ("none", "xdp")]
    told = building.recorded(server, [*chosen, chosen[1].again()])
    assert told["built"] == {"none": {}, "xdp": {"loader": sha}}
    assert told["sources"] == deployed.stamp(["none", "xdp"]) != deployed.stamp(["none"])


def test_an_arm_may_have_a_folder_box_and_the_guests_need_none(checkout: Path) -> None:
    (checkout / "guest/arms/xdp/box").mkdir()
    (checkout / "guest/arms/xdp/box/hook.h").touch()
    wanted = Wanted.read(checkout, arms.choose(checkout / "guest/arms", ["xdp"]))
    assert {"agent.py", "build.sh", "arms/include/rewrite.h"} <= set(wanted.programs)
    assert not any(name.startswith(("box/", "arms/xdp/")) for name in wanted.programs)
    assert {"redirect.bpf.c", "box/hook.h"} <= set(wanted.arms["xdp"][1])


def test_an_arm_that_nobody_asked_for_may_be_huge(checkout: Path) -> None:
    other = checkout / "guest/arms/other"
    other.mkdir()
    with (other / "disk.img").open("wb") as file:
        file.truncate(20 * 10**9)
    assert Wanted.read(checkout, arms.choose(checkout / "guest/arms", ["xdp"])).programs
