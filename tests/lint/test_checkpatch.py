# SPDX-License-Identifier: Apache-2.0
"""The kernel's own style checker over the C here, where it can be had.

checkpatch.pl comes with the kernel's whole source: Debian's package has 139 MB for these 0.3 MB. So
`./lab test` does not install it, and this test is skipped where it is not. `apt-get install
linux-source` brings it; CHECKPATCH names one that lies elsewhere.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.lint.test_lint import PROJECT, tracked

PACKED = "/usr/src/linux-source-*.tar.xz"
TOOL = ("checkpatch.pl", "spelling.txt", "const_structs.checkpatch")
# What is not said, each with the reason why it does not hold here.
IGNORED = {
    "VOLATILE": "a BPF program's constants, as libbpf wants them; a flag that a signal sets",
    "PREFER_PR_LEVEL": "the exhibit's log lines are as they were published, without a prefix",
    "NEW_TYPEDEFS": "QEMU's plugin interface has them",
}
# Of the stricter half, what is said of code that is not the kernel's.
USER_SPACE = re.compile(r"(counter|tests)/|guest/receiver\.c$")


@pytest.fixture(scope="module")
def checkpatch(pytestconfig: pytest.Config) -> Path:
    """Find checkpatch.pl; out of a package's archive it is taken once, which takes ten seconds."""
    named = os.environ.get("CHECKPATCH")
    archives = sorted(Path("/").glob(PACKED[1:]))
    if named:
        return Path(named)
    if not archives or not shutil.which("perl"):
        pytest.skip("no checkpatch.pl: apt-get install linux-source")
    folder = pytestconfig.cache.mkdir("checkpatch") / archives[-1].name.removesuffix(".tar.xz")
    if not (folder / TOOL[0]).exists():
        folder.mkdir(exist_ok=True)
        inside = [f"{folder.name}/scripts/{name}" for name in TOOL]
        argv = ["tar", "-xJf", str(archives[-1]), "-C", str(folder), "--strip-components=2"]
        subprocess.run([*argv, *inside], check=True)
    return folder / TOOL[0]


def complaints(tool: Path, paths: Iterable[Path], folder: Path, *options: str) -> list[str]:
    """Return its lines about these files; `folder` takes the file that it leaves behind."""
    ignored = ",".join(IGNORED)
    flags = ["--no-tree", "--file", "--terse", "--show-types", "--no-summary", "--ignore", ignored]
    argv = ["perl", str(tool), *flags, *options, *map(str, paths)]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    return [line for line in done.stdout.splitlines() if re.search(r":\d+: [A-Z]+:", line)]


def test_our_c_is_in_the_kernels_style(checkpatch: Path, tmp_path: Path) -> None:
    sources = [name for name in tracked() if re.search(r"\.[ch]$", name)]
    kernel = [PROJECT / name for name in sources if not USER_SPACE.match(name)]
    others = [PROJECT / name for name in sources if USER_SPACE.match(name)]
    assert len(kernel) > 8 and len(others) > 5
    assert complaints(checkpatch, kernel, tmp_path, "--strict") == []
    assert complaints(checkpatch, others, tmp_path) == []


def test_it_looks_at_all(checkpatch: Path, tmp_path: Path) -> None:
    """A source with two faults: one that every check names, one of the stricter half."""
    source = tmp_path / "planted.c"
    text = (PROJECT / "guest/arms/netfilter/redirect_nf.c").read_text()
    source.write_text(text.replace("if (!headers ||", "if(headers == NULL ||"))
    for options, codes in ((), {"SPACING"}), (("--strict",), {"SPACING", "COMPARISON_TO_NULL"}):
        said = complaints(checkpatch, [source], tmp_path, *options)
        assert {line.split(":")[3] for line in said} == codes
