# SPDX-License-Identifier: Apache-2.0
"""A kernel of one's own: every package that does not fit is refused before anything is built."""

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from testbed.edge.output.terminal import Terminal
from testbed.lab.kernels.fitness import BUILT_IN, DRIVERS, missing, modules
from testbed.lab.kernels.own_kernel import KernelPackage, OwnKernel, package_of, versions_of
from testbed.model.config import BoxConfig
from testbed.model.errors import ConfigError, ExitCode
from testbed.model.run_files import checksum
from tests import PROJECT
from tests.unit.factories.kernel_packages import RELEASE, VERSION, config, deb, headers, image

QUIET = Terminal(-1)


def own(kernel: Path | str, *of: Path | str) -> OwnKernel:
    found = OwnKernel.of(
        BoxConfig(kernel=str(kernel), kernel_headers=tuple(map(str, of))), PROJECT
    )  # fmt: skip
    assert found is not None
    return found


def test_the_distributions_kernel_is_none_of_ones_own() -> None:
    assert OwnKernel.of(BoxConfig(), PROJECT) is None


def test_paths_are_relative_to_the_configuration_or_absolute_or_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    found = OwnKernel.of(
        BoxConfig(kernel="built/image.deb", kernel_headers=("/a/h.deb", "~/k/h.deb")), tmp_path
    )
    assert found is not None
    assert found.image == tmp_path / "built/image.deb"
    assert found.headers == (Path("/a/h.deb"), tmp_path / "home/k/h.deb")


def test_what_fits(tmp_path: Path) -> None:
    common = deb(tmp_path / "common.deb", {"usr/src/linux-headers-6.1.0-47-common/x": ""})
    found = own(image(tmp_path), headers(tmp_path), common).look(QUIET)
    assert (found.release, found.package.version) == (RELEASE, VERSION)
    built_in = dict.fromkeys(DRIVERS, "y")
    assert own(image(tmp_path, options=built_in, without="/kernel/"), headers(tmp_path)).look(QUIET)


def refusals(folder: Path) -> dict[str, tuple[OwnKernel, str]]:
    """Return what is wrong, and the words for it."""
    good, its = image(folder / "good"), headers(folder / "good")
    text, damaged = folder / "text.deb", folder / "damaged.deb"
    text.write_text("no package")
    damaged.write_bytes(good.read_bytes()[:-9000])
    both = {"boot/vmlinuz-1": "", "boot/vmlinuz-2": ""}
    arm = image(folder / "arm", architecture="arm64")
    return {
        "no package": (own(text, its), f"{text} is no Debian package"),
        "damaged": (own(damaged, its), f"{damaged} is damaged: its content cannot be read"),
        "headers no package": (own(good, text), f"{text} is no Debian package"),
        "architecture": (own(arm, its), f"{arm} is for arm64: the machines are amd64"),
        "no kernel": (
            own(its, its),
            f"(package linux-headers-{RELEASE}) holds no kernel: one /boot",
        ),
        "two kernels": (own(deb(folder / "two.deb", both), its), "holds 2 kernels: one /boot"),
        "no configuration": (
            own(image(folder / "bare", without="boot/config"), its),
            f"holds no /boot/config-{RELEASE}: what this kernel can do is not told",
        ),
        "cloud": (
            own(image(folder / "cloud", options={"E1000": None}), its),
            f"the kernel {RELEASE} does not fit the box: it lacks CONFIG_E1000",
        ),
        "no BTF": (
            own(image(folder / "btf", options={"DEBUG_INFO_BTF": None, "VETH": None}), its),
            "it lacks CONFIG_VETH, CONFIG_DEBUG_INFO_BTF",
        ),
        "module left out": (
            own(image(folder / "stripped", without="virtio-blk"), its),
            "it lacks the module virtio_blk",
        ),
        "other headers": (
            own(good, headers(folder / "other", release="6.1.0-50-amd64")),
            f"kernel_headers has no headers for {RELEASE}: they are for 6.1.0-50-amd64",
        ),
        "no headers": (own(good, good), f"no headers for {RELEASE}: they hold none"),
        "another build's headers": (
            own(good, headers(folder / "older", version="6.1.170-2")),
            f"are of version 6.1.170-2, the kernel is {VERSION}",
        ),
    }


WRONG = (
    "no package", "damaged", "headers no package", "architecture", "no kernel", "two kernels",
    "no configuration", "cloud", "no BTF", "module left out", "other headers", "no headers",
    "another build's headers",
)  # fmt: skip


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[OwnKernel, str]]:
    return refusals(tmp_path_factory.mktemp("packages"))


@pytest.mark.parametrize("what", WRONG)
def test_what_does_not_fit_is_refused_in_words(
    refused: dict[str, tuple[OwnKernel, str]], what: str
) -> None:
    kernel, words = refused[what]
    with pytest.raises(ConfigError) as caught:
        kernel.look(QUIET)
    assert words in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code is ExitCode.USAGE


def test_every_refusal_is_tried(refused: dict[str, tuple[OwnKernel, str]]) -> None:
    assert set(refused) == set(WRONG)


@pytest.mark.parametrize("option", [*DRIVERS, *BUILT_IN])
def test_every_option_is_asked_for(option: str) -> None:
    there = modules(frozenset(f"lib/{name}.ko" for name in map(str.lower, (*DRIVERS, "ext4"))))
    assert missing(config(), there) == {}
    assert list(missing(config(**{option: None}), there)) == [f"CONFIG_{option}"]
    if option in BUILT_IN:
        assert missing(config(**{option: "m"}), there)


@pytest.mark.parametrize("place", ["kernel", "headers", "folder"])
def test_a_file_that_is_missing_is_named_with_where_it_was_looked_for(
    tmp_path: Path, place: str
) -> None:
    there = tmp_path / "there.deb"
    there.write_text("")
    (tmp_path / "folder.deb").mkdir()
    gone = tmp_path / ("folder.deb" if place == "folder" else "gone.deb")
    kernel = own(there, gone) if place == "headers" else own(gone, there)
    with pytest.raises(ConfigError) as caught:
        kernel.digests()
    assert f"testbed.toml: [box] names {gone}: there is no such file" in caught.value.message
    assert "relative to the folder of testbed.toml" in caught.value.hint


# What is built of it


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work of mine"
    (folder / "recipe").mkdir(parents=True)
    for name in ("packages.txt", "setup.sh"):
        (folder / "recipe" / name).write_text((PROJECT / "guest/box" / name).read_text())
    return folder


def test_the_staged_recipe_installs_these_packages_and_no_kernel_of_debians(
    tmp_path: Path, work: Path
) -> None:
    kernel = own(image(tmp_path), headers(tmp_path))
    found = kernel.stage(work, kernel.look(QUIET))
    copies = [work / "packages/0.deb", work / "packages/1.deb"]
    digests = [checksum(path) for path in copies]
    assert digests == [checksum(path) for path in (kernel.image, *kernel.headers)]
    assert found == KernelPackage(f"linux-image-{RELEASE}", VERSION, digests[0], (digests[1],))
    packages = (work / "recipe/packages.txt").read_text().splitlines()
    before = (PROJECT / "guest/box/packages.txt").read_text().splitlines()
    assert set(before) - set(packages) == {"linux-image-amd64", "linux-headers-amd64"}
    setup = (work / "recipe/setup.sh").read_text()
    assert f'set -- "$tree" {shlex.quote(str(work / "packages"))} {RELEASE}\n' in setup
    assert setup.endswith((PROJECT / "guest/box/setup.sh").read_text())
    assert subprocess.run(["sh", "-n"], input=setup, text=True, check=False).returncode == 0


def test_a_package_that_changes_meanwhile_does_not_get_the_boxs_name(
    tmp_path: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = own(image(tmp_path), headers(tmp_path))
    looked, digests = kernel.look(QUIET), kernel.digests()
    monkeypatch.setattr(OwnKernel, "digests", lambda _: digests)
    image(tmp_path, options={"HZ": "1000"})
    with pytest.raises(ConfigError, match="changed while the box was built"):
        kernel.stage(work, looked)


def test_what_installs_it_is_part_of_the_boxs_name(tmp_path: Path) -> None:
    kernel = own(image(tmp_path), headers(tmp_path))
    assert kernel.digests()[-1] == checksum(PROJECT / "guest/own-kernel/install.sh")


def test_the_installer_stops_where_no_module_can_be_built(
    tmp_path: Path, tool: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In place of apt and chroot: one that does nothing, one that looks into the tree."""
    tool("apt-get", 'echo "$APT_CONFIG $*" >> "$0.said"')
    looks = tool("chroot", 'tree=$1; shift; case $1 in test) test -e "$tree$3" ;; '
                 'ldd) cat "$tree/ldd" ;; esac')  # fmt: skip
    packages, tree = tmp_path / "packages", tmp_path / "tree"
    packages.mkdir()
    (packages / "0.deb").write_text("")
    (tree / "lib/modules/6.1/build").mkdir(parents=True)
    monkeypatch.setenv("MMDEBSTRAP_APT_CONFIG", "outside")

    def install() -> subprocess.CompletedProcess[str]:
        argv = ["sh", str(PROJECT / "guest/own-kernel/install.sh"), *map(str, (tree, packages))]
        return subprocess.run([*argv, "6.1"], capture_output=True, text=True, check=False)

    done = install()
    assert done.returncode == 1
    assert "no module can be built for 6.1" in done.stderr
    (tree / "lib/modules/6.1/build/Makefile").write_text("")
    (tree / "ldd").write_text("/lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found\n")
    done = install()
    assert done.returncode == 1
    assert "was made for a newer system" in done.stderr
    (tree / "ldd").write_text("libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6\n")
    assert install().returncode == 0
    said = looks.with_name("apt-get.said").read_text()
    assert said.startswith("outside install --yes --no-install-recommends -o DPkg::Chroot-Dir")
    assert said.splitlines()[-1].endswith(f"{packages}/0.deb")
    assert not (tree / str(packages).lstrip("/")).exists()
    tool("apt-get", "exit 100")
    done = install()
    assert done.returncode == 1
    assert "what is lacking belongs to kernel_headers" in done.stderr


# What is remembered of it


def test_the_package_of_a_built_box_is_read_back(tmp_path: Path) -> None:
    kernel = KernelPackage("linux-image-x", "1-2", "00", ("11",))
    (tmp_path / "kernel.json").write_text(kernel.as_json())
    assert package_of(tmp_path, "6.1") == kernel


def test_the_distributions_package_is_found_by_its_release(tmp_path: Path) -> None:
    assert package_of(tmp_path, RELEASE) is None
    (tmp_path / "packages.txt").write_text(f"bash 5.2\nlinux-image-{RELEASE} {VERSION}\n")
    assert package_of(tmp_path, RELEASE) == KernelPackage(f"linux-image-{RELEASE}", VERSION, None)
    assert package_of(tmp_path, "6.2") is None
    assert versions_of(tmp_path)["bash"] == "5.2"


@pytest.mark.parametrize("text", ["{", "[]", "{}", json.dumps({"package": "x"})])
def test_a_damaged_record_is_no_package(tmp_path: Path, text: str) -> None:
    (tmp_path / "packages.txt").write_text(f"linux-image-{RELEASE} {VERSION}\n")
    (tmp_path / "kernel.json").write_text(text)
    assert package_of(tmp_path, RELEASE) is None
