# SPDX-License-Identifier: Apache-2.0
"""The arms' folders: manifests that can be carried out, sources that build and keep their word.

Nothing is skipped for a missing tool: the failure names the Debian package to install.
"""

import platform
import re
import shutil
import string
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import PROJECT
from tests.conftest import lacking, need

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ARMS = PROJECT / "guest" / "arms"
FAULTS = ARMS.parent / "faults"
STARTERS = ARMS.parent / "starter"
FOLDERS = sorted(path.parent for root in (ARMS, FAULTS) for path in root.glob("*/arm.toml"))
# Built files are ignored by git and have no licence line of ours.
BUILT = (
    *("*.o", "*.ko", "*.mod", "*.mod.c", "*.cmd", "*.d", "Module.symvers", "modules.order"),
    *("*.skel.h", "loader"),
)

PLACEHOLDERS = {
    "interface": "lab0",
    "server_address": "192.168.64.2",
    "match_port": "8080",
    "target_address": "10.0.1.2",
    "target_port": "8083",
    "namespace": "sslab-ns",
    "build_dir": "/run/testbed",
}
KEYS: dict[str, dict[str, type]] = {
    "": {
        "schema": int,
        "name": str,
        "title": str,
        "summary": str,
        "semantic_class": str,
        "hook": str,
        "exhibit": bool,
        "original_name": str,
        "traffic": dict,
        "needs": dict,
        "expect": dict,
        "commands": dict,
    },
    "traffic": {"address": str, "port": str},
    "needs": {"kernel": str, "tools": list},
    "expect": {"mode": str, "log_lines_per_packet": int},
    "commands": {"build": list, "load": list, "verify": list, "count": list, "unload": list},
}


def manifest(folder: Path) -> dict[str, Any]:
    return tomllib.loads((folder / "arm.toml").read_text())


def sources() -> list[Path]:
    files = (path for root in (ARMS, FAULTS) for path in root.rglob("*") if path.is_file())
    return sorted(path for path in files if not any(path.match(name) for name in BUILT))


def c_sources() -> list[Path]:
    return [path for path in sources() if path.suffix in {".c", ".h"}]


def need_kernel_headers() -> Path:
    """A kernel build tree: of Debian's kernel as in the guest, not of the one running here."""
    trees = sorted(path.parent for path in Path("/lib/modules").glob("*/build/Makefile"))
    trees += sorted(path.parent for path in Path("/usr/src").glob("linux-headers-*/.config"))
    package = {"x86_64": "linux-headers-amd64", "aarch64": "linux-headers-arm64"}
    name = package.get(platform.machine(), "linux-headers-generic")
    return trees[-1] if trees else lacking(f"no kernel headers: apt-get install {name}")


def copy(arm: str, into: Path) -> Path:
    """Copy an arm beside all others, as it lies in the server; its folder there."""
    shutil.copytree(ARMS, into / "arms", ignore=shutil.ignore_patterns(*BUILT))
    for root in (FAULTS, STARTERS):
        if (root / arm).exists():
            shutil.copytree(root / arm, into / "arms" / arm)
    return into / "arms" / arm


def make(folder: Path, *arguments: str) -> None:
    """Build an arm in its folder; sparse, which kbuild runs for C=1, may not complain either."""
    need("make", "make")
    need("gcc", "gcc libc6-dev")
    done = subprocess.run(
        ["make", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    talk = done.stdout + done.stderr
    assert done.returncode == 0, talk
    assert ("CHECK " in talk) is ("C=1" in arguments)
    assert "warning:" not in talk and "error:" not in talk, talk


def test_the_five_arms_are_here() -> None:
    names = {folder.name for folder in FOLDERS}
    assert names >= {"none", "netfilter", "xdp", "netfilter-logging", "xdp-bounded-csum"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_manifest_has_every_key_and_no_other(folder: Path) -> None:
    arm = manifest(folder)
    for table, keys in KEYS.items():
        values = arm[table] if table else arm
        assert values.keys() - {"probe"} == keys.keys()  # a hook may have no clock of its own
        for key, kind in keys.items():
            assert type(values[key]) is kind, key
    assert arm["schema"] == 1
    assert arm["name"] == folder.name
    assert arm["title"] and arm["summary"].strip()
    assert arm["exhibit"] or arm["expect"]["log_lines_per_packet"] == 0


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_commands_are_argument_lists_with_known_placeholders(folder: Path) -> None:
    arm = manifest(folder)
    commands = [argv for step in arm["commands"].values() for argv in step]
    assert all(argv and all(isinstance(item, str) for item in argv) for argv in commands)
    texts = [item for argv in commands for item in argv] + list(arm["traffic"].values())
    for text in texts:
        names = {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}
        assert names <= PLACEHOLDERS.keys(), text
        assert text.format(**PLACEHOLDERS)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_a_hook_can_be_loaded_counted_and_unloaded(folder: Path) -> None:
    arm = manifest(folder)
    commands = arm["commands"]
    assert commands["verify"]
    hooked = arm["hook"] != "none"
    assert all(bool(commands[step]) is hooked for step in ("build", "load", "count", "unload"))
    loading = str(commands["load"])
    rule = ("server_address", "match_port", "target_address", "target_port")
    assert all((f"{{{name}}}" in loading) is hooked for name in rule)


@pytest.mark.parametrize("path", sources(), ids=lambda path: str(path.relative_to(ARMS.parent)))
def test_source_has_its_licence_on_top(path: Path) -> None:
    expected = {
        "rewrite.h": "GPL-2.0-only OR BSD-2-Clause",
        "xdp_loader.c": "GPL-2.0-only OR BSD-2-Clause",
        "arm.toml": "Apache-2.0",
        ".clang-format": "Apache-2.0",
        ".gitignore": "Apache-2.0",
    }
    top = path.read_text().splitlines()[:2]
    licence = expected.get(path.name, "GPL-2.0-only")
    pattern = rf"(#|//|/\*) SPDX-License-Identifier: {re.escape(licence)}( \*/)?"
    assert any(re.fullmatch(pattern, line) for line in top), top


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_only_an_arm_that_says_so_logs(folder: Path) -> None:
    """In the file that handles packets; loading may complain (include/redirect_module.h)."""
    calls = re.compile(r"\b(\w*printk\w*|(pr|net|dev|netdev)_\w+|WARN\w*)\(")
    texts = [path.read_text() for path in sources() if path.parent == folder]
    found = any(calls.search(text) for text in texts)
    assert found is (manifest(folder)["expect"]["log_lines_per_packet"] > 0)


def test_what_every_packet_runs_through_does_not_log() -> None:
    texts = [(ARMS / "include" / name).read_text() for name in ("rewrite.h", "redirect_xdp.h")]
    assert not any("print" in text or "pr_" in text for text in texts)


@pytest.mark.parametrize("arm", ["xdp", "xdp-bounded-csum", "my-xdp"])
def test_xdp_arm_builds_without_a_warning(arm: str, tmp_path: Path) -> None:
    need("clang", "clang")
    need("bpftool", "bpftool")
    assert Path("/usr/include/bpf/libbpf.h").exists(), "no libbpf: apt-get install libbpf-dev"
    folder = copy(arm, tmp_path)
    make(folder)
    usage = subprocess.run([folder / "loader"], capture_output=True, text=True, check=False)
    assert usage.returncode == 2
    assert "usage: loader load" in usage.stderr
    make_clean = subprocess.run(["make", "clean"], cwd=folder, capture_output=True, check=False)
    assert make_clean.returncode == 0
    left = {path.name for path in folder.iterdir()}
    assert left == {"Makefile", "arm.toml", "redirect.bpf.c"}


@pytest.mark.parametrize(
    "arm", ["netfilter", "netfilter-logging", "netfilter-broken-csum", "my-netfilter"]
)
def test_module_builds_without_a_warning(arm: str, tmp_path: Path) -> None:
    """Neither gcc nor sparse complains: the latter knows byte orders and address spaces."""
    need("sparse", "sparse")
    folder = copy(arm, tmp_path)
    make(folder, f"KERNEL={need_kernel_headers()}", "C=1")
    (module,) = folder.glob("*.ko")
    information = module.read_bytes()
    for parameter in ("match_address", "match_port", "target_address", "target_port", "hits"):
        assert f"parm={parameter}:".encode() in information
    assert b"license=GPL\0" in information
    assert (b"_printk" in information) and (b"FORWARDING" in information) is ("logging" in arm)


def test_no_module_without_debug_info_is_to_get_btf() -> None:
    """pahole makes BTF of debug info, and fails where there is none: Linux 6.12 has it try."""
    roots = (ARMS, FAULTS, STARTERS)
    texts = [path.read_text() for root in roots for path in root.glob("*/Makefile")]
    modules = [line for text in texts for line in text.splitlines() if "-C $(KERNEL)" in line]
    assert len(modules) >= 4
    assert all("KCFLAGS=-g0 CONFIG_DEBUG_INFO_BTF_MODULES= " in line for line in modules)


def test_a_port_in_the_wrong_byte_order_is_noticed(tmp_path: Path) -> None:
    """gcc compiles it without a word."""
    need("sparse", "sparse")
    folder = copy("netfilter", tmp_path)
    header = tmp_path / "arms/include/rewrite.h"
    right = "h->udp.dest = rule->target_port;"
    assert right in header.read_text()
    wrong = "h->udp.dest = __be16_to_cpu(rule->target_port);"
    header.write_text(header.read_text().replace(right, wrong))
    with pytest.raises(AssertionError, match=r"incorrect type.*\n.*restricted __be16"):
        make(folder, f"KERNEL={need_kernel_headers()}", "C=1")


def test_c_sources_are_formatted() -> None:
    tool = need("clang-format", "clang-format")
    style = f"--style=file:{ARMS / '.clang-format'}"
    command = [tool, style, "--dry-run", "-Werror", *map(str, c_sources())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
